import assert from "node:assert/strict";
import type { ServerCodec, Wire } from "../../protocol/codec.js";
import type { EngineName } from "../../server/engine/engine.js";
import { createLog } from "../../server/log.js";
import { Rosters } from "../../server/presence/rosters.js";
import { defaultRules, type KindRules } from "../../server/room/rules.js";
import type { Clock, VirtualTime } from "../support/virtual-time.js";
import type { EngineLink, SimulatedEngine } from "./simulated-engine.js";
import type { Stay, Times } from "./truth.js";

type Publish = (topic: string, codec: ServerCodec, frame: Wire) => void;
export type NodeOptions = { readonly times: Times; readonly maxListed: number };

/** A node's presence, on its way to the simulated engine. */
export class SimulatedNode {
  readonly name: string;
  readonly clock: Clock;
  readonly link: EngineLink;
  readonly rosters: Rosters;
  readonly rules: KindRules;
  state: "up" | "closing" | "gone" = "up";
  /** Since when it cannot reach the engine. */
  cutAt: number | undefined;
  /** Stays that ended while nobody could be told. */
  readonly endedWhileCut = new Set<Stay>();
  #blindSince = 0;
  #healedAt = Number.NEGATIVE_INFINITY;
  readonly #toldAt = new Map<string, number>();
  readonly #time: VirtualTime;
  /** How many calls the engine had when it ended. */
  #atEnd: number | undefined;

  constructor(name: string, time: VirtualTime, engine: SimulatedEngine, options: NodeOptions, publish: Publish) {
    this.name = name;
    this.#time = time;
    this.clock = time.clock();
    this.link = engine.link(this.clock);
    const { graceMs, intervalMs, settingMs, checkMs } = options.times;
    const { maxListed } = options;
    this.rules = { ...defaultRules, presence: { of: "asking", maxListed, graceMs, intervalMs } };
    const broker = this.link.broker(
      (room, _epoch, events) => this.rosters.deliver(room, events),
      (room) => this.rosters.suspect(room),
    );
    this.rosters = new Rosters({
      instance: name,
      broker,
      engines: new Map<EngineName, () => ReturnType<EngineLink["presence"]>>([["memory", () => this.link.presence()]]),
      fanout: { publish: (topic, codec, frame) => publish(topic, codec, frame) },
      leaseMs: settingMs,
      checkMs,
      log: createLog({ level: "silent" }),
      clock: this.clock,
    });
  }

  /** Frames that tell of changes do not come closer together than the rules say. */
  holdApart(topic: string, codec: string, now: number, intervalMs: number): void {
    const key = `${codec} ${topic}`;
    const before = this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY;
    assert.ok(now - before >= intervalMs - 0.001, `${this.name}: frames ${now - before} ms apart`);
    this.#toldAt.set(key, now);
  }

  cut(): void {
    this.cutAt = this.#time.now;
    this.#blindSince = Math.min(this.blindSince(this.cutAt, 4000) ?? this.cutAt, this.cutAt);
    this.link.cut();
  }

  /** Since when it has been cut off, if that is not so long ago that it has caught up. */
  blindSince(now: number, catchUpMs: number): number | undefined {
    return this.cutAt !== undefined || now < this.#healedAt + catchUpMs ? this.#blindSince : undefined;
  }

  heal(): void {
    this.cutAt = undefined;
    this.#healedAt = this.#time.now;
    this.link.heal();
  }

  kill(): void {
    this.state = "gone";
    this.link.kill();
  }

  async close(): Promise<void> {
    this.state = "closing";
    await this.rosters.close(2000);
    this.state = "gone";
    this.link.close();
  }

  /** By now all is done that was under way at its end. */
  hasEnded(): void {
    this.#atEnd = this.link.calls;
  }

  /** After its end it asked for nothing, and waits for nothing. */
  assertEnded(): void {
    assert.equal(this.state, "gone", `${this.name} has ended`);
    assert.equal(this.clock.waiting, 0, `${this.name} left timers`);
    if (this.#atEnd !== undefined)
      assert.equal(this.link.calls, this.#atEnd, `${this.name} asks the engine after its end`);
  }

  /** Nothing is kept any more of rooms that nobody is in. */
  assertEmpty(): void {
    const { rosters, members } = this.rosters.numbers;
    assert.deepEqual({ rosters, members }, { rosters: 0, members: 0 }, `${this.name} keeps rooms that nobody is in`);
    assert.equal(this.link.subscribed, 0, `${this.name} hears of rooms that nobody is in`);
  }
}
