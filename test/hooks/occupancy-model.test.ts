/** What is told of rooms while everything goes wrong, against what is so. `OCCUPANCY_SEEDS` is how many runs there are. */
import assert from "node:assert/strict";
import test from "node:test";
import { eventually } from "../support/eventually.js";
import { Random } from "../support/random.js";
import { type Nodes, nodesFor } from "./occupancy-support.js";

const SEEDS = Number(process.env["OCCUPANCY_SEEDS"] ?? 15);
const STEPS = 150;
const MOST_NODES = 5;
const rooms = ["a", "b", "c", "d", "e", "f", "g", "h"];

class Run {
  readonly #random: Random;
  readonly #nodes: Nodes;
  readonly #troubles: readonly (() => void)[];
  readonly ever = new Set<string>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(nodes: Nodes, random: Random) {
    this.#nodes = nodes;
    this.#random = random;
    this.#troubles = this.#all.filter(() => random.chance(0.4));
  }

  get #alive(): number[] {
    const { nodes, draining } = this.#nodes;
    return nodes.flatMap(({ isDead, id }, index) => (isDead || draining.has(id) ? [] : [index]));
  }

  #move(): void {
    for (let times = 1 + this.#random.below(3); times > 0; times--) {
      const room = this.#random.pick(rooms);
      const by = this.#random.chance(0.5) ? 1 : -1;
      if (by === 1) this.ever.add(room);
      this.#nodes.move(this.#random.pick(this.#alive), room, by);
    }
  }

  #end(): void {
    const index = this.#random.pick(this.#alive);
    if (this.#random.chance(0.5)) {
      const stopped = this.#nodes.stop(index, this.#random.below(2) * 30);
      this.#stopping.add(stopped);
      void stopped.then(() => this.#stopping.delete(stopped));
    } else this.#nodes.kill(index, this.#random.chance(0.5));
    // Somebody is always there in the end.
    if (this.#alive.length === 0) this.#nodes.start();
  }

  /** What may go wrong. Of these each run has some: one heals what another has done. */
  get #all(): (() => void)[] {
    const nodes = this.#nodes;
    const start = () => {
      if (this.#alive.length < MOST_NODES) nodes.start();
    };
    return [
      () => this.#end(),
      () => this.#end(),
      start,
      () => nodes.fail(!nodes.fails),
      () => nodes.lose(this.#random.below(2) * 20),
      () => (nodes.isMute ? nodes.answer() : nodes.mute()),
      () => this.#cutOff(`node ${this.#random.pick(this.#alive)}`),
    ];
  }

  step(): void {
    if (this.#troubles.length === 0 || this.#random.chance(0.85)) this.#move();
    else if (this.#random.chance(0.2)) this.#nodes.miss();
    else if (this.#random.chance(0.3)) this.#heal();
    else this.#random.pick(this.#troubles)();
  }

  /** A node hears nobody, or is not heard, or both. */
  #cutOff(id: string): void {
    const how = this.#random.below(4);
    if (how !== 0) this.#nodes.unseen.add(id);
    if (how !== 1) this.#nodes.deaf.add(id);
  }

  #heal(): void {
    this.#nodes.deaf.clear();
    this.#nodes.unseen.clear();
  }

  async rest(): Promise<void> {
    this.#nodes.fail(false);
    this.#nodes.lose(0);
    this.#nodes.miss();
    this.#heal();
    this.#nodes.answer();
    await Promise.all(this.#stopping);
    // Everybody has had the time to see who is there.
    const looks = this.#nodes.looks + 15 * this.#nodes.nodes.length;
    let quiet = 0;
    await eventually(() => {
      quiet = this.#nodes.isQuiet ? quiet + 1 : 0;
      return quiet > 10 && this.#nodes.looks > looks;
    }, "it never came to rest");
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`whatever goes wrong, each change is told once, in turn, and the last is so (seed ${seed})`, async (t) => {
    const random = new Random(seed);
    const nodes = nodesFor(t, 2 + random.below(3), { delay: () => random.below(4), graceMs: 3 }, () => random.next());
    const run = new Run(nodes, random);
    for (let step = 0; step < STEPS; step++) {
      run.step();
      if (random.chance(0.7)) await new Promise((resolve) => setTimeout(resolve, random.below(6)));
    }
    await run.rest();
    for (const room of run.ever) nodes.check(room, false);
    assert.ok(nodes.told.length > 0);
  });
}
