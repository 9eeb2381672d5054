/** Rooms that components use together: joined with the first of them, left when the last one has gone. */
import type { Client } from "./client.js";
import type { Room, RoomOptions, RoomState } from "./room.js";

/** A room and how it stands: the same object until one of them is another. */
export type UsedRoom<Events> = { readonly room: Room<Events>; readonly state: RoomState };
type View = UsedRoom<unknown>;

type Use = { readonly options: RoomOptions; readonly changed: () => void };

const IDLE: RoomState = { status: "idle" };
/** How many rooms of a client may stand here that were rendered and never used. */
const MOST_UNUSED = 100;

/** One room of a client, for all that use it. When they ask for what the room was not opened with, it is opened anew. */
class HeldRoom {
  readonly #client: Client;
  readonly #name: string;
  readonly #forget: () => void;
  readonly #uses = new Set<Use>();
  #room: Room<unknown>;
  /** False: the application had joined it before, and is the one to leave it. */
  readonly #isOurs: boolean;
  /** What the room was opened with. */
  #presence: boolean;
  #token: RoomOptions["token"];
  /** The last function that a component gave, since each rendering may give another. */
  #ask: (() => string | Promise<string>) | undefined;
  #view: View;
  #idle: View;
  #stop: (() => void) | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  /** Sends nothing, listens to nothing: it is made while rendering. */
  constructor(client: Client, name: string, options: RoomOptions, forget: () => void) {
    this.#client = client;
    this.#name = name;
    this.#forget = forget;
    this.#presence = !!options.presence;
    this.#room = this.#open(options.token, options.since);
    this.#isOurs = this.#room.state.status === "idle";
    this.#view = this.#idle = { room: this.#room, state: IDLE };
  }

  get isUsed(): boolean {
    return this.#uses.size > 0 || this.#leaving !== undefined;
  }

  view(): View {
    const { state } = this.#room;
    if (this.#view.room !== this.#room || this.#view.state !== state) this.#view = { room: this.#room, state };
    return this.#view;
  }

  /** What a server renders, and a browser at first. */
  idle(): View {
    if (this.#idle.room !== this.#room) this.#idle = { room: this.#room, state: IDLE };
    return this.#idle;
  }

  use(use: Use): () => void {
    const isFirst = this.#uses.size === 0;
    clearTimeout(this.#leaving);
    this.#leaving = undefined;
    this.#uses.add(use);
    if (typeof use.options.token === "function") this.#ask = use.options.token;
    this.#stop ??= this.#room.onState(() => this.#changed());
    const isGone = this.#room.state.status === "left" && this.#client.state.status !== "closed";
    if (this.#isOurs && (isGone || (this.#wantsPresence && !this.#presence) || this.#hasNewToken)) {
      this.#reopen(isGone ? use.options.since : this.#room.position);
    }
    // Others that see a failed room are not to set it off again with each that comes.
    if (isFirst) void this.#room.join();
    return () => {
      this.#uses.delete(use);
      // In a later turn: one that is unmounted and one that is mounted may go together.
      this.#leaving ??= setTimeout(() => this.#settle());
    };
  }

  /** Lets go of it. */
  end(): void {
    this.#stop?.();
    this.#forget();
    if (this.#isOurs) this.#room.leave();
  }

  get #wantsPresence(): boolean {
    return [...this.#uses].some(({ options }) => options.presence);
  }

  /** The last that was given. A function is asked by the room itself. */
  get #wantedToken(): RoomOptions["token"] {
    return [...this.#uses].reverse().find(({ options }) => options.token !== undefined)?.options.token;
  }

  /** Whether the room has failed with another token than there is now. */
  get #hasNewToken(): boolean {
    const token = this.#wantedToken;
    const isNew = typeof token === "function" ? typeof this.#token !== "function" : token !== this.#token;
    return isNew && this.#room.state.status === "failed";
  }

  #settle(): void {
    this.#leaving = undefined;
    if (this.#uses.size === 0) this.end();
    else if (this.#isOurs && this.#presence && !this.#wantsPresence) this.#reopen(this.#room.position);
  }

  #changed(): void {
    if (this.#isOurs && this.#hasNewToken) this.#reopen(this.#room.position);
    this.#tell();
  }

  #tell(): void {
    for (const { changed } of [...this.#uses]) changed();
  }

  #reopen(since: RoomOptions["since"]): void {
    this.#stop?.();
    this.#room.leave();
    this.#presence = this.#wantsPresence;
    this.#room = this.#open(this.#wantedToken, since);
    this.#stop = this.#room.onState(() => this.#changed());
    void this.#room.join();
    this.#tell();
  }

  #open(token: RoomOptions["token"], since: RoomOptions["since"]): Room<unknown> {
    this.#token = token;
    if (typeof token === "function") this.#ask ??= token;
    return this.#client.room<unknown>(this.#name, {
      presence: this.#presence,
      ...(since && { since }),
      ...(token !== undefined && { token: typeof token === "function" ? () => this.#ask?.() ?? "" : token }),
    });
  }
}

const heldByClient = new WeakMap<Client, Map<string, HeldRoom>>();

/** The room of that name, as the components of the client have it. */
export function heldRoom(client: Client, name: string, options: RoomOptions): HeldRoom {
  const rooms = heldByClient.get(client) ?? new Map<string, HeldRoom>();
  heldByClient.set(client, rooms);
  const room = rooms.get(name) ?? new HeldRoom(client, name, options, () => rooms.delete(name));
  rooms.set(name, room);
  return room;
}

/** Joins it. Returns what lets go of it. */
export function holdRoom(client: Client, name: string, options: RoomOptions, changed: () => void): () => void {
  const stop = heldRoom(client, name, options).use({ options, changed });
  // Renderings that were given up may have left rooms behind.
  const unused = [...(heldByClient.get(client)?.values() ?? [])].filter(({ isUsed }) => !isUsed);
  for (const room of unused.slice(0, -MOST_UNUSED)) room.end();
  return stop;
}
