import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { rules } from "../../server/engine/conformance-ground.js";
import type { Broker, Deliver, Suspect } from "../../server/engine/engine.js";

/** What the followers' rooms keep. */
export const kept = rules(10_000);

/** Follows rooms on a node as `Room` does: what follows on is taken, anything else is read from the log. */
export class Follower {
  readonly #ends = new Map<string, Position>();
  readonly #seen = new Map<string, unknown[]>();
  readonly #reading = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  #broker: Broker | undefined;
  /** How often a log could not be read on, and how often it began anew at a place from which nothing is missing. */
  resets = 0;
  moves = 0;

  #ended = false;

  end(): void {
    this.#ended = true;
  }

  readonly deliver: Deliver = (room, epoch, events, previous) => {
    const end = this.#ends.get(room);
    const fits = end !== undefined && end.epoch === epoch && previous === end.offset && !this.#reading.has(room);
    if (fits) this.#take(room, epoch, events);
    else this.repair(room);
  };

  readonly suspect: Suspect = (room) => this.repair(room);

  /** Subscribes the room from its end on. */
  async follow(broker: Broker, room: string): Promise<void> {
    this.#broker = broker;
    await broker.subscribe(room, kept);
    this.#ends.set(room, (await broker.history(room, {}, 0, kept)).position);
  }

  seen(room: string): readonly unknown[] {
    return this.#seen.get(room) ?? [];
  }

  /** Reads the room's log from where the follower is, until it is at the end; never rejects. */
  repair(room: string): void {
    this.#again.add(room);
    if (this.#reading.has(room) || !this.#ends.has(room)) return;
    const reading = this.#read(room).finally(() => {
      this.#reading.delete(room);
      if (this.#again.has(room) && !this.#ended) setTimeout(() => this.repair(room), 20);
    });
    this.#reading.set(room, reading);
  }

  #take(room: string, epoch: string, events: readonly RoomEvent[]): void {
    const seen = this.#seen.get(room) ?? [];
    this.#seen.set(room, seen);
    for (const event of events) {
      seen.push(event.data.value);
      this.#ends.set(room, { epoch, offset: event.offset });
    }
  }

  async #read(room: string): Promise<void> {
    while (this.#again.delete(room)) {
      const since = this.#ends.get(room) as Position;
      try {
        const read = await (this.#broker as Broker).history(room, { since }, 100, kept);
        if (read.events === undefined) {
          if (read.more) this.moves++;
          else this.resets++;
          this.#ends.set(room, read.position);
        } else {
          this.#take(room, since.epoch, read.events);
          const end = this.#ends.get(room) as Position;
          if (!read.more && read.position.epoch === end.epoch) this.#ends.set(room, read.position);
        }
        if (read.more) this.#again.add(room);
      } catch {
        this.#again.add(room);
        return;
      }
    }
  }
}
