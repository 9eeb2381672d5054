import type { SettingsInput } from "../../../server/server.js";
import { startNats } from "../../support/services/nats.js";
import { type Redis, startRedis } from "../../support/services/redis.js";
import { check } from "../checker.js";
import type { Crowd } from "../crowd.js";
import { latencies, spread, spreadText } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import { atLeast, counted, type Row, unbroken, type Verdict } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    ...{ clients: 300, roomCount: 300, roomsEach: 2, eventsPerSecond: 300, publishers: 50, processes: 2 },
    ...{ betweenMs: 6000, settledMs: 10_000, maxDelayMs: 30_000 },
    drain: {},
  },
  reduced: {
    ...{ clients: 20, roomCount: 40, roomsEach: 2, eventsPerSecond: 80, publishers: 8, processes: 1 },
    ...{ betweenMs: 500, settledMs: 500, maxDelayMs: 1000 },
    drain: { drainMs: 500, deadlineMs: 5000 },
  },
};
const NODES = 3;
const SHARDS = 4;

type Places = ReadonlyMap<string, string>;

/** A change of the shards: settings that are rolled out one after the other, each to all nodes. */
type Change = readonly SettingsInput[];
type Shards = {
  readonly before: SettingsInput;
  readonly grow: Change;
  readonly shrink: Change;
  /** Whether those who are in a room that moves are told `reset`. */
  readonly resets: boolean;
  /** Where each room is: a word for the place, which changes when the room moves. */
  readonly places: (crowd: Crowd) => Promise<Places>;
};

/** Step by step, as `docs/operations.md` has it. */
async function redisShards(torture: Torture): Promise<Shards> {
  const servers = await Promise.all(Array.from({ length: SHARDS }, () => startRedis(torture, { persistent: true })));
  const url = (index: number, weights = "") => `${servers[index]?.url}?name=s${index + 1}${weights}`;
  const three = [url(0), url(1), url(2)];
  return {
    before: { redis: three },
    grow: ["&weight=0", "&weight=1&was=0", ""].map((weights) => ({ redis: [...three, url(3, weights)] })),
    shrink: [{ redis: [...three, url(3, "&weight=0&was=1")] }, { redis: three }],
    resets: false,
    places: async () => {
      const places = new Map<string, string>();
      for (const [index, server] of servers.entries()) {
        for (const room of await roomsOn(server)) places.set(room, `${places.get(room) ?? ""}s${index + 1}`);
      }
      return places;
    },
  };
}

/** The rooms whose log is on this server, and has not moved on. */
async function roomsOn(server: Redis): Promise<string[]> {
  const keys = (await server.command("KEYS", "roomcast:{room:*}:end")) as readonly string[];
  const moved = await Promise.all(keys.map((key) => server.command("HGET", key, "moved")));
  return keys.filter((_, index) => moved[index] === null).map((key) => key.slice("roomcast:{".length, -"}:end".length));
}

/** A stream that holds a room anew begins a new epoch of it. The streams change a while after the last node did. */
async function natsShards(torture: Torture): Promise<Shards> {
  const { url } = await startNats(torture);
  const streams = ["s1", "s2", "s3", "s4"];
  return {
    before: { nats: [url], natsStreams: streams.slice(0, 3) },
    grow: [{ natsStreams: streams }],
    shrink: [{ natsStreams: streams.slice(0, 3) }],
    resets: true,
    places: async (crowd) => {
      const { ends } = await crowd.progress();
      return new Map(Object.entries(ends).map(([room, { epoch }]) => [room, epoch]));
    },
  };
}

type Load = {
  readonly torture: Torture;
  readonly crowd: Crowd;
  readonly nodes: readonly NodeProcess[];
  readonly betweenMs: number;
  readonly settledMs: number;
};

/** A step is complete when every room has been used since: some move only then. */
async function everyRoomUsed(torture: Torture, crowd: Crowd): Promise<void> {
  const since = Date.now();
  const used = await torture.until(async () => {
    const { ends } = await crowd.progress();
    return Object.values(ends).every(({ at }) => at > since);
  }, 60_000);
  if (!used) throw new Error("expected a publish in every room, got none in some");
}

/**
 * Restarts the nodes one after the other; the clients of each go to the others meanwhile. Between two steps every room is
 * used, and so moves. Resolves with where the rooms are then.
 */
async function rollOut(load: Load, change: Change, shards: Shards): Promise<Places> {
  const { torture, crowd, nodes, betweenMs, settledMs } = load;
  const before = await shards.places(crowd);
  for (const [step, settings] of change.entries()) {
    for (const [index, node] of nodes.entries()) {
      await node.end("SIGTERM");
      await node.restart(settings);
      await torture.load(crowd, betweenMs, `step ${step + 1} of ${change.length}, node ${index + 1} restarted`);
    }
    await everyRoomUsed(torture, crowd);
    await torture.load(crowd, settledMs, `step ${step + 1} of ${change.length} is done`);
  }
  await torture.until(async () => movedShare(before, await shards.places(crowd)) > 0, 30_000);
  await everyRoomUsed(torture, crowd);
  return shards.places(crowd);
}

const movedShare = (before: Places, after: Places): number =>
  [...before].filter(([room, place]) => after.get(room) !== place).length / before.size;

/** Rooms that are nowhere, or in two places. */
const misplaced = (places: Places, roomCount: number): number =>
  roomCount - [...places.values()].filter((place) => !/^(s\d){2,}$/.test(place)).length;

/** At most 1/N of the rooms and 10 % of all, N being the greater number of shards; and some, or nothing was tried. */
function moved(what: string, share: number): Verdict[] {
  const most = 100 / SHARDS + 10;
  const percent = Math.round(share * 100);
  const verdict = { what: `rooms that move when ${what}: at most ${most} %`, came: `${percent} %` };
  return [
    { ...verdict, passed: percent <= most, isTiming: false },
    atLeast(`percent of the rooms that move when ${what}`, percent),
  ];
}

export const row18: Row = {
  number: 18,
  title: "shards 3 → 4 → 3 under load, with rolling restarts",
  passesWhen: "moved rooms ≤ 1/N + 10 %; 0 lost, 0 dup",
  variants: ["redis", "nats"],
  async run(torture, size, variant) {
    const { clients, roomCount, roomsEach, eventsPerSecond, publishers, processes, ...rest } = sizes[size];
    const { maxDelayMs, betweenMs, settledMs, drain } = rest;
    const shards = await (variant === "nats" ? natsShards(torture) : redisShards(torture));
    const kinds = { "*": { history: { size: 5000 } } };
    // No balancer has to notice anything.
    const nodes = await torture.startNodes(NODES, { ...shards.before, kinds, noticeMs: 0, ...drain });
    const crowd = await torture.startCrowd(nodes, processes, maxDelayMs);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms, roomsEach });
    await torture.joined(crowd, clients * roomsEach);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, settledMs, "three shards");
    // In each room something has been published: else it is nowhere.
    await torture.until(async () => Object.keys((await crowd.progress()).ends).length === roomCount, 30_000);
    const atFirst = await shards.places(crowd);
    const load = { torture, crowd, nodes, betweenMs, settledMs };
    const grown = await rollOut(load, shards.grow, shards);
    const shrunk = await rollOut(load, shards.shrink, shards);
    await torture.until(async () => (await crowd.progress()).joined === clients * roomsEach, 30_000);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    return {
      asked: `${NODES} nodes, ${clients} clients in ${roomsEach} of ${roomCount} rooms, ${eventsPerSecond} events/s, ${(shards.grow.length + shards.shrink.length) * NODES} restarts`,
      findings,
      figures: {
        "rooms found": `${atFirst.size}, ${grown.size}, ${shrunk.size}`,
        latency: spreadText(spread(latencies(told.records))),
        "not seen by someone, who was told reset": findings.excused,
        "absence of a client": spreadText(spread(told.gapsMs)),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        ...(shards.resets ? [] : [counted("acknowledged and not seen, because of a reset", findings.excused)]),
        ...[atFirst, grown, shrunk].map((places) =>
          counted("rooms that are nowhere or in two places", misplaced(places, roomCount)),
        ),
        ...moved("a shard is added", movedShare(atFirst, grown)),
        ...moved("it is taken away", movedShare(grown, shrunk)),
      ],
    };
  },
};
