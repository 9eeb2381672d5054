/** Moves at any moment, over links that lag each in its own way: the application sees a run as if there were one link. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { connect } from "../../client/index.js";
import { type TestConnection, TestTransport } from "../../client/testing.js";
import type { ClientFrame, ServerFrame } from "../../protocol/frames.js";
import { Random } from "../support/random.js";
import { event, settle } from "./support.js";

const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 150);
/** Keeps a log; the other room of the tests keeps none. */
const LOGGED = "logged:1";
const PLAIN = "plain:1";

type Step =
  | { readonly do: "publish" | "plain" | "own" | "call" | "join" | "leave" | "move" | "cut" | "refuse" }
  | { readonly do: "pass"; readonly ms: number };

const simple = (weight: number, name: Exclude<Step["do"], "pass">) => ({
  weight,
  arbitrary: fc.constant({ do: name } as const),
});
const calmSteps = [
  simple(5, "publish"),
  simple(4, "plain"),
  simple(3, "own"),
  simple(1, "call"),
  simple(1, "join"),
  simple(1, "leave"),
  simple(3, "move"),
  { weight: 15, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 50 }) }) },
];
const scriptOf = (...more: ReturnType<typeof simple>[]) =>
  fc.array(fc.oneof(...calmSteps, ...more), { minLength: 1, maxLength: 120, size: "max" });

/** A connection whose frames are on their way, in both directions, until they are let through. */
type Line = {
  readonly connection: TestConnection;
  readonly up: ClientFrame[];
  readonly down: ServerFrame[];
  readonly rooms: Set<string>;
  isWelcomed: boolean;
};

/** Nodes with one log. Each connection is to a node of its own. */
class Nodes {
  readonly lines: Line[] = [];
  readonly log: unknown[] = [];
  /** The next connection is refused. */
  refuses = false;
  readonly #keys = new Map<string | undefined, number>();
  #plain = 0;

  constructor(transport: TestTransport) {
    transport.onOpen = (connection) => {
      if (this.refuses) {
        this.refuses = false;
        return connection.cut(4101, '{"retryMs":30}');
      }
      const line: Line = { connection, up: [], down: [], rooms: new Set(), isWelcomed: false };
      connection.onFrame = (frame) => line.up.push(frame);
      this.lines.push(line);
      connection.accept();
    };
  }

  get open(): Line[] {
    return this.lines.filter(({ connection }) => connection.state === "open");
  }

  append(data: unknown): number {
    this.log.push(data);
    const offset = this.log.length;
    this.#toAll({ type: "events", room: LOGGED, previous: offset - 1, events: [event(offset, data)] });
    return offset;
  }

  /** Now and then the same thing twice within a millisecond. */
  plain(isTwin: boolean): number {
    this.#plain += isTwin ? 0 : 1;
    this.#toAll({ type: "events", room: PLAIN, events: [event(undefined, this.#plain)] });
    return this.#plain;
  }

  /** Lets one frame through on this line, if there is one. */
  step(line: Line, isUp: boolean): void {
    if (isUp) {
      const frame = line.up.shift();
      if (frame !== undefined) this.#answer(line, frame);
    } else {
      const frame = line.down.shift();
      if (frame !== undefined) line.connection.send(frame);
    }
  }

  #toAll(frame: ServerFrame & { readonly room: string }): void {
    for (const { rooms, down } of this.open) if (rooms.has(frame.room)) down.push(frame);
  }

  #answer(line: Line, frame: ClientFrame): void {
    const { down, rooms } = line;
    const { id = -1 } = frame;
    if (frame.type === "hello") {
      const limits = { maxFrameBytes: 65_536, maxRooms: 10, maxRequests: 4 };
      down.push({ type: "welcome", id, session: "s", node: "n", resumed: false, heartbeatMs: 600_000, limits });
      line.isWelcomed = true;
    } else if (frame.type === "join") {
      down.push(this.#joined(frame));
      rooms.add(frame.room);
    } else if (frame.type === "leave") {
      rooms.delete(frame.room);
      down.push({ type: "left", id });
    } else if (frame.type === "call") down.push({ type: "result", id, data: frame.data });
    else if (frame.type === "publish") {
      const offset = this.#keys.get(frame.key) ?? this.append(frame.data);
      this.#keys.set(frame.key, offset);
      down.push({ type: "published", id, position: { epoch: "e", offset } });
    }
  }

  #joined({ id, room, since }: ClientFrame<"join">): ServerFrame<"joined"> {
    const type = "joined" as const;
    if (room !== LOGGED) return { type, id, room, recovered: false, events: [] };
    const from = since?.offset ?? this.log.length;
    const events = this.log.slice(from).map((data, index) => event(from + index + 1, data));
    return {
      type,
      id,
      room,
      position: { epoch: "e", offset: this.log.length },
      recovered: since !== undefined,
      events,
    };
  }
}

type Run = {
  readonly nodes: Nodes;
  readonly logged: unknown[];
  readonly plain: unknown[];
  /** How often each thing was published in the room without history. */
  readonly plainSent: Map<unknown, number>;
  /** Whether another move was told before the last one was over: then what is not numbered may come twice. */
  readonly wasHurried: boolean;
  readonly changes: string[];
  readonly published: PromiseSettledResult<unknown>[];
  readonly calls: PromiseSettledResult<unknown>[];
};

async function play(t: TestContext, script: readonly Step[], seed: number): Promise<Run> {
  const random = new Random(seed);
  const transport = new TestTransport();
  const nodes = new Nodes(transport);
  const client = connect("ws://example.test", { transport, random: () => 0 });
  const pass = async (ms: number, isAll: boolean): Promise<void> => {
    t.mock.timers.tick(ms);
    await settle();
    for (const line of nodes.open) {
      for (const isUp of [true, false]) if (isAll || random.chance(0.5)) nodes.step(line, isUp);
    }
  };
  const rest = async (): Promise<void> => {
    for (let count = 0; count < 100; count++) await pass(10, true);
  };
  const [logged, plain, changes]: [unknown[], unknown[], string[]] = [[], [], []];
  const plainSent = new Map<unknown, number>();
  const [own, calls]: [Promise<unknown>[], Promise<unknown>[]] = [[], []];
  const room = client.room(LOGGED);
  client.room(PLAIN).onAny(({ data }) => plain.push(data));
  room.onAny(({ data }) => logged.push(data));
  await rest();
  client.on("state", ({ status }) => changes.push(status));
  room.onState(({ status }) => changes.push(`room ${status}`));
  room.onReset(() => changes.push("reset"));
  client.room(PLAIN).onState(({ status }) => changes.push(`plain ${status}`));
  let others = 0;
  let wasHurried = false;
  const act = (step: Step): void => {
    const line = random.pick(nodes.open);
    if (step.do === "publish") nodes.append(`by others ${nodes.log.length}`);
    else if (step.do === "plain") {
      const data = nodes.plain(random.chance(0.3));
      plainSent.set(data, (plainSent.get(data) ?? 0) + 1);
    } else if (step.do === "own") own.push(room.publish("message", `own ${own.length}`));
    else if (step.do === "call") {
      const call = client.call("echo", calls.length);
      call.catch(() => {});
      calls.push(call);
    } else if (step.do === "join") void client.room(`other:${others++}`).join();
    else if (step.do === "leave") client.room(`other:${others - 1}`).leave();
    else if (step.do === "refuse") nodes.refuses = true;
    else if (step.do === "cut") line?.connection.cut();
    else if (step.do === "move" && line?.isWelcomed) {
      wasHurried ||= nodes.open.length > 1;
      line.down.push({ type: "move", afterMs: random.below(60), deadlineMs: 10_000, reason: "draining" });
    }
  };
  try {
    for (const step of script) {
      act(step);
      if (step.do === "pass") await pass(step.ms, false);
    }
    await rest();
    // Each of the rooms still hears.
    nodes.append("last");
    plainSent.set(nodes.plain(false), 1);
    await rest();
    client.close();
    const [published, called] = [await Promise.allSettled(own), await Promise.allSettled(calls)];
    return { nodes, logged, plain, plainSent, wasHurried, changes, published, calls: called };
  } finally {
    client.close();
  }
}

/** Everything of the log, once and in order; of the other room each thing at most as often as it was published. */
function checkRun({ nodes, logged, plain, plainSent, wasHurried, published }: Run): void {
  assert.deepEqual(logged, nodes.log, "the log, once and in order");
  for (const data of new Set(plain)) {
    const times = plain.filter((each) => each === data).length;
    const most = wasHurried ? times : (plainSent.get(data) ?? 0);
    assert.ok(times <= most, `${data} of the room without history came ${times} times`);
  }
  assert.equal(plain.at(-1), [...plainSent.keys()].at(-1), "the room without history still hears");
  assert.deepEqual(
    nodes.log.filter((data) => String(data).startsWith("own")),
    published.map((_, index) => `own ${index}`),
    "each publish once, in order",
  );
  assert.ok(published.every(({ status }) => status === "fulfilled"));
}

test("moves at any moment: nothing is missed or repeated, no call is lost, and no state changes", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  await fc.assert(
    fc.asyncProperty(scriptOf(), fc.integer(), async (script, seed) => {
      const run = await play(t, script, seed);
      checkRun(run);
      assert.deepEqual(
        run.calls.map((call) => call.status === "fulfilled" && call.value),
        run.calls.map((_, index) => index),
      );
      assert.deepEqual(
        run.changes.filter((change) => change !== "closed" && !change.endsWith("left")),
        [],
      );
      assert.equal(run.nodes.open.length, 0);
    }),
    { numRuns: RUNS },
  );
});

test("moves among cuts and refusals: nothing is missed or repeated, and each publish is in the log once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  await fc.assert(
    fc.asyncProperty(scriptOf(simple(2, "cut"), simple(1, "refuse")), fc.integer(), async (script, seed) => {
      const run = await play(t, script, seed);
      checkRun(run);
      assert.equal(run.changes.includes("reset"), false);
    }),
    { numRuns: RUNS },
  );
});
