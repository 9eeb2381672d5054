/** What a reader of one room has seen, held against the protocol's rule: one run, without a hole or a repeat. */
import assert from "node:assert/strict";
import type { ServerFrame, WireEvent } from "../../protocol/frames.js";
import type { Position } from "../../protocol/positions.js";

/** Takes every frame of a connection, in order, and fails on the first that does not follow on the one before. */
export class RoomRun {
  readonly room: string;
  readonly events: WireEvent[] = [];
  /** How many pages came before `joined`. */
  pages = 0;
  resets = 0;
  joined = false;
  recovered = false;
  #position: Position | undefined;

  constructor(room: string, since?: Position) {
    this.room = room;
    this.#position = since;
  }

  get position(): Position {
    if (this.#position === undefined) throw new Error(`${this.room}: no position yet`);
    return this.#position;
  }

  /** For `WsClient.watch`: true for the room's events, which need not wait to be taken. */
  take(frame: ServerFrame): boolean {
    if (!("room" in frame) || frame.room !== this.room) return false;
    if (frame.type === "joined") this.#takeJoined(frame);
    if (frame.type === "events") this.#takeEvents(frame.previous, frame.events);
    if (frame.type === "reset") {
      this.resets++;
      this.#position = frame.position;
    }
    return frame.type === "events";
  }

  #takeJoined(frame: ServerFrame<"joined">): void {
    assert.equal(this.joined, false, "joined came twice");
    this.joined = true;
    this.recovered = frame.recovered;
    if (frame.recovered) this.#takeEvents(this.#position?.offset, frame.events);
    else assert.deepEqual(frame.events, [], "a join that recovers nothing brings no events");
    if (frame.recovered) assert.deepEqual(this.#position, frame.position, "joined brings the reader to its position");
    this.#position = frame.position;
  }

  #takeEvents(previous: number | undefined, events: readonly WireEvent[]): void {
    if (!this.joined) this.pages++;
    const position = this.position;
    assert.equal(previous, position.offset, "a frame follows on the one before");
    let last = position.offset;
    for (const event of events) {
      assert.ok((event.offset ?? 0) > last, `offset ${event.offset} comes after ${last}`);
      last = event.offset as number;
      this.events.push(event);
    }
    this.#position = { epoch: position.epoch, offset: last };
  }

  /** The events' data. */
  get data(): unknown[] {
    return this.events.map(({ data }) => data);
  }
}
