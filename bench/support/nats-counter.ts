import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { EventCounter, nowUs } from "./event-data.js";

/** How long to go on waiting when nothing arrives any more, in milliseconds. */
const PATIENCE_MS = 5000;

/** A plain subscriber of NATS: counts the events in its bytes, and knows when the last one came. */
export class NatsCounter {
  readonly #socket: Socket;
  readonly #counter = new EventCounter();
  #count = 0;
  #lastUs = 0;

  /** Resolves once it is subscribed. */
  static async open(port: number, subjects: readonly string[]): Promise<NatsCounter> {
    const socket = connect({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    const subscriptions = subjects.map((subject, index) => `SUB ${subject} ${index + 1}\r\n`);
    const counter = new NatsCounter(socket);
    socket.write(`CONNECT {"verbose":false}\r\n${subscriptions.join("")}PING\r\n`);
    // The answer to PING stands behind all subscriptions.
    for (let text = ""; !text.includes("PONG"); ) text += String((await once(socket, "data"))[0]);
    socket.on("data", (bytes) => counter.#read(bytes));
    return counter;
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", () => undefined);
  }

  #read(bytes: Buffer): void {
    if (bytes.includes("PING\r\n")) this.#socket.write("PONG\r\n");
    const found = this.#counter.feed(bytes);
    if (found > 0) this.#lastUs = nowUs();
    this.#count += found;
  }

  /** When the last of so many events came, which are counted from the last call on. Rejects where they do not come. */
  async lastOf(events: number): Promise<number> {
    let seen = this.#count;
    for (let waitedMs = 0; this.#count < events; waitedMs += 1) {
      if (this.#count > seen) waitedMs = 0;
      if (waitedMs > PATIENCE_MS) throw new Error(`${events} events expected, got ${this.#count}`);
      seen = this.#count;
      await delay(1);
    }
    if (this.#count > events) throw new Error(`${events} events expected, got ${this.#count}`);
    this.#count = 0;
    return this.#lastUs;
  }

  close(): void {
    this.#socket.destroy();
  }
}
