"use client";

/** Hooks for React: `docs/react.md`. Rendering has no effect: rooms are joined, and left, as components come and go. */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  type RefObject,
  useCallback,
  useContext,
  useEffect,
  useInsertionEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import type { Client } from "./client.js";
import { EventList, type EventsView } from "./event-list.js";
import { HeldClient } from "./held-client.js";
import { heldRoom, holdRoom, type UsedRoom } from "./held-rooms.js";
import type { MembersSnapshot } from "./members.js";
import type { AnyEvent, EventMap, Reset, Room, RoomEvent, RoomOptions } from "./room.js";
import type { ClientState } from "./state.js";

export type { EventsView } from "./event-list.js";
export type { UsedRoom } from "./held-rooms.js";

/** What `useRoom` gives while there is no client: on a server, say. */
export type NoRoom = { readonly room: undefined; readonly state: { readonly status: "idle" } };

export type EventsOptions<Name extends string = string> = {
  /** Only the events of that name. */
  readonly event?: Name;
  /** How many are kept at most, the newest; 100. */
  readonly limit?: number;
  /** Whether what was before is loaded from the room's history: when the room is joined, and after a reset. */
  readonly past?: boolean;
};

const NOTHING = (): void => {};
const CONNECTING: ClientState = { status: "connecting", attempt: 1 };
const NO_ROOM: NoRoom = { room: undefined, state: { status: "idle" } };
const NOBODY: MembersSnapshot = { members: [], count: undefined, isListed: false };
const NO_EVENTS: EventsView<never> = { events: [], isLoading: false };
const NOT_YET: EventsView<never> = { events: [], isLoading: true };

/** The state of the client, kept up to date. Without a client, and on a server: `connecting`. */
export function useConnection(client: Client | undefined): ClientState {
  const subscribe = useCallback((changed: () => void) => client?.on("state", changed) ?? NOTHING, [client]);
  return useSyncExternalStore(
    subscribe,
    () => client?.state ?? CONNECTING,
    () => CONNECTING,
  );
}

/**
 * The room of that name, and its state. It is joined while some component uses it, and left when the last one has gone; all
 * components that use it share it. `presence` counts if one of them asks for it; `since` where the room is not there yet.
 * `room` is another one when the name is, or `presence` changes.
 */
export function useRoom<Events = EventMap>(client: Client, name: string, options?: RoomOptions): UsedRoom<Events>;
export function useRoom<Events = EventMap>(
  client: Client | undefined,
  name: string,
  options?: RoomOptions,
): UsedRoom<Events> | NoRoom;
export function useRoom(
  client: Client | undefined,
  name: string,
  options: RoomOptions = {},
): UsedRoom<EventMap> | NoRoom {
  const latest = useLatest(options);
  const presence = !!options.presence;
  // Functions are often written in place, another one in each rendering: the latest is asked.
  const token = typeof options.token === "function" ? true : options.token;
  const subscribe = useCallback(
    (changed: () => void) => {
      if (!client) return NOTHING;
      const ask = () => {
        const now = latest.current.token;
        return typeof now === "function" ? now() : (now ?? "");
      };
      const { since } = latest.current;
      const asked = { presence, ...(since && { since }), ...(token && { token: token === true ? ask : token }) };
      return holdRoom(client, name, asked, changed);
    },
    [client, name, presence, token, latest],
  );
  const used = useSyncExternalStore<UsedRoom<unknown> | NoRoom>(
    subscribe,
    () => (client ? heldRoom(client, name, options).view() : NO_ROOM),
    () => (client ? heldRoom(client, name, options).idle() : NO_ROOM),
  );
  return used as UsedRoom<EventMap> | NoRoom;
}

/** Calls the listener of the last rendering with each event of that name. */
export function useEvent<Events, Name extends keyof Events & string>(
  room: Room<Events> | undefined,
  event: Name,
  listener: (event: RoomEvent<Events[Name], Name>) => unknown,
): void {
  const latest = useLatest(listener);
  useEffect(() => room?.on(event, (heard) => latest.current(heard)), [room, event, latest]);
}

/** Calls the listener of the last rendering when events may have been missed: what is shown of them is to be loaded anew. */
export function useReset(room: Pick<Room, "onReset"> | undefined, listener: (reset: Reset) => unknown): void {
  const latest = useLatest(listener);
  useEffect(() => room?.onReset((reset) => latest.current(reset)), [room, latest]);
}

/**
 * The last events of the room since the component was mounted; with `past`, and those before. A reset empties it: what is
 * shown has no gap. `limit` is a whole number above 0, else it throws `RangeError`.
 */
export function useEvents<Events, Name extends keyof Events & string = keyof Events & string>(
  room: Room<Events> | undefined,
  options: EventsOptions<Name> = {},
): EventsView<Extract<AnyEvent<Events>, { readonly event: Name }>> {
  const { event, limit = 100, past = false } = options;
  const name = room?.name;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a room that is opened anew goes on where it was, and so does the list.
  const list = useMemo(() => new EventList({ event, limit, past }), [name, event, limit, past]);
  const subscribe = useCallback(
    (changed: () => void) => (room ? list.follow(room as Room<unknown>, changed) : NOTHING),
    [room, list],
  );
  const empty = past ? NOT_YET : NO_EVENTS;
  const view: unknown = useSyncExternalStore<EventsView<unknown>>(
    subscribe,
    () => (room ? list.view() : empty),
    () => empty,
  );
  return view as EventsView<Extract<AnyEvent<Events>, { readonly event: Name }>>;
}

/** Who is in the room: empty unless the room was opened with `presence`. */
export function useMembers(room: Pick<Room, "members"> | undefined): MembersSnapshot {
  const subscribe = useCallback((changed: () => void) => room?.members.onChange(changed) ?? NOTHING, [room]);
  return useSyncExternalStore(
    subscribe,
    () => room?.members.snapshot() ?? NOBODY,
    () => NOBODY,
  );
}

const ClientContext = createContext<Client | undefined | null>(null);

export type RoomcastProviderProps = {
  /** Called once the tree is mounted; later functions count for nothing. */
  readonly connect: () => Client;
  readonly children?: ReactNode;
};

/** Connects when it is mounted, shares the client with all below it, and closes it when it has gone. */
export function RoomcastProvider({ connect, children }: RoomcastProviderProps): ReactElement {
  const latest = useLatest(connect);
  const [held] = useState(() => new HeldClient());
  const subscribe = useCallback((changed: () => void) => held.use(() => latest.current(), changed), [held, latest]);
  const client = useSyncExternalStore(
    subscribe,
    () => held.client,
    () => undefined,
  );
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** The client of the `RoomcastProvider` above: `undefined` on a server, and until the tree is mounted. */
export function useClient(): Client | undefined {
  const client = useContext(ClientContext);
  if (client === null) throw new Error("useClient: expected a RoomcastProvider above");
  return client;
}

/** What the last rendering gave, for what is called later. */
function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}
