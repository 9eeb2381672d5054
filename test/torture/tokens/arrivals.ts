import { setTimeout as pause } from "node:timers/promises";
import type { ServerFrame } from "../../../protocol/frames.js";
import { sayHello, shown } from "./asking.js";

/** Whoever is not let in by then never is, in milliseconds. */
const PATIENCE_MS = 30_000;
const SHOWN = 10;

/** A token to show, and whether it is to be honoured. */
export type Arrival = { readonly what: string; readonly token: string; readonly isGood: boolean };

/** Clients that come one after the other, whatever happens to the servers, and come back where they are asked to. */
export class Arrivals {
  readonly #urls: readonly string[];
  readonly #next: () => Arrival;
  readonly #under = new Set<Promise<void>>();
  #stopped = false;
  /** Good ones that were let in. */
  welcomed = 0;
  /** Good ones that were refused for good, and good ones that were never let in. */
  refused = 0;
  kept = 0;
  /** Bad ones that were let in, and bad ones that were not. */
  intruders = 0;
  turnedAway = 0;
  /** How often one was asked to come again since its key may not be known yet, and how long the last of them took, in milliseconds. */
  askedAgain = 0;
  longestMs = 0;
  readonly faults: string[] = [];

  constructor(urls: readonly string[], next: () => Arrival) {
    this.#urls = urls;
    this.#next = next;
  }

  /** Lets so many come each second, until it is stopped. */
  async run(perSecond: number): Promise<void> {
    for (let count = 0; !this.#stopped; count++) {
      const one: Promise<void> = this.#come(this.#next(), count).finally(() => this.#under.delete(one));
      this.#under.add(one);
      await pause(1000 / perSecond);
    }
    await Promise.all(this.#under);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #come(arrival: Arrival, count: number): Promise<void> {
    const since = performance.now();
    for (let tries = count; performance.now() - since < PATIENCE_MS; tries++) {
      const answer = await this.#hello(this.#urls[tries % this.#urls.length] as string, arrival.token);
      if (answer?.type === "welcome" || (answer?.type === "error" && answer.code !== "unavailable")) {
        this.#told(arrival, answer);
        this.longestMs = Math.max(this.longestMs, performance.now() - since);
        return;
      }
      if (answer?.type === "error") this.askedAgain++;
      await pause(answer?.type === "error" ? (answer.retryMs ?? 100) : 100);
    }
    if (!arrival.isGood) {
      this.turnedAway++;
      return;
    }
    this.kept++;
    this.#note(`${arrival.what}: never let in`);
  }

  /** `undefined` where the server is not there. */
  async #hello(url: string, token: string): Promise<ServerFrame | undefined> {
    try {
      return (await sayHello(url, token)).answer;
    } catch {
      return undefined;
    }
  }

  #told({ what, isGood }: Arrival, answer: ServerFrame): void {
    const isIn = answer.type === "welcome";
    if (isIn && isGood) this.welcomed++;
    else if (isIn) this.intruders++;
    else if (isGood) this.refused++;
    else this.turnedAway++;
    if (isIn !== isGood) this.#note(`${what}: ${shown(answer)}`);
  }

  #note(fault: string): void {
    if (this.faults.length < SHOWN) this.faults.push(fault);
  }
}
