import type { Socket } from "node:net";

export type Direction = "toServer" | "toClient";

/** Returns what goes on of a chunk; undefined: nothing. `cut` resets the connection that it came on. */
export type Filter = (chunk: Buffer, cut: () => void) => Buffer | undefined;

/** What happens to the bytes of one direction, for all connections of a proxy. */
export interface Fate {
  readonly direction: Direction;
  /** `swallow`: bytes are read and thrown away, and nobody learns that the other side closed. `stall`: they wait. */
  mode: "pass" | "swallow" | "stall";
  delayMs: number;
  /** A random time on top of the delay, up to this. The order of the bytes stays. */
  jitterMs: number;
  filter: Filter | undefined;
  bytes: number;
  /** Those of `bytes` that were thrown away. */
  lostBytes: number;
}

/** How much one direction of a connection holds at the most, past the kernel's own buffers. */
const MOST_HELD = 1024 * 1024;

/** One direction of one connection. */
export class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #fate: Fate;
  /** In the order they came; without a chunk: the end. */
  readonly #held: { due: number; readonly chunk: Buffer | undefined }[] = [];
  #heldBytes = 0;
  #lastDue = 0;
  #full = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, fate: Fate) {
    this.#from = from;
    this.#to = to;
    this.#fate = fate;
    from.on("data", (chunk) => this.#receive(chunk));
    from.on("end", () => this.#hold(undefined));
    // An error is told by `close`.
    from.on("error", () => undefined);
    from.on("close", (broken) => {
      if (broken && fate.mode !== "swallow") resetSocket(to);
    });
    to.on("drain", () => {
      this.#full = false;
      this.update();
    });
    to.on("close", () => clearTimeout(this.#timer));
    this.update();
  }

  /** To be called when the direction's fate has changed. */
  update(): void {
    clearTimeout(this.#timer);
    this.#forward();
    if (this.#fate.mode === "stall" || this.#heldBytes > MOST_HELD) this.#from.pause();
    else this.#from.resume();
  }

  readonly #cut = () => {
    resetSocket(this.#from);
    resetSocket(this.#to);
  };

  /** What is held goes on its way as soon as the mode lets it. */
  hurry(): void {
    for (const each of this.#held) each.due = 0;
    this.#lastDue = 0;
  }

  #receive(chunk: Buffer): void {
    const fate = this.#fate;
    fate.bytes += chunk.length;
    const rest = fate.mode === "swallow" ? undefined : fate.filter ? fate.filter(chunk, this.#cut) : chunk;
    fate.lostBytes += chunk.length - (rest?.length ?? 0);
    if (rest !== undefined && rest.length > 0) this.#hold(rest);
  }

  #hold(chunk: Buffer | undefined): void {
    if (chunk === undefined && this.#fate.mode === "swallow") return;
    const wait = this.#fate.delayMs + Math.random() * this.#fate.jitterMs;
    this.#lastDue = Math.max(this.#lastDue, performance.now() + wait);
    this.#held.push({ due: this.#lastDue, chunk });
    this.#heldBytes += chunk?.length ?? 0;
    this.update();
  }

  #forward(): void {
    if (this.#fate.mode === "swallow") this.#drop();
    if (this.#fate.mode === "stall") return;
    while (!this.#full) {
      const first = this.#held[0];
      if (first === undefined) return;
      const early = first.due - performance.now();
      if (early > 0) {
        this.#timer = setTimeout(() => this.update(), Math.ceil(early));
        return;
      }
      this.#held.shift();
      this.#heldBytes -= first.chunk?.length ?? 0;
      if (first.chunk === undefined) this.#to.end();
      else this.#full = !this.#to.write(first.chunk);
    }
  }

  /** What was still under way when the swallowing began is lost too. */
  #drop(): void {
    this.#fate.lostBytes += this.#heldBytes;
    this.#held.length = 0;
    this.#heldBytes = 0;
  }
}

/**
 * Ends a connection as a crash does. Where its end was sent already, or something waits to be sent, a plain end has to
 * do: Node waits for the one, fails to reset after the other, and then never closes the socket.
 */
export function resetSocket(socket: Socket): void {
  if (socket.connecting || socket.writableEnded || socket.writableLength > 0) socket.destroy();
  else socket.resetAndDestroy();
}
