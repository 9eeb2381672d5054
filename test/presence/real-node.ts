/** A node's presence on a real engine, that can be killed as a process is. */
import type { TestContext } from "node:test";
import { json } from "../../protocol/json.js";
import { jsonServer } from "../../protocol/json-server.js";
import type { Broker, EngineName, OpenBroker } from "../../server/engine/engine.js";
import type { OpenPresence } from "../../server/engine/presence.js";
import { realClock } from "../../server/presence/clock.js";
import { Rosters } from "../../server/presence/rosters.js";
import { defaultRules, type KindRules } from "../../server/room/rules.js";
import type { Roster, Seat } from "../../server/session/presence.js";
import { silent } from "../engine/redis-ground.js";
import { eventually } from "../support/eventually.js";
import { Reader } from "./reader.js";

export const ROOM = "chat:1";
/** Short, so that a test sees a lease lapse; still several times what a busy machine stands still. */
const SETTING_MS = 4500;
export const rules: KindRules = {
  ...defaultRules,
  engine: "redis",
  presence: { of: "asking", maxListed: 100, graceMs: 6000, intervalMs: 50 },
};

/** An engine that can be taken away. */
export type Ground = {
  readonly openBroker: OpenBroker;
  readonly openPresence: OpenPresence;
  kill(): Promise<void>;
  start(): Promise<void>;
};

/** Timers that do nothing any more once the process is said to be dead. */
function mortalClock() {
  let isDead = false;
  return {
    now: realClock.now,
    after: (ms: number, act: () => void) => realClock.after(ms, () => void (isDead || act())),
    kill: () => {
      isDead = true;
    },
  };
}

export class RealNode {
  readonly rosters: Rosters;
  readonly #clock = mortalClock();
  readonly #broker: Broker;
  readonly #presence: ReturnType<OpenPresence>;
  readonly #rosters = new Map<string, Roster>();
  readonly readers: Reader[] = [];
  /** Every user that readers here were told has left. */
  readonly left: string[] = [];
  #isGone = false;

  constructor(t: TestContext, instance: string, ground: Ground) {
    this.#broker = ground.openBroker(
      (room, _epoch, events) => void (this.#isGone || this.rosters.deliver(room, events)),
      (room) => void (this.#isGone || this.rosters.suspect(room)),
    );
    this.#presence = ground.openPresence();
    this.rosters = new Rosters({
      instance,
      broker: this.#broker,
      engines: new Map<EngineName, OpenPresence>([["redis", () => this.#presence]]),
      fanout: { publish: (_topic, _codec, frame) => this.#publish(frame) },
      leaseMs: SETTING_MS,
      checkMs: 1000,
      log: silent,
      clock: this.#clock,
    });
    t.after(() => this.close());
  }

  #publish(frame: string | Uint8Array): void {
    const parsed = json.decode(frame);
    if (this.#isGone || parsed?.type !== "presence") return;
    this.left.push(...parsed.left.map(({ user }) => user));
    for (const reader of this.readers) reader.receive(parsed);
  }

  async isWell(): Promise<void> {
    const problems = () => [...this.#broker.problems(), ...this.#presence.problems()];
    await eventually(() => problems().length === 0, `the engine never came up: ${problems()}`);
  }

  async #roster(): Promise<Roster> {
    const roster = this.rosters.hold(ROOM, rules);
    this.#rosters.set(ROOM, roster);
    await roster.ready();
    return roster;
  }

  async enter(session: string, user: string | undefined, info?: unknown): Promise<Seat> {
    return (await this.#roster()).enter({ session, user, info });
  }

  async read(): Promise<Reader> {
    const roster = await this.#roster();
    roster.addReader(jsonServer);
    const reader = new Reader(roster.view());
    this.readers.push(reader);
    return reader;
  }

  async page() {
    return await this.rosters.page(ROOM, rules, { limit: 100 });
  }

  /** Resolves once it has renewed its lease so many times, from now on. */
  async beats(times: number): Promise<void> {
    const { beats, reads } = this.rosters.numbers;
    const isEnough = () => this.rosters.numbers.beats >= beats + times && this.rosters.numbers.reads > reads;
    await eventually(isEnough, "no renewals", 60_000);
  }

  /** Resolves once it has tried to so many times, from now on. */
  async tries(times: number): Promise<void> {
    const { beats } = this.rosters.numbers;
    await eventually(() => this.rosters.numbers.beats >= beats + times, "no renewals are tried", 60_000);
  }

  /** The process is gone, and its connections with it. */
  async crash(): Promise<void> {
    this.#isGone = true;
    this.#clock.kill();
    await Promise.all([this.#broker.close(), this.#presence.close()]);
  }

  async close(): Promise<void> {
    if (this.#isGone) return;
    await this.rosters.close(1000);
    this.#isGone = true;
    await Promise.all([this.#broker.close(), this.#presence.close()]);
  }
}
