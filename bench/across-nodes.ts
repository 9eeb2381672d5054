/**
 * How much longer does an event take across nodes than on one, and what reaches a node?
 *
 * 100 bytes, 1,000 times a second, in one room: from a publisher's write to a subscriber's read, at the node that was
 * published to and at another one, against one node on the memory engine. Each node is a process of its own; they all
 * run at the same time and are measured in turns. With kinds that hold nothing back (`batchMs` 0), and with the default.
 *
 * Then events go into 100 rooms, of which 10 are joined on a node whose connections to the broker are watched: what
 * comes over them must be the events of these 10, and no other.
 */
import { CountingProxy } from "./support/counting-proxy.js";
import { Crowd } from "./support/crowd.js";
import { inRoom, inRooms } from "./support/dialects.js";
import { nowUs } from "./support/event-data.js";
import { kinds, NodeProcess } from "./support/node-process.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import { Publisher } from "./support/publisher.js";
import type { AcrossNodesResult, InterestRow, LatencyRow } from "./support/results.js";
import { Broker } from "./support/services.js";
import { median, quantile, round } from "./support/statistics.js";

/** The rooms that events go through, by their kind's `batchMs`. */
const roomsBy = new Map([
  [0, "exact:bench"],
  [20, "bench"],
]);
const PATIENCE_MS = 5000;
const INTEREST = { rooms: 100, joined: 10, times: 20 };

type Place = LatencyRow["at"];
type Reader = { readonly at: Place; readonly room: string; readonly crowd: Crowd; readonly latenciesMs: number[] };
type Setup = {
  readonly engine: LatencyRow["engine"];
  readonly publisher: Publisher;
  readonly readers: readonly Reader[];
};
/** What one reader saw in one round. */
type Seen = {
  readonly engine: LatencyRow["engine"];
  readonly at: Place;
  readonly batchMs: number;
  readonly turn: number;
};
type Round = Seen & { readonly latenciesMs: readonly number[] };

const flags = readFlags({ rate: 1000, seconds: 0.5, rounds: 9 });
const closing = new Closing();

async function startNode(broker?: Broker, port?: number): Promise<NodeProcess> {
  // A publisher that the machine held up for a moment sends what is due at once: more than the default takes.
  const node = await NodeProcess.start({ ...broker?.settings(port), kinds, maxRequests: 1000 });
  closing.add(() => node.stop());
  return node;
}

async function read(at: Place, room: string, { port }: NodeProcess): Promise<Reader> {
  const latenciesMs: number[] = [];
  const onEvent = (stampUs: number) => void latenciesMs.push((nowUs() - stampUs) / 1000);
  const crowd = await Crowd.open({
    dialect: inRoom(room),
    role: "subscriber",
    port,
    size: 1,
    concurrency: 1,
    onEvent,
  });
  closing.add(() => crowd.close());
  return { at, room, crowd, latenciesMs };
}

async function setUp(engine: LatencyRow["engine"], here: NodeProcess, there?: NodeProcess): Promise<Setup> {
  const readers: Reader[] = [];
  for (const room of roomsBy.values()) {
    readers.push(await read("same node", room, here));
    if (there !== undefined) readers.push(await read("other node", room, there));
  }
  const publisher = await Publisher.start("roomcast-json", here.port);
  closing.add(() => publisher.stop());
  return { engine, publisher, readers };
}

async function play({ engine, publisher, readers }: Setup, batchMs: number, turn: number): Promise<Round[]> {
  const room = roomsBy.get(batchMs) as string;
  const events = Math.max(1, Math.round(flags.rate * flags.seconds));
  const those = readers.filter((reader) => reader.room === room);
  for (const { crowd, latenciesMs } of those) {
    crowd.zero();
    latenciesMs.length = 0;
  }
  const { troubles } = await publisher.publish({ events, perSecond: flags.rate, room });
  const faults = [...troubles];
  for (const { at, crowd } of those) {
    const { least, most } = await crowd.counted(events, PATIENCE_MS);
    faults.push(...crowd.troubles);
    if (least !== events || most !== events) faults.push(`${at}: ${events} events expected, got ${least}`);
  }
  if (faults.length > 0) throw new Error(`${engine}, batchMs ${batchMs}: ${faults.slice(0, 5).join("; ")}`);
  return those.map(({ at, latenciesMs }) => ({ engine, at, batchMs, turn, latenciesMs: [...latenciesMs] }));
}

const p50 = (one: Round | undefined): number => quantile(one?.latenciesMs ?? [], 0.5);

function rowsOf(rounds: readonly Round[]): LatencyRow[] {
  const rows = new Map<string, readonly Round[]>();
  for (const one of rounds) {
    const name = `${one.batchMs} ${one.engine} ${one.at}`;
    rows.set(name, [...(rows.get(name) ?? []), one]);
  }
  return [...rows.values()].map((those) => {
    const { engine, batchMs, at } = those[0] as Round;
    const alone = (turn: number) =>
      rounds.find((one) => one.engine === "memory" && one.batchMs === batchMs && one.turn === turn);
    const all = those.flatMap((one) => one.latenciesMs);
    const added = those.map((one) => p50(one) - p50(alone(one.turn)));
    return {
      engine,
      batchMs,
      at,
      p50Ms: round(median(those.map(p50)), 2),
      p99Ms: round(quantile(all, 0.99), 2),
      ...(engine === "memory" ? {} : { addedMs: round(median(added), 2) }),
      samples: all.length,
    };
  });
}

async function latencies(setups: readonly Setup[]): Promise<LatencyRow[]> {
  const rounds: Round[] = [];
  for (const batchMs of roomsBy.keys()) {
    // The first time is for the compilers.
    for (let turn = 0; turn <= flags.rounds; turn++) {
      for (const setup of setups) {
        const seen = await play(setup, batchMs, turn);
        if (turn > 0) rounds.push(...seen);
      }
    }
    for (const { engine, at, p50Ms, p99Ms, addedMs = 0 } of rowsOf(rounds).filter((row) => row.batchMs === batchMs)) {
      tell(`  batchMs ${batchMs}, ${engine}, ${at}: p50 ${p50Ms} ms (${addedMs} added), p99 ${p99Ms} ms`);
    }
  }
  return rowsOf(rounds);
}

/** What goes from the broker to a node of 100 rooms, when 10 of them are joined there. */
async function interest(broker: Broker, publishing: NodeProcess): Promise<InterestRow> {
  const { rooms, joined, times } = INTEREST;
  const proxy = await CountingProxy.open(broker.port);
  closing.add(() => proxy.close());
  const node = await startNode(broker, proxy.port);
  const names = Array.from({ length: rooms }, (_, index) => `exact:interest${index}`);
  const dialect = inRooms(names.slice(0, joined), joined);
  const { port } = node;
  const crowd = await Crowd.open({ dialect, role: "subscriber", port, size: 1, concurrency: 1 });
  closing.add(() => crowd.close());
  for (let time = 0; time < times; time++) await publishing.publish(names);
  const { events } = await crowd.counted(joined * times, PATIENCE_MS);
  const stamps = proxy.stamps();
  const strangers = stamps.filter((index) => index >= joined).length;
  const reached = stamps.length - strangers;
  tell(
    `  ${broker.name}: ${rooms * times} events, ${reached} of joined rooms reached the node, ${strangers} of others`,
  );
  return { engine: broker.name, rooms, joined, published: rooms * times, reached, strangers, delivered: events };
}

try {
  tell(`across-nodes, ${flags.rate}/s, ${flags.rounds} rounds`);
  const setups = [await setUp("memory", await startNode())];
  const brokers: { readonly broker: Broker; readonly here: NodeProcess }[] = [];
  for (const name of flags.brokers) {
    const broker = await Broker.start(name);
    closing.add(() => broker.stop());
    const here = await startNode(broker);
    setups.push(await setUp(name, here, await startNode(broker)));
    brokers.push({ broker, here });
  }
  const rows = await latencies(setups);
  const interests: InterestRow[] = [];
  for (const { broker, here } of brokers) interests.push(await interest(broker, here));
  const { rate: perSecond, seconds, rounds } = flags;
  emit({ program: "across-nodes", perSecond, seconds, rounds, rows, interest: interests } satisfies AcrossNodesResult);
} catch (error) {
  tell(`across-nodes failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
