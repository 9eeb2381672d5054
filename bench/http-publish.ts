/**
 * What does a publish by HTTP cost?
 *
 * One by one, held against a bare route of uWebSockets.js that reads its body and answers as much, and in batches. The
 * servers take turns. Each connection of the load generator has one request under way; rooms are without subscribers, the
 * engine is the one in memory, and every request shows an API key.
 */
import { createHash, randomBytes } from "node:crypto";
import { ContestantServer } from "./support/contestant-server.js";
import { eventData } from "./support/event-data.js";
import { HttpLoad, requestOf } from "./support/http-load.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import type { HttpPublishResult, HttpPublishRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";

const flags = readFlags({ requests: 20_000, batch: 100, connections: 32, rooms: 100, rounds: 7 });

/** How many rounds are not counted. */
const WARM_UP = 2;

type Way = {
  readonly name: string;
  readonly server: ContestantServer;
  readonly requests: readonly Buffer[];
  /** How many events a request publishes, and how many requests a round has. */
  readonly events: number;
  readonly count: number;
  readonly costs: number[];
};

const data = eventData("json", 1);
const roomOf = (index: number): string => `bench:${index % flags.rooms}`;

/** The server's CPU for an event, in µs. */
async function play({ server, requests, events, count }: Way): Promise<number> {
  const load = await HttpLoad.open(server.port, flags.connections);
  try {
    const before = await server.usage();
    const { answered, refused } = await load.run(requests, count);
    const { cpuUs } = await server.usage();
    if (refused !== undefined || answered !== count)
      throw new Error(`${answered} of ${count} answered; ${refused ?? ""}`);
    return (cpuUs - before.cpuUs) / (count * events);
  } finally {
    load.close();
  }
}

function rowOf({ name, events, costs }: Way, bare: readonly number[]): HttpPublishRow {
  const cpuUs = median(costs);
  return {
    way: name,
    eventsPerRequest: events,
    cpuUsPerEvent: round(cpuUs, 1),
    cpuUsRange: [round(Math.min(...costs), 1), round(Math.max(...costs), 1)],
    eventsPerCoreSecond: Math.round(1_000_000 / cpuUs),
    percentOfBare: round(median(costs.map((cost, index) => ((bare[index] as number) * 100) / cost)), 1),
  };
}

const closing = new Closing();
try {
  const key = `rck_${randomBytes(32).toString("base64url")}`;
  const entry = `bench:publish:sha256:${createHash("sha256").update(key).digest("hex")}`;
  const secret = randomBytes(32).toString("hex");
  const bare = await ContestantServer.start("uws");
  closing.add(() => bare.stop());
  const server = await ContestantServer.start("roomcast-json", { apiKeys: [entry], secret });
  closing.add(() => server.stop());
  const authorization = `Bearer ${key}`;
  const one = Array.from({ length: flags.rooms }, (_, index) =>
    requestOf(`/v1/rooms/${roomOf(index)}/events`, { event: "said", data }, authorization),
  );
  const items = Array.from({ length: flags.batch }, (_, index) => ({ room: roomOf(index), event: "said", data }));
  const many = [requestOf("/v1/batch", { items }, authorization)];
  const count = flags.requests;
  const ways: Way[] = [
    { name: "a bare route", server: bare, requests: one, events: 1, count, costs: [] },
    { name: "one by one", server, requests: one, events: 1, count, costs: [] },
    {
      ...{ name: `batches of ${flags.batch}`, server, requests: many, events: flags.batch },
      ...{ count: Math.ceil((count * 5) / flags.batch), costs: [] },
    },
  ];
  for (let turn = 1 - WARM_UP; turn <= flags.rounds; turn++) {
    if (turn > 0) tell(`http-publish, ${count} requests, round ${turn} of ${flags.rounds}`);
    for (const way of ways) {
      const cost = await play(way);
      if (turn <= 0) continue;
      way.costs.push(cost);
      tell(`  ${way.name.padEnd(16)} ${cost.toFixed(1).padStart(6)} µs/event`);
    }
  }
  const [first] = ways;
  const rows = ways.map((way) => rowOf(way, first?.costs ?? []));
  const { connections, rounds } = flags;
  emit({ program: "http-publish", requests: count, connections, rounds, rows } satisfies HttpPublishResult);
} catch (error) {
  tell(`http-publish failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
