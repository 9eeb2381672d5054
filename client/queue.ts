/** Requests that wait for a connection or for their answer. */
import type { Wire } from "../protocol/client-codec.js";
import { RoomcastError } from "./errors.js";
import type { Answer, Done } from "./link.js";
import { laterMs } from "./reconnect.js";

/** Where requests go out: a link that has been welcomed. */
export interface Sender {
  request(id: number, wire: Wire, done: Done): void;
}

export type QueueOptions = {
  /** How many requests may wait at the most. */
  readonly queueSize: number;
  /** How many of one lane may be on their way at once. */
  readonly inFlight: number;
  readonly random: () => number;
};

/** How long a request may take. */
export type Patience = {
  /** Until its answer, from its first sending on, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the wait for a connection is part of it; else that takes as long as it takes. */
  readonly isBrief?: boolean;
  /** Whether it must not be sent again. */
  readonly isOnce?: boolean;
};

type Item = {
  readonly id: number;
  readonly wire: Wire;
  readonly patience: Patience;
  readonly settle: Done;
  /** Where it is on its way; `undefined` while it waits. */
  sender?: Sender | undefined;
  timeout?: ReturnType<typeof setTimeout>;
};
/** The requests that wait for each other, in the order they were made; answered ones are gone. */
type Lane = { readonly items: Set<Item>; pause?: ReturnType<typeof setTimeout> | undefined };

/**
 * Sends the requests of a lane, as the publishes of a room are, in the order they were made, each until it is answered.
 * Which bytes go out is settled when the application asks, a publish's key included, so that sending it again cannot append
 * it twice.
 */
export class Queue {
  readonly #options: QueueOptions;
  readonly #lanes = new Map<string, Lane>();
  #size = 0;
  #sender: Sender | undefined;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  add(name: string, patience: Patience, id: number, wire: Wire): Promise<Answer> {
    const { queueSize } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#size >= queueSize) throw new RoomcastError("queue_full", `queueSize (${queueSize}) requests wait`);
      const lane: Lane = this.#lanes.get(name) ?? { items: new Set() };
      this.#lanes.set(name, lane);
      this.#size++;
      const settle: Done = (result) => {
        if (!lane.items.delete(item)) return;
        clearTimeout(item.timeout);
        this.#size--;
        if (lane.items.size === 0) {
          clearTimeout(lane.pause);
          this.#lanes.delete(name);
        }
        if (result instanceof RoomcastError) reject(result);
        else resolve(result);
      };
      const item: Item = { id, wire, patience, settle };
      lane.items.add(item);
      if (patience.isBrief) this.#limit(lane, item);
      this.#pump(lane);
    });
  }

  /** Where to send from now on; what is under way elsewhere is awaited first. */
  use(sender: Sender | undefined): void {
    this.#sender = sender;
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  rejectAll(error: RoomcastError): void {
    this.#sender = undefined;
    for (const { items } of this.#lanes.values()) for (const item of items) item.settle(error);
  }

  #pump(lane: Lane): void {
    // Looked at anew each time: what is sent may be answered, and the sender be gone, in the same turn.
    for (;;) {
      const sender = this.#sender;
      if (!sender || lane.pause) return;
      const first = [...lane.items].slice(0, this.#options.inFlight);
      // Sent there before what still is on its way elsewhere, it could arrive first.
      if (first.some((item) => item.sender && item.sender !== sender)) return;
      const item = first.find((each) => !each.sender);
      if (!item) return;
      this.#send(lane, item, sender);
    }
  }

  #limit(lane: Lane, item: Item): void {
    const { timeoutMs } = item.patience;
    item.timeout ??= setTimeout(() => {
      item.settle(new RoomcastError("timeout", "no answer in time"));
      this.#pump(lane);
    }, timeoutMs);
  }

  #send(lane: Lane, item: Item, sender: Sender): void {
    this.#limit(lane, item);
    item.sender = sender;
    sender.request(item.id, item.wire, (result) => {
      item.sender = undefined;
      const { code, retryMs } = result as RoomcastError;
      // The next sender may be in use already, after a move.
      if (code === "disconnected" && this.#sender === sender) this.#sender = undefined;
      if (item.patience.isOnce || (code !== "disconnected" && retryMs === undefined)) item.settle(result);
      else if (retryMs !== undefined) {
        // Of several on their way the last knows best.
        clearTimeout(lane.pause);
        lane.pause = setTimeout(
          () => {
            lane.pause = undefined;
            this.#pump(lane);
          },
          laterMs(retryMs, this.#options.random),
        );
      }
      this.#pump(lane);
    });
  }
}
