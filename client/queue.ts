/** Publishes that wait for a connection or for their answer. */
import type { Wire } from "../protocol/client-codec.js";
import type { ServerFrame } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";
import { RoomcastError } from "./errors.js";
import type { Done } from "./link.js";

/** Where publishes go out: a link that has been welcomed. */
export interface Sender {
  request(id: number, wire: Wire, done: Done): void;
}

export type QueueOptions = {
  /** How many publishes may wait at the most. */
  readonly queueSize: number;
  /** How many of one room may be on their way at once. */
  readonly inFlight: number;
  /** How long after its first sending a publish may be sent again, in milliseconds. */
  readonly publishTimeoutMs: number;
};

type Item = {
  readonly id: number;
  readonly wire: Wire;
  readonly settle: (error: RoomcastError | undefined, position?: Position) => void;
  /** Where it is on its way; `undefined` while it waits. */
  sender: Sender | undefined;
  /** Runs from the first sending on. */
  timeout: ReturnType<typeof setTimeout> | undefined;
};
/** The publishes of one room, in the order they were made; answered ones are gone. */
type Lane = { readonly items: Item[]; pause: ReturnType<typeof setTimeout> | undefined };

/**
 * Sends the publishes of a room in the order they were made, each until it is answered. Which bytes go out is settled
 * when the application publishes, key included, so that sending them again cannot append them twice.
 */
export class PublishQueue {
  readonly #options: QueueOptions;
  readonly #lanes = new Map<string, Lane>();
  #size = 0;
  #sender: Sender | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  add(room: string, id: number, wire: Wire): Promise<Position | undefined> {
    const { queueSize } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#size >= queueSize) {
        throw new RoomcastError("queue_full", `queueSize (${queueSize}) publishes wait`);
      }
      const lane: Lane = this.#lanes.get(room) ?? { items: [], pause: undefined };
      this.#lanes.set(room, lane);
      this.#size++;
      const item: Item = {
        id,
        wire,
        sender: undefined,
        timeout: undefined,
        settle: (error, position) => {
          const index = lane.items.indexOf(item);
          if (index < 0) return;
          lane.items.splice(index, 1);
          clearTimeout(item.timeout);
          this.#size--;
          if (lane.items.length === 0) {
            clearTimeout(lane.pause);
            this.#lanes.delete(room);
          }
          if (error) reject(error);
          else resolve(position);
        },
      };
      lane.items.push(item);
      this.#pump(lane);
    });
  }

  /** Where to send from now on; what is under way elsewhere is awaited first. */
  use(sender: Sender | undefined): void {
    this.#sender = sender;
    for (const lane of [...this.#lanes.values()]) this.#pump(lane);
  }

  rejectAll(error: RoomcastError): void {
    this.#sender = undefined;
    for (const { items, pause } of [...this.#lanes.values()]) {
      clearTimeout(pause);
      for (const item of [...items]) item.settle(error);
    }
  }

  #pump(lane: Lane): void {
    // Looked at anew each time: what is sent may be answered, and the sender be gone, in the same turn.
    for (;;) {
      const sender = this.#sender;
      if (sender === undefined || lane.pause !== undefined) return;
      const first = lane.items.slice(0, this.#options.inFlight);
      // Sent there before what still is on its way elsewhere, it could arrive first.
      if (first.some((item) => item.sender !== undefined && item.sender !== sender)) return;
      const item = first.find((each) => each.sender === undefined);
      if (item === undefined) return;
      this.#send(lane, item, sender);
    }
  }

  #send(lane: Lane, item: Item, sender: Sender): void {
    const { publishTimeoutMs } = this.#options;
    const late = () => item.settle(new RoomcastError("timeout", `no answer within ${publishTimeoutMs} ms`));
    item.sender = sender;
    item.timeout ??= setTimeout(() => {
      late();
      this.#pump(lane);
    }, publishTimeoutMs);
    sender.request(item.id, item.wire, (result) => {
      item.sender = undefined;
      if (!(result instanceof RoomcastError)) item.settle(undefined, (result as ServerFrame<"published">).position);
      else if (result.code === "disconnected") {
        // Its place in the lane is kept. The next sender may be in use already, after a move.
        if (this.#sender === sender) this.#sender = undefined;
      } else if (result.retryMs === undefined) item.settle(result);
      else {
        lane.pause ??= setTimeout(
          () => {
            lane.pause = undefined;
            this.#pump(lane);
          },
          Math.max(result.retryMs, 10),
        );
      }
      this.#pump(lane);
    });
  }
}
