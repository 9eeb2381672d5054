/** A node's rooms on a log in memory, watched. */
import type { TestContext } from "node:test";
import type { NewEvent } from "../../protocol/event.js";
import { json } from "../../protocol/json.js";
import { Payload } from "../../protocol/payload.js";
import {
  type Broker,
  type Deliver,
  EngineError,
  type History,
  type Range,
  type Suspect,
} from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";
import { Rooms } from "../../server/room/rooms.js";
import { defaultRules, type KindRules } from "../../server/room/rules.js";
import type { Cut } from "../../server/room/stitch.js";

/** A memory broker whose calls are counted, and can be made to fail or to lose deliveries. */
export class WatchedBroker implements Broker {
  readonly #broker: MemoryBroker;
  subscribes = 0;
  unsubscribes = 0;
  reads = 0;
  failing = false;
  losing = false;
  /** How many reads are under way, and were at the most. */
  underWay = 0;
  mostUnderWay = 0;
  /** Changes what the log answers. */
  answer: (history: History, range: Range) => History = (history) => history;
  readonly suspect: Suspect;

  constructor(log: MemoryLog, deliver: Deliver, suspect: Suspect) {
    this.suspect = suspect;
    this.#broker = new MemoryBroker(log, (...delivery) => {
      if (!this.losing) deliver(...delivery);
    });
  }

  publish(room: string, event: NewEvent, rules: KindRules) {
    return this.#broker.publish(room, event, rules);
  }

  subscribe(room: string, rules: KindRules): Promise<void> {
    this.subscribes++;
    if (this.failing) return Promise.reject(new EngineError("unavailable", "the engine is away"));
    return this.#broker.subscribe(room, rules);
  }

  unsubscribe(room: string): Promise<void> {
    this.unsubscribes++;
    return this.#broker.unsubscribe(room);
  }

  async history(room: string, range: Range, limit: number, rules: KindRules): Promise<History> {
    this.reads++;
    if (this.failing) throw new EngineError("unavailable", "the engine is away");
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    const history = await this.#broker.history(room, range, limit, rules);
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay--;
    return this.answer(history, range);
  }

  problems(): readonly string[] {
    return this.#broker.problems();
  }

  close(): Promise<void> {
    return this.#broker.close();
  }
}

type Setting = { readonly rules?: Partial<KindRules>; readonly lingerMs?: number; readonly checkMs?: number };

export function nodeOf(t: TestContext, { rules = {}, lingerMs = 60_000, checkMs = 0 }: Setting = {}) {
  const log = new MemoryLog({ maxBytes: 1 << 24 });
  const frames: { type: string; previous?: number; events?: readonly { data: unknown }[] }[] = [];
  const kind = { ...defaultRules, ...rules };
  const rooms = new Rooms({
    openBroker: (deliver, suspect) => new WatchedBroker(log, deliver, suspect),
    fanout: { publish: (_room, _codec, frame) => frames.push(json.decode(frame) as (typeof frames)[number]) },
    rulesFor: () => kind,
    lingerMs,
    checkMs,
  });
  t.after(() => rooms.close());
  const publish = (data: unknown) =>
    rooms.broker.publish("r:1", { event: "e", data: Payload.ofValue(data), at: 0 }, kind);
  const events = () => frames.map((frame) => frame.events?.map((event) => event.data));
  return { rooms, broker: rooms.broker as WatchedBroker, log, frames, events, publish };
}

/** A joiner that only notes its cut. */
export function joinerWith(cuts: Cut[]) {
  return {
    gone: false,
    pageBytes: 262_144,
    ready: () => undefined,
    page: () => undefined,
    cut: (cut: Cut) => void cuts.push(cut),
  };
}
