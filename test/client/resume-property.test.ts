/** Whatever the network does, the application sees a run without holes or repeats, or is told of a reset. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { connect } from "../../client/index.js";
import { type TestConnection, TestTransport } from "../../client/testing.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { type Position, samePosition } from "../../protocol/positions.js";
import { event } from "./support.js";

const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 150);

type Step =
  | { readonly do: "publish"; readonly count: number }
  /** The room's frames of that many publishes never arrive. */
  | { readonly do: "lose"; readonly count: number }
  | { readonly do: "repeat"; readonly back: number }
  /** The connection ends; what was on its way, answers too, is lost. */
  | { readonly do: "cut" }
  | { readonly do: "trim" }
  | { readonly do: "epoch" }
  | { readonly do: "send" }
  /** The room's token ends. */
  | { readonly do: "expire" }
  /** So many of the next joins and publishes are refused for the moment. */
  | { readonly do: "refuse"; readonly count: number }
  | { readonly do: "move" };

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("lose" as const), count: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("repeat" as const), back: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("cut" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("trim" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("epoch" as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("send" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("move" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("expire" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("refuse" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  ),
  { minLength: 1, maxLength: 30 },
) as fc.Arbitrary<Step[]>;

/** A server of one room "r": a log, keys, and whoever has joined. */
class ModelServer {
  epoch = 1;
  /** What was ever appended, by epoch, in order; the data is the offset, or the publisher's own. */
  readonly logs = new Map<number, { offset: number; data: unknown }[]>([[1, []]]);
  /** Events up to this offset are no longer kept. */
  trimmed = 0;
  isCalm = false;
  /** How many requests are still to be refused for the moment. */
  refusals = 0;
  readonly #keys = new Map<string, number>();
  readonly #joined = new Set<TestConnection>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  get log() {
    return this.logs.get(this.epoch) as { offset: number; data: unknown }[];
  }

  get position() {
    return { epoch: `e${this.epoch}`, offset: this.log.at(-1)?.offset ?? 0 };
  }

  attach(connection: TestConnection): void {
    connection.onFrame = (frame) => {
      if (frame.type === "hello") {
        const limits = { maxFrameBytes: 65_536, maxRooms: 10, maxRequests: 8 };
        const rest = { session: "s", node: "n", resumed: false, heartbeatMs: 20_000, limits };
        connection.send({ type: "welcome", id: frame.id, ...rest });
      } else if (this.refusals > 0 && frame.type !== "leave") {
        this.refusals--;
        const code = this.#random() < 0.5 ? "rate_limited" : "unavailable";
        connection.send({ type: "error", id: frame.id ?? -1, code, message: "not now", retryMs: 1 });
      } else if (frame.type === "join") this.#join(connection, frame);
      else if (frame.type === "publish") this.#publish(connection, frame);
    };
    connection.accept();
  }

  append(data: unknown, isLost: boolean): number {
    const previous = this.position.offset;
    const offset = previous + 1 + Math.floor(this.#random() * 2);
    this.log.push({ offset, data: data ?? offset });
    if (!isLost) this.#toAll({ type: "events", room: "r", previous, events: [event(offset, data ?? offset)] });
    return offset;
  }

  repeat(back: number): void {
    const last = this.log.slice(-back);
    const before = this.log.at(-back - 1)?.offset ?? 0;
    if (last.length === 0) return;
    this.#toAll({ type: "events", room: "r", previous: before, events: last.map((e) => event(e.offset, e.data)) });
  }

  expire(): void {
    this.#toAll({ type: "removed", room: "r", code: "expired" });
    this.#joined.clear();
  }

  newEpoch(): void {
    this.epoch++;
    this.logs.set(this.epoch, []);
    this.trimmed = 0;
    this.#toAll({ type: "reset", room: "r", position: this.position, reason: "the log was lost" });
  }

  #toAll(frame: ServerFrame): void {
    for (const connection of this.#joined) connection.send(frame);
  }

  #join(connection: TestConnection, frame: { id: number; since?: { epoch: string; offset: number } }): void {
    const { since } = frame;
    const missed = since === undefined ? [] : this.log.filter(({ offset }) => offset > since.offset);
    const recovered = since !== undefined && since.epoch === this.position.epoch && since.offset >= this.trimmed;
    // Half of it as a page, as a long recovery would be.
    const half = recovered && this.#random() < 0.5 ? Math.floor(missed.length / 2) : 0;
    const wire = missed.map(({ offset, data }) => event(offset, data));
    if (half > 0) {
      const previous = since?.offset ?? 0;
      connection.send({ type: "events", room: "r", previous, events: wire.slice(0, half) });
      if (!this.isCalm && this.#random() < 0.2) return connection.cut();
    }
    const answered = { type: "joined", id: frame.id, room: "r", position: this.position, recovered } as const;
    connection.send({ ...answered, events: recovered ? wire.slice(half) : [] });
    this.#joined.add(connection);
  }

  #publish(connection: TestConnection, frame: { id?: number; key?: string; data: unknown }): void {
    if (!this.isCalm && this.#random() < 0.2) return connection.cut();
    const key = frame.key ?? "";
    const offset = this.#keys.get(key) ?? this.append(frame.data, false);
    this.#keys.set(key, offset);
    if (!this.isCalm && this.#random() < 0.3) return connection.cut();
    connection.send({ type: "published", id: frame.id ?? -1, position: { ...this.position, offset } });
  }
}

function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

type Seen = number | { readonly reset: Position };

/** Applies what the application saw to what it may have seen: each event follows the one before it in its log. */
function check(model: ModelServer, seen: readonly Seen[]): void {
  let epoch = 1;
  let own = 0;
  for (const item of seen) {
    if (typeof item === "number") {
      const next = model.logs.get(epoch)?.find(({ offset }) => offset > own);
      assert.equal(item, next?.offset, `after ${epoch}:${own}`);
      own = item;
    } else {
      epoch = Number(item.reset.epoch.slice(1));
      own = item.reset.offset;
    }
  }
  assert.deepEqual({ epoch: `e${epoch}`, offset: own }, model.position, "the run reaches the log's end");
}

async function run(script: readonly Step[], seed: number): Promise<void> {
  const random = seeded(seed);
  const model = new ModelServer(random);
  const transport = new TestTransport();
  transport.onOpen = (connection) => model.attach(connection);
  const client = connect("ws://example.test", { transport, random: () => 0 });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  try {
    // Now and then it takes a while to get one.
    const token = () => (random() < 0.5 ? "t" : turn().then(() => "t"));
    const room = client.room("r", { token });
    const seen: Seen[] = [];
    room.onReset(({ position }) => position && seen.push({ reset: position }));
    room.onAny(({ offset }) => seen.push(offset ?? -1));
    await room.joined;
    const published: Promise<unknown>[] = [];
    for (const step of script) {
      const live = transport.connections.filter(({ state }) => state === "open");
      if (step.do === "publish") for (let i = 0; i < step.count; i++) model.append(undefined, false);
      else if (step.do === "lose") for (let i = 0; i < step.count; i++) model.append(undefined, true);
      else if (step.do === "repeat") model.repeat(step.back);
      else if (step.do === "cut") live[0]?.cut();
      else if (step.do === "trim") model.trimmed = model.position.offset;
      else if (step.do === "epoch") model.newEpoch();
      else if (step.do === "expire") model.expire();
      else if (step.do === "refuse") model.refusals += step.count;
      else if (step.do === "send") published.push(room.publish("message", `own-${published.length}`));
      else live.at(-1)?.send({ type: "move", afterMs: 0, deadlineMs: 10_000, reason: "drain" });
      if (random() < 0.5) await turn();
    }
    model.isCalm = true;
    await Promise.all(published);
    // One more event shows a hole at the end; then everything comes to rest.
    model.append(undefined, false);
    for (let count = 0; !samePosition(room.position, model.position) && count < 2000; count++) {
      // What was refused is asked again after a moment.
      await (count % 10 === 9 ? pause(1) : turn());
      if (count % 50 === 49) model.append(undefined, false);
    }
    check(model, seen);
    const own = [...model.logs.values()].flat().filter(({ data }) => typeof data === "string");
    assert.deepEqual(
      own.map(({ data }) => data),
      published.map((_, index) => `own-${index}`),
      "each publish is in the log once, in order",
    );
  } finally {
    client.close();
  }
}

test("whatever is cut, lost or repeated: no hole, no repeat, or a reset; each publish once, in order", async () => {
  await fc.assert(fc.asyncProperty(steps, fc.integer(), run), { numRuns: RUNS });
});
