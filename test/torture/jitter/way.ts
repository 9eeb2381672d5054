/** The network as every contestant has it: a TCP connection a client, which breaks and cannot be had again for a while. */
import { connect, type Socket } from "node:net";

/** Where nobody listens: dialing it is refused at once. */
const NOWHERE = 1;

/** One client's way to its servers on the loopback interface. */
export class Way {
  readonly #ports: readonly number[];
  #dialed: number;
  #awayUntil = 0;
  #socket: Socket | undefined;
  cuts = 0;

  /** The first of the `ports` to be dialed is the one at `first`; then they are taken in turn. */
  constructor(ports: readonly number[], first: number) {
    this.#ports = ports;
    this.#dialed = first;
  }

  /** What the `ws` package takes as `createConnection`: wherever it means to go, it goes here. */
  readonly dial = (): Socket => {
    const isAway = Date.now() < this.#awayUntil;
    const port = isAway ? NOWHERE : (this.#ports[this.#dialed++ % this.#ports.length] as number);
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    return this.#socket;
  };

  /** Breaks the connection by a reset: what is under way on it is gone, and no close frame is sent. */
  cut(awayMs: number): void {
    this.cuts++;
    this.#awayUntil = Date.now() + awayMs;
    this.#socket?.resetAndDestroy();
  }
}

export type Kills = {
  /** The mean time between two cuts of one client, in milliseconds; they are a third less to a third more apart. */
  readonly everyMs: number;
  readonly awayMs: number;
  /** Nothing is cut after it, in milliseconds from the start. */
  readonly forMs: number;
  readonly seed: number;
};

/** When the connection of the client of this number is cut, in milliseconds from the start: the same for every contestant. */
export function momentsOf({ everyMs, forMs, seed }: Kills, client: number): number[] {
  const random = randomFrom(seed * 1_000_003 + client);
  const moments: number[] = [];
  // The first one anywhere, so that as many are cut in one second as in another.
  for (let at = random() * everyMs; at < forMs; at += everyMs * (2 / 3 + (random() * 2) / 3)) moments.push(at);
  return moments;
}

/** Numbers from 0 up to 1, always the same for a seed: `mulberry32`. */
function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
