/** Nodes in one process that tell of rooms, with an application that hears it and an engine that may be away. */
import assert from "node:assert/strict";
import type test from "node:test";
import { EngineError } from "../../server/engine/engine.js";
import type { Ledger, Noted, Swap } from "../../server/engine/ledger.js";
import { MemoryLedger } from "../../server/engine/memory-ledger.js";
import { Ring } from "../../server/engine/ring.js";
import type { Announcement } from "../../server/hooks/announcing.js";
import { Occupancy } from "../../server/hooks/occupancy.js";
import type { Said } from "../../server/hooks/reports.js";
import { createLog } from "../../server/log.js";

const log = createLog({ level: "silent" });

/** What the application heard. */
export type Told = { readonly by: string; readonly type: string; readonly room: string; readonly id: string };

export type SimulatedNode = {
  readonly id: string;
  readonly occupancy: Occupancy;
  readonly here: Map<string, number>;
  isDead: boolean;
};

/** A node's way to the ledger. What is written may take its time, and its answer may be lost. */
class FarLedger implements Ledger {
  readonly #ledger: Ledger;
  readonly #way: () => Promise<void>;
  readonly #wrote: (count: number) => void;

  constructor(ledger: Ledger, way: () => Promise<void>, wrote: (count: number) => void) {
    this.#ledger = ledger;
    this.#way = way;
    this.#wrote = wrote;
  }

  async swap(swaps: readonly Swap[]): Promise<readonly (string | undefined)[]> {
    await this.#way();
    this.#wrote(swaps.filter(({ room, from, to }) => from !== to && room !== "$which").length);
    const now = await this.#ledger.swap(swaps);
    await this.#way();
    return now;
  }

  async *scan(): AsyncGenerator<readonly Noted[]> {
    for await (const page of this.#ledger.scan()) {
      await this.#way();
      yield page;
    }
  }

  problems(): readonly string[] {
    return this.#ledger.problems();
  }

  async close(): Promise<void> {}
}

export type NodesOptions = {
  /** How long what is said is on its way, in milliseconds. */
  readonly delay: () => number;
  readonly graceMs?: number;
  readonly gatherMs?: number;
};

/** Nodes whose questions and answers take their time; what one says to another comes in the order it was said. */
export class Nodes {
  readonly told: Told[] = [];
  readonly nodes: SimulatedNode[] = [];
  /** How many questions there were, and how many entries were written, at once in so many writes. */
  asked = 0;
  written = 0;
  writes = 0;
  readonly #options: NodesOptions;
  readonly #ways = new Map<string, Promise<void>>();
  fails = false;
  /** Whether the application takes what it is told, but its answer does not come. */
  isMute = false;
  readonly #unanswered = new Set<() => void>();
  /** How often nodes looked who is there. */
  looks = 0;
  /** Who is there, as all nodes know. */
  present: string[] = [];
  /** Who hears nobody, and who is not heard. */
  readonly deaf = new Set<string>();
  readonly unseen = new Set<string>();
  readonly draining = new Set<string>();
  /** How often, of a hundred times, an answer is lost: of nodes, and of the engine. */
  losses = 0;
  readonly #chance: () => number;
  entries = new Map<string, string>();

  constructor(count: number, options: NodesOptions, chance: () => number = Math.random) {
    this.#options = options;
    this.#chance = chance;
    for (let index = 0; index < count; index++) this.start();
  }

  /** Another node comes. */
  start(): SimulatedNode {
    const id = `node ${this.nodes.length}`;
    const { graceMs = 5, gatherMs = 1 } = this.#options;
    const isAway = () => node.isDead || this.fails || this.deaf.has(id);
    const way = async () => {
      await new Promise((resolve) => setTimeout(resolve, this.#options.delay()));
      if (isAway() || this.#isLost()) throw new EngineError("unavailable", "the engine is away", 1);
    };
    const wrote = (count: number) => {
      this.written += count;
      if (count > 0) this.writes++;
    };
    const entries = () => new MemoryLedger(this.entries);
    const ledger: Ledger = {
      swap: (swaps) => entries().swap(swaps),
      scan: () => entries().scan(),
      problems: () => [],
      close: async () => undefined,
    };
    const occupancy = new Occupancy({
      id: () => id,
      nodes: () => this.#seenBy(id).map((each) => ({ id: each, draining: this.draining.has(each) })),
      ring: (ids) => new Ring(ids.map((name) => ({ name, weight: 1 }))),
      isCutOff: () => {
        this.looks++;
        return this.fails || this.deaf.has(id);
      },
      ask: (reports) => this.#ask(node, reports),
      ledger: new FarLedger(ledger, way, wrote),
      covers: (room) => !room.startsWith("untold"),
      tell: (announcement) => this.#hear(node, announcement),
      log,
      ...{ lookMs: 10, unknownMs: 100, graceMs, gatherMs },
    });
    const node: SimulatedNode = { id, occupancy, here: new Map(), isDead: false };
    this.nodes.push(node);
    this.present.push(id);
    return node;
  }

  #isLost(): boolean {
    return this.#chance() * 100 < this.losses;
  }

  #seenBy(id: string): string[] {
    return this.present.filter((each) => each === id || !this.unseen.has(each));
  }

  #hear(node: SimulatedNode, { type, room, id, ended }: Announcement): void {
    const hear = () => {
      if (node.isDead) return;
      this.told.push({ by: node.id, type, room, id });
      if (this.isMute) this.#unanswered.add(ended);
      else setTimeout(() => node.isDead || ended(), this.#options.delay());
    };
    setTimeout(hear, this.#options.delay());
  }

  /** Whether the engine is away. */
  fail(fails: boolean): void {
    this.fails = fails;
  }

  /** From now on so many of a hundred answers are lost. */
  lose(percent: number): void {
    this.losses = percent;
  }

  mute(): void {
    this.isMute = true;
  }

  /** The application answers again, also what it was told meanwhile. */
  answer(): void {
    this.isMute = false;
    for (const ended of this.#unanswered) ended();
    this.#unanswered.clear();
  }

  #send(from: string, to: string): Promise<void> {
    const way = `${from}>${to}`;
    const before = this.#ways.get(way) ?? Promise.resolve();
    const delay = new Promise((resolve) => setTimeout(resolve, this.#options.delay()));
    const arrived = Promise.all([before, delay]).then(() => undefined);
    this.#ways.set(way, arrived);
    return arrived;
  }

  async #ask({ id: from, isDead }: SimulatedNode, reports: readonly string[]): Promise<Said> {
    this.asked++;
    if (isDead || this.fails || this.deaf.has(from)) throw new Error("the engine is away");
    let isWhole = true;
    const seen = this.#seenBy(from);
    const answers = this.nodes.map(async (node) => {
      const { id, occupancy } = node;
      if (id === from || !this.present.includes(id)) return [];
      await this.#send(from, id);
      const isHeard = () => !node.isDead && !this.deaf.has(id) && !this.unseen.has(from);
      const said = isHeard() && !this.#isLost() ? occupancy.take(reports, from) : undefined;
      await this.#send(id, from);
      if (said !== undefined && isHeard() && !this.#isLost()) return said;
      // Who says goodbye meanwhile is not waited for.
      if (seen.includes(id) && this.present.includes(id)) isWhole = false;
      return [];
    });
    const said = (await Promise.all(answers)).flat();
    if (this.fails || this.deaf.has(from)) throw new Error("the engine is away");
    return { said, isWhole };
  }

  /** Someone comes into the room on a node, or leaves it. */
  move(index: number, room: string, by: 1 | -1): void {
    const node = this.nodes[index] as SimulatedNode;
    if (node.isDead) return;
    const before = node.here.get(room) ?? 0;
    const after = Math.max(0, before + by);
    node.here.set(room, after);
    if (before > 0 !== after > 0) node.occupancy.changed(room, after > 0);
  }

  /** As `kill -9`; the others notice at once, or when `miss` is called. */
  kill(index: number, isNoticed = true): void {
    const node = this.nodes[index] as SimulatedNode;
    node.isDead = true;
    node.here.clear();
    void node.occupancy.close(0);
    if (isNoticed) this.miss();
  }

  /** The leases of those that were killed have ended. */
  miss(): void {
    const dead = new Set(this.nodes.flatMap(({ isDead, id }) => (isDead ? [id] : [])));
    this.present = this.present.filter((id) => !dead.has(id));
  }

  /** As SIGTERM: its clients have gone elsewhere, it tells what there is to tell and goes. */
  async stop(index: number, withinMs = 20_000): Promise<void> {
    const node = this.nodes[index] as SimulatedNode;
    this.draining.add(node.id);
    for (const [room, count] of node.here) for (let left = count; left > 0; left--) this.move(index, room, -1);
    await node.occupancy.close(withinMs);
    node.isDead = true;
    this.present = this.present.filter((id) => id !== node.id);
  }

  isHere(room: string): boolean {
    return this.nodes.some(({ here }) => (here.get(room) ?? 0) > 0);
  }

  /** What was told of the room, without repeats of one id. */
  of(room: string): string[] {
    const ids = new Set<string>();
    const told = this.told.filter((each) => each.room === room && !ids.has(each.id) && ids.add(each.id));
    return told.map(({ type }) => type);
  }

  /** Whether everything that was to be decided is. */
  get isQuiet(): boolean {
    return this.nodes.every(({ isDead, occupancy }) => isDead || occupancy.isQuiet);
  }

  /** Holds that occupied and vacated took turns in the room, and that what was told last is so. */
  check(room: string, wasOccupied: boolean): void {
    const told = this.of(room);
    const all = this.told.filter((each) => each.room === room).map(({ by, type, id }) => `${by} ${type} ${id}`);
    const what = `${room}: ${told}\n${all.join("\n")}`;
    for (const [index, type] of told.entries()) {
      assert.equal(type, index % 2 === 0 ? "occupied" : "vacated", what);
    }
    const last = this.isHere(room) ? "occupied" : wasOccupied || told.length > 0 ? "vacated" : undefined;
    assert.equal(told.at(-1), last, what);
    assert.equal(this.entries.has(room), this.isHere(room), "only occupied rooms have an entry");
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map(({ isDead, occupancy }) => isDead || occupancy.close(1000)));
  }
}

export function nodesFor(t: test.TestContext, count: number, options: NodesOptions, chance?: () => number): Nodes {
  const nodes = new Nodes(count, options, chance);
  t.after(() => nodes.end());
  return nodes;
}
