/** The last events of a room, to be shown. */

import type { Position } from "../protocol/positions.js";
import { RoomcastError } from "./errors.js";
import type { Room, RoomEvent } from "./room.js";

export type EventsView<Event> = {
  /** The oldest first. */
  readonly events: readonly Event[];
  /** Whether what was before is still being loaded. */
  readonly isLoading: boolean;
  /** Why it could not be. It is tried again when the room is joined again. */
  readonly error?: RoomcastError;
};

type Asked = { readonly event: string | undefined; readonly limit: number; readonly past: boolean };

export class EventList {
  readonly #asked: Asked;
  #events: RoomEvent[] = [];
  #view: EventsView<RoomEvent> | undefined;
  #isLoading: boolean;
  #error: RoomcastError | undefined;
  /** Whether the past is there, or on its way; the number of the time it was last asked for. */
  #hasPast = false;
  #turn = 0;
  /** Where the room stood when this was last listening to it. */
  #seen: Position | undefined;
  #isTelling = false;

  constructor(asked: Asked) {
    if (!(Number.isInteger(asked.limit) && asked.limit > 0)) {
      throw new RangeError(`limit: expected a whole number above 0, got ${asked.limit}`);
    }
    this.#asked = asked;
    this.#isLoading = asked.past;
  }

  /** The same object until something changes. */
  view(): EventsView<RoomEvent> {
    this.#view ??= {
      events: this.#events.slice(-this.#asked.limit),
      isLoading: this.#isLoading,
      ...(this.#error && { error: this.#error }),
    };
    return this.#view;
  }

  /** Listens to the room, which joins it. Returns what ends that. */
  follow(room: Room<unknown>, changed: () => void): () => void {
    const { event, past } = this.#asked;
    const { epoch, offset } = room.position ?? {};
    // Unless nothing was missed meanwhile.
    if (epoch === undefined || epoch !== this.#seen?.epoch || offset !== this.#seen.offset) this.#clear();
    const look = (): void => {
      if (!past || this.#hasPast) return;
      this.#isLoading = room.state.status !== "failed";
      if (room.state.status === "joined") void this.#load(room, room.position, changed);
      this.#tell(changed);
    };
    const stops = [
      (room as Room).onAny((any) => {
        if (event === undefined || any.event === event) this.#add(any, changed);
      }),
      room.onReset(({ position }) => {
        this.#clear();
        if (past) void this.#load(room, position, changed);
        this.#tell(changed);
      }),
      room.onState(look),
    ];
    look();
    this.#tell(changed);
    return () => {
      for (const stop of stops) stop();
      this.#seen = room.position;
      if (this.#isLoading) this.#hasPast = false;
      this.#turn++;
    };
  }

  #clear(): void {
    this.#turn++;
    this.#events = [];
    this.#hasPast = false;
    this.#isLoading = this.#asked.past;
    this.#error = undefined;
    this.#view = undefined;
  }

  #add(event: RoomEvent, changed: () => void): void {
    const { limit } = this.#asked;
    this.#events.push(event);
    if (this.#events.length >= 2 * limit) this.#events = this.#events.slice(-limit);
    this.#tell(changed);
  }

  /** Puts what was up to `position` above what has come since. */
  async #load(room: Room<unknown>, position: Position | undefined, changed: () => void): Promise<void> {
    const turn = ++this.#turn;
    this.#hasPast = true;
    const isOver = () => turn !== this.#turn;
    try {
      const page = position && (await this.#read(room as Room, position));
      if (isOver()) return;
      this.#events = [...(page ?? []), ...this.#events].slice(-this.#asked.limit);
      this.#error = undefined;
    } catch (error) {
      if (isOver()) return;
      this.#hasPast = false;
      this.#error = error instanceof RoomcastError ? error : new RoomcastError("internal", String(error));
    }
    this.#isLoading = false;
    this.#tell(changed);
  }

  async #read(room: Room, { epoch, offset }: Position): Promise<RoomEvent[]> {
    const { event, limit } = this.#asked;
    // A room without events has nothing before them.
    const { events } = await room.history({ before: { epoch, offset: offset + 1 }, limit });
    const first = this.#events[0]?.offset ?? Number.POSITIVE_INFINITY;
    return events.filter((past) => (past.offset ?? 0) < first && (event === undefined || past.event === event));
  }

  /** Once for all that comes in one turn. */
  #tell(changed: () => void): void {
    this.#view = undefined;
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      changed();
    });
  }
}
