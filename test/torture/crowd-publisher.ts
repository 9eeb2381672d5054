/** Publishers, which write down what they meant to publish and what they were answered. Run in a crowd's process. */
import { randomUUID } from "node:crypto";
import type { Client, Position, RoomcastError } from "../../client/index.js";
import { WsClient } from "../support/ws-client.js";
import type { Loss } from "./crowd-protocol.js";
import type { Value } from "./crowd-subscriber.js";
import type { Outcome } from "./records.js";

type Answered = { readonly outcome: Outcome; readonly position?: Position | undefined; readonly error?: string };

/** How an event is published: resolves, never rejects. */
export interface Manner {
  publish(room: string, value: Value): Promise<Answered>;
  close(): void;
}

/** As the bundled client does it: kept and tried again under the same key until there is an answer. */
export class BySdk implements Manner {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async publish(room: string, value: Value): Promise<Answered> {
    try {
      return { outcome: "acknowledged", position: await this.#client.room(room).publish("n", value) };
    } catch (error) {
      const { code } = error as RoomcastError;
      // A try before the last one may have had its effect; only what never left the client surely has none.
      return { outcome: code === "queue_full" ? "refused" : "unknown", error: code };
    }
  }

  close(): void {
    this.#client.close();
  }
}

/** How long a connection that is gone is left alone, in milliseconds. */
const REDIAL_MS = 200;

/** Over the wire, each event once: what the server says at once is what is written down. */
export class Once implements Manner {
  readonly #url: () => string;
  readonly #losses: Loss[];
  #client: WsClient | undefined;
  #dialing: Promise<void> | undefined;
  #notBefore = 0;

  constructor(url: () => string, losses: Loss[]) {
    this.#url = url;
    this.#losses = losses;
  }

  async publish(room: string, data: Value): Promise<Answered> {
    await this.#connected();
    const client = this.#client;
    // Nothing was sent.
    if (client === undefined) return { outcome: "refused", error: "no connection" };
    try {
      const answer = await client.request({ type: "publish", room, event: "n", data, key: randomUUID() });
      if (answer.type === "published") return { outcome: "acknowledged", position: answer.position };
      if (answer.type === "error" && answer.code === "unavailable") return { outcome: "refused", error: answer.code };
      return { outcome: "unknown", error: answer.type === "error" ? answer.code : answer.type };
    } catch (error) {
      return { outcome: "unknown", error: String(error) };
    }
  }

  async #connected(): Promise<void> {
    if (this.#client !== undefined && this.#client.closed === undefined) return;
    if (this.#dialing === undefined && Date.now() < this.#notBefore) return;
    this.#dialing ??= this.#dial().finally(() => {
      this.#dialing = undefined;
    });
    await this.#dialing;
  }

  async #dial(): Promise<void> {
    const closed = this.#client?.closed;
    if (closed !== undefined) this.#losses.push({ at: Date.now(), ...closed });
    this.#client = undefined;
    this.#notBefore = Date.now() + REDIAL_MS;
    try {
      const client = await WsClient.connect(this.#url());
      client.watch((frame) => !("id" in frame));
      this.#client = client;
    } catch {
      // Tried again with a later event.
    }
  }

  close(): void {
    this.#client?.end();
  }
}

export type Wrote = (of: Value, sentAt: number, answered: Answered) => void;

/** One publisher: counts its events of each room, and bounds how many wait for an answer. */
export class Publisher {
  readonly #number: number;
  readonly #rooms: readonly string[];
  readonly #manner: Manner;
  readonly #maxWaiting: number;
  readonly #wrote: Wrote;
  readonly #filling: { readonly filling?: string };
  readonly #counters = new Map<string, number>();
  readonly #waitingIn = new Map<string, number>();
  #turn = 0;
  waiting = 0;

  /** `padding` is how many bytes of filling each event carries. */
  constructor(
    number: number,
    rooms: readonly string[],
    manner: Manner,
    maxWaiting: number,
    padding: number,
    wrote: Wrote,
  ) {
    this.#number = number;
    this.#rooms = rooms;
    this.#manner = manner;
    this.#maxWaiting = maxWaiting;
    this.#filling = padding > 0 ? { filling: "x".repeat(padding) } : {};
    this.#wrote = wrote;
  }

  /** Publishes in the next room; not in one where too much waits for an answer. */
  publish(): void {
    const room = this.#rooms[this.#turn++ % this.#rooms.length] as string;
    const waiting = this.#waitingIn.get(room) ?? 0;
    if (waiting >= this.#maxWaiting) return;
    const counter = (this.#counters.get(room) ?? 0) + 1;
    this.#counters.set(room, counter);
    this.#waitingIn.set(room, waiting + 1);
    this.waiting++;
    void this.#publish({ p: this.#number, n: counter, r: room, ...this.#filling });
  }

  async #publish(value: Value): Promise<void> {
    const sentAt = Date.now();
    const answered = await this.#manner.publish(value.r, value);
    this.#waitingIn.set(value.r, (this.#waitingIn.get(value.r) ?? 1) - 1);
    this.waiting--;
    this.#wrote(value, sentAt, answered);
  }

  close(): void {
    this.#manner.close();
  }
}

/** How often it is looked how many events are due, in milliseconds. */
const TICK_MS = 5;

/** Lets publishers publish in turn, so many events a second together; what could not be sent in time is left out. */
export function pace(publishers: readonly Publisher[], eventsPerSecond: number): () => void {
  const startedAt = performance.now();
  let issued = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * eventsPerSecond) / 1000);
    const most = Math.max(10, eventsPerSecond / 10);
    if (due - issued > most) issued = due - most;
    for (; issued < due; issued++) publishers[issued % publishers.length]?.publish();
  }, TICK_MS);
  return () => clearInterval(timer);
}
