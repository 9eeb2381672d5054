/** Random lives of a cluster: what happens in them, and what is held of each. */
import type { TestContext } from "node:test";
import fc from "fast-check";
import { Random } from "../support/random.js";
import type { Times } from "./truth.js";
import { World } from "./world.js";

export const ROOMS = ["chat:a", "chat:b"] as const;
/** Of each client; `undefined`: it is nobody. */
const USERS = ["ann", "ann", "bob", "bob", "cat", "dan", undefined, undefined, "eve", "fay"] as const;
export const TIMES: Times = {
  settingMs: 15_000,
  checkMs: 10_000,
  leaseMs: 10_500,
  beatMs: 3_100,
  graceMs: 10_000,
  intervalMs: 500,
};

export type Seen = {
  frames: number;
  left: number;
  checks: number;
  steady: number;
  counted: number;
  resumed: number;
  upset: number;
};

export type Command = {
  readonly do:
    | "enter"
    | "leave"
    | "lose"
    | "connect"
    | "renew"
    | "inform"
    | "crash"
    | "drain"
    | "start"
    | "blink"
    | "cut"
    | "lossy"
    | "outage"
    | "forget";
  /** Which client, node and room of those that there are. */
  readonly client: number;
  readonly node: number;
  readonly room: number;
  /** How long a fault lasts, as a part of what is usual. */
  readonly part: number;
  /** How much time passes after it, in milliseconds. */
  readonly passes: number;
};

export type Life = {
  readonly seed: number;
  readonly maxListed: number;
  /** What goes wrong: clients and nodes alone, the engine for all nodes too, or for one of them as well. */
  readonly faults: "nodes" | "outages" | "engine";
  readonly commands: readonly Command[];
};

const USUAL = [
  "enter",
  "enter",
  "enter",
  "connect",
  "connect",
  "connect",
  "lose",
  "lose",
  "leave",
  "renew",
  "inform",
] as const;
const OF_NODES = ["crash", "drain", "start", "start", "blink"] as const;
const OF_ENGINE = {
  nodes: [],
  outages: ["lossy", "outage", "forget"],
  engine: ["cut", "cut", "lossy", "outage", "forget"],
} as const;

export function commands(faults: Life["faults"]): fc.Arbitrary<Command[]> {
  const acts = [...USUAL, ...USUAL, ...OF_NODES, ...OF_ENGINE[faults]];
  const command = fc.record({
    do: fc.constantFrom(...acts),
    client: fc.nat({ max: USERS.length - 1 }),
    node: fc.nat({ max: 2 }),
    room: fc.nat({ max: ROOMS.length - 1 }),
    part: fc.double({ min: 0.1, max: 1, noNaN: true }),
    passes: fc.constantFrom(0, 0, 1, 30, 80, 200, 700, 3000, 9000),
  });
  return fc.array(command, { minLength: 1, maxLength: 120, size: "max" });
}

function act(world: World, command: Command): Promise<void> | undefined {
  const { client: clientIndex, node: nodeIndex, room: roomIndex, part } = command;
  const client = world.clients[clientIndex];
  const room = ROOMS[roomIndex];
  const node = world.live[nodeIndex % Math.max(1, world.live.length)];
  if (client === undefined || room === undefined) return undefined;
  if (command.do === "leave") world.leave(client, room);
  else if (command.do === "lose") world.lose(client);
  else if (command.do === "inform") world.inform(client, { n: Math.round(part * 1000) });
  else if (command.do === "start" && world.live.length < 3) world.startNode();
  else if (command.do === "forget") world.loseData();
  else if (command.do === "lossy") world.lossy(0.3, part * 10_000);
  if (node === undefined) return undefined;
  if (command.do === "enter") {
    if (client.node === undefined) world.connect(client, node);
    world.enter(client, room);
  } else if (command.do === "connect") world.connect(client, node);
  else if (command.do === "renew") world.renew(client, node);
  else if (command.do === "crash") world.crash(node);
  else if (command.do === "drain") return world.drain(node);
  else if (command.do === "blink") world.cut(node, part * world.shortMs);
  else if (command.do === "cut") world.cut(node, part * 30_000);
  else if (command.do === "outage") for (const each of world.live) world.cut(each, part * 20_000, true);
  return undefined;
}

/** One life, from the first command until nothing is left. */
export async function live(t: TestContext, { seed, maxListed, commands: list }: Life, seen: Seen): Promise<void> {
  const random = new Random(seed);
  // What is compared often has more to do with what is told meanwhile; what is compared seldom finds less by itself.
  const times = { ...TIMES, checkMs: random.pick([1000, TIMES.checkMs, TIMES.checkMs * 3]) };
  const world = new World({ random, times, maxListed, users: USERS });
  const began = Date.UTC(2026, 0, 1);
  const mocks = [
    t.mock.method(Math, "random", () => random.next()),
    t.mock.method(Date, "now", () => began + Math.floor(world.time.now)),
  ];
  try {
    for (let count = 0; count < 3; count++) world.startNode();
    for (const command of list) {
      await act(world, command);
      await world.pass(command.passes);
    }
    await world.rest();
    await world.assertTruth(ROOMS);
    await world.end();
  } finally {
    for (const mock of mocks) mock.mock.restore();
    world.stop();
    for (const name of Object.keys(seen) as (keyof Seen)[]) seen[name] += world.tally[name];
  }
}
