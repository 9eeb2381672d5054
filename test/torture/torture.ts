/** What a row works with: nodes, crowds and services that end with it, and a word to whoever watches. */
import { setTimeout as pause } from "node:timers/promises";
import type { SettingsInput } from "../../server/server.js";
import type { Scope } from "../support/services/scope.js";
import { Crowd, type Told } from "./crowd.js";
import type { Progress } from "./crowd-protocol.js";
import { NodeProcess } from "./node-process.js";

/** How often it is looked whether something has happened, in milliseconds. */
const LOOK_MS = 50;

export class Torture implements Scope {
  readonly #ends: (() => Promise<void>)[] = [];
  readonly #say: (line: string) => void;
  readonly nodes: NodeProcess[] = [];

  /** `say` is told how it goes. */
  constructor(say: (line: string) => void = () => undefined) {
    this.#say = say;
  }

  after(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  say(line: string): void {
    this.#say(line);
  }

  /** Ends everything, the last first, whatever happens in between. */
  async close(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) {
      await end().catch((error: unknown) => this.#say(`while ending: ${String(error)}`));
    }
  }

  async startNodes(count: number, settings: SettingsInput): Promise<NodeProcess[]> {
    // A whole crowd stands at one address here, and one client publishes for many.
    const crowd = {
      ...{ addressRate: 1_000_000, addressConnections: 1_000_000, requestRate: 1_000_000, byteRate: 1_073_741_824 },
      ...settings,
    };
    const nodes = await Promise.all(Array.from({ length: count }, () => NodeProcess.start(this, crowd)));
    this.nodes.push(...nodes);
    return nodes;
  }

  /**
   * Clients of these nodes, in so many processes. `maxDelayMs` is theirs: less than what it is by default makes up for
   * restarts that follow each other faster than they would.
   */
  startCrowd(nodes: readonly { readonly url: string }[], processes = 1, maxDelayMs = 30_000): Promise<Crowd> {
    const urls = nodes.map((node) => node.url);
    return Crowd.start(this, urls, processes, maxDelayMs);
  }

  /** Lets what goes on go on, and tells how far it is. */
  async load(crowd: Crowd, forMs: number, what: string): Promise<void> {
    const until = performance.now() + forMs;
    for (;;) {
      const leftMs = until - performance.now();
      if (leftMs <= 0) return;
      await pause(Math.min(leftMs, 1000));
      const { published, deliveries, joined, waiting } = await crowd.progress();
      const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      this.#say(
        `${what}: ${left} s left, ${joined} joined, ${published} published, ${waiting} waiting, ${deliveries} seen`,
      );
    }
  }

  /** Looks until `done`; resolves with whether it came to that in time. */
  async until(done: () => Promise<boolean> | boolean, withinMs: number): Promise<boolean> {
    const until = performance.now() + withinMs;
    while (!(await done())) {
      if (performance.now() > until) return false;
      await pause(LOOK_MS);
    }
    return true;
  }

  /** Resolves once so many rooms of so many clients are joined; rejects when they never are. */
  async joined(crowd: Crowd, count: number, withinMs = 60_000): Promise<void> {
    let joined = 0;
    const all = await this.until(async () => {
      joined = (await crowd.progress()).joined;
      this.#say(`joining: ${joined} of ${count}`);
      return joined >= count;
    }, withinMs);
    if (!all) throw new Error(`expected ${count} joined rooms, got ${joined}`);
  }

  /**
   * Ends the publishing, waits until each publish is answered and each subscriber is at the end of its rooms' logs, and
   * collects. What has not come in time is missing from what is told: the checker finds it.
   */
  async settle(crowd: Crowd, withinMs = 30_000): Promise<Told> {
    await crowd.stop();
    let last: Progress | undefined;
    const done = await this.until(async () => {
      const { ends } = await crowd.progress();
      last = await crowd.progress(ends);
      this.#say(`settling: ${last.waiting} publishes wait, ${last.behind} subscribers are behind`);
      return last.waiting === 0 && last.behind === 0;
    }, withinMs);
    if (!done) this.#say(`not settled: ${last?.waiting} publishes wait, ${last?.behind} subscribers are behind`);
    // What should not come any more may be on its way: a repeat, say.
    await pause(500);
    this.#say("collecting");
    return crowd.collect();
  }
}
