/** A room as the application sees it; `live-room.ts` is what is behind it. */
import type { Member, WireEvent } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";
import type { Token } from "./link.js";
import type { Members } from "./members.js";

/** The data of each event of a room, by the event's name. */
export type EventMap = { readonly [event: string]: unknown };

/** An event as the application gets it. In a room that keeps no history it has no `offset`. */
export type RoomEvent<Data = unknown, Name extends string = string> = Omit<WireEvent, "event" | "data"> & {
  readonly event: Name;
  readonly data: Data;
};

/** Any event of a room, told apart by `event`. */
export type AnyEvent<Events> = { [N in keyof Events & string]: RoomEvent<Events[N], N> }[keyof Events & string];

export type RoomState =
  | { readonly status: "idle" }
  | { readonly status: "joining" }
  /** `position` is where the room stood when it was joined; it is missing in a room without history. */
  | {
      readonly status: "joined";
      readonly position?: Position;
      /** Whether nothing was missed since the position that was asked for. */
      readonly recovered: boolean;
    }
  | { readonly status: "failed"; readonly code: string; readonly message: string }
  | { readonly status: "left" };

/** Events may have been missed: load what you show anew. Events from `position` on follow. */
export type Reset = { readonly position: Position | undefined; readonly reason: string };
export type HistoryPage<Events> = {
  readonly events: readonly AnyEvent<Events>[];
  /** The log's end; missing in a room without history. */
  readonly position?: Position;
  /** Whether the range holds more than the limit let through. */
  readonly more: boolean;
};

export type RoomOptions = {
  /** Where the application is already; without it a join starts with what is published from then on. */
  readonly since?: Position;
  /** Whether to be a member that others see, and to be told who is there: `members`, `onEnter`, `onLeave`. */
  readonly presence?: boolean;
  /**
   * A token for this room alone, sent with each join. A function is asked anew for every join, also when the server says
   * that the token before has ended; with a string the room then fails with `expired`.
   */
  readonly token?: Token;
};
export type HistoryOptions = { readonly limit?: number; readonly since?: Position; readonly before?: Position };
export type PublishOptions = {
  /** Names this publish: published again with the same key, it is not appended again. A random one if left out. */
  readonly key?: string;
};

/** One room, as the application sees it. Listening to events joins it; every `on…` returns what stops the listening. */
export interface Room<Events = EventMap> extends AsyncIterable<AnyEvent<Events>> {
  readonly name: string;
  readonly state: RoomState;
  /** The last event applied. `undefined` before the first join and in a room without history. */
  readonly position: Position | undefined;
  /** Who is there; empty unless the room was opened with `presence`. */
  readonly members: Members;
  /** `join()` as a property. */
  readonly joined: Promise<void>;
  /** Resolves once joined; rejects with `RoomcastError` when that fails for good. Tries again after a failure. */
  join(): Promise<void>;
  /** For good: listeners are dropped, iterations end. `client.room(name)` then gives a new room. */
  leave(): void;
  on<N extends keyof Events & string>(event: N, listener: (event: RoomEvent<Events[N], N>) => unknown): () => void;
  onAny(listener: (event: AnyEvent<Events>) => unknown): () => void;
  onState(listener: (state: RoomState) => unknown): () => void;
  onReset(listener: (reset: Reset) => unknown): () => void;
  /** Somebody came who was not there: not told of who is there when the room is joined. Joins the room. */
  onEnter(listener: (member: Member) => unknown): () => void;
  /** Somebody is gone for good, with the `info` that was known. Joins the room. */
  onLeave(listener: (member: Member) => unknown): () => void;
  /**
   * Resolves when the event is in the room's log, with its position, or `undefined` in a room without history. Offline
   * it waits in the queue. Rejects with `RoomcastError`; a rejection that nobody looks at does no harm.
   */
  publish<N extends keyof Events & string>(
    event: N,
    data: Events[N],
    options?: PublishOptions,
  ): Promise<Position | undefined>;
  /** Sent once if connected, else dropped; nobody says whether it arrived. For what the next one makes worthless. */
  send<N extends keyof Events & string>(event: N, data: Events[N]): void;
  history(options?: HistoryOptions): Promise<HistoryPage<Events>>;
  /** The stream holds at most `bufferSize` events; see `docs/client.md`, "Iterating". */
  [Symbol.asyncIterator](): AsyncIterableIterator<AnyEvent<Events>, undefined>;
}
