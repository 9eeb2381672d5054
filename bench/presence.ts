/**
 * What does it cost that thousands are told who is in their room?
 *
 * On three nodes of each broker, and on one without: everybody connects; then all join a room as fast as they can, by turns
 * without presence and with it; then all join one room within some seconds, and it is counted what each was sent and what
 * the engine has written; in the end, and before anybody is a member, what the nodes' signs of life cost it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ContestantServer } from "./support/contestant-server.js";
import { type EngineUse, engineUse } from "./support/engine-use.js";
import { MemberClient } from "./support/member-client.js";
import { Closing, emit, needOpenFiles, readFlags, tell } from "./support/program.js";
import type { PresenceJoins, PresenceResult, PresenceRow } from "./support/results.js";
import { Broker, freePort } from "./support/services.js";
import { median, round } from "./support/statistics.js";
import { type Signer, signerOf } from "./support/tokens.js";

const flags = readFlags({
  members: 5000,
  seconds: 10,
  rounds: 3,
  beatSeconds: 4,
  nodes: 3,
  leaseMs: 15_000,
  concurrency: 100,
});
const engines = ["memory", ...flags.brokers] as const;
/** As it is by default. */
const INTERVAL_MS = 500;
/** How long it may take until everybody has been told of everybody. */
const PATIENCE_MS = 20_000;

type Node = { readonly server: ContestantServer; readonly metricsPort: number };
type Stage = {
  readonly engine: PresenceRow["engine"];
  readonly broker: Broker | undefined;
  readonly nodes: readonly Node[];
  readonly clients: readonly MemberClient[];
};

/** What the nodes have done for presence since their start. */
type Done = { readonly writes: number; readonly beats: number };

async function doneBy(nodes: readonly Node[]): Promise<Done> {
  let [writes, beats] = [0, 0];
  for (const { metricsPort } of nodes) {
    const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { signal: AbortSignal.timeout(5000) });
    const text = await answer.text();
    const read = (what: string) =>
      Number(new RegExp(`^roomcast_presence_operations_total\\{operation="${what}"\\} (\\d+)`, "m").exec(text)?.[1]);
    writes += read("write");
    beats += read("beat");
  }
  return { writes, beats };
}

/** Of an engine without a server the nodes' own counts stand for it. */
async function writtenBy({ broker, nodes }: Stage): Promise<EngineUse> {
  if (broker !== undefined) return engineUse(broker);
  const { writes, beats } = await doneBy(nodes);
  return { writes: writes + beats, bytes: 0 };
}

const heapOf = async (nodes: readonly Node[]): Promise<number> => {
  const all = await Promise.all(nodes.map(({ server }) => server.usage({ gc: true })));
  return all.reduce((sum, { heapBytes }) => sum + heapBytes, 0);
};

async function cpuOf(nodes: readonly Node[]): Promise<number> {
  const all = await Promise.all(nodes.map(({ server }) => server.usage()));
  return all.reduce((sum, { cpuUs }) => sum + cpuUs, 0);
}

/** Calls `act` for everybody, some at a time. */
async function forAll<T>(all: readonly T[], act: (one: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const chain = async (): Promise<void> => {
    while (next < all.length) {
      const index = next++;
      await act(all[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(flags.concurrency, all.length) }, chain));
}

async function stageOf(engine: PresenceRow["engine"], signer: Signer, closing: Closing): Promise<Stage> {
  const broker = engine === "memory" ? undefined : await Broker.start(engine);
  if (broker !== undefined) closing.add(() => broker.stop());
  const kinds = { "*": { allow: { user: ["join" as const, "members" as const] } } };
  const nodes: Node[] = [];
  for (let count = engine === "memory" ? 1 : flags.nodes; count > 0; count--) {
    const metricsPort = await freePort();
    const settings = {
      ...broker?.settings(),
      ...signer.settings,
      kinds,
      metricsPort,
      heartbeatMs: 60_000,
      leaseMs: flags.leaseMs,
    };
    const server = await ContestantServer.start("roomcast-json", settings);
    closing.add(() => server.stop());
    nodes.push({ server, metricsPort });
  }
  const clients: MemberClient[] = [];
  closing.add(() => {
    for (const client of clients) client.close();
  });
  const tokens = await Promise.all(Array.from({ length: flags.members }, (_, index) => signer.sign(`user-${index}`)));
  await forAll(tokens, async (token, index) => {
    clients.push(await MemberClient.open((nodes[index % nodes.length] as Node).server.port, token));
  });
  return { engine, broker, nodes, clients };
}

/** All join a room as fast as they can. */
async function joinAll({ nodes, clients }: Stage, room: string, presence: boolean) {
  const [cpuBefore, startedAt] = [await cpuOf(nodes), performance.now()];
  await forAll(clients, (client) => client.join(room, presence));
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuUs = (await cpuOf(nodes)) - cpuBefore;
  return { perSecond: clients.length / seconds, cpuUs: cpuUs / clients.length };
}

const leaveAll = ({ clients }: Stage, room: string) => forAll(clients, (client) => client.leave(room));

type Joins = Awaited<ReturnType<typeof joinAll>>;

const joinsOf = (rounds: readonly Joins[]): PresenceJoins => ({
  perSecond: round(median(rounds.map((one) => one.perSecond)), 0),
  cpuUs: round(median(rounds.map((one) => one.cpuUs)), 1),
});

/** By turns, so that what disturbs one disturbs the other. The rooms are others each time. */
async function sideBySide(stage: Stage): Promise<{ plain: PresenceJoins; withPresence: PresenceJoins }> {
  const [plain, withPresence]: [Joins[], Joins[]] = [[], []];
  for (let turn = 0; turn <= flags.rounds; turn++) {
    for (const [presence, rounds] of [
      [false, plain],
      [true, withPresence],
    ] as const) {
      const room = `${presence ? "members" : "plain"}:${turn}`;
      const joins = await joinAll(stage, room, presence);
      // The first round is not counted.
      if (turn > 0) rounds.push(joins);
      await leaveAll(stage, room);
    }
  }
  return { plain: joinsOf(plain), withPresence: joinsOf(withPresence) };
}

/** Nobody comes or goes: what the engine writes meanwhile, for each time that a node says that it is there. */
async function writesPerBeat(stage: Stage): Promise<number> {
  const [before, done] = [await writtenBy(stage), await doneBy(stage.nodes)];
  await delay(flags.beatSeconds * 1000);
  const [after, doneAfter] = [await writtenBy(stage), await doneBy(stage.nodes)];
  if (doneAfter.writes > done.writes)
    throw new Error(`${stage.engine}: registers were written though nobody came or went`);
  return round((after.writes - before.writes) / (doneAfter.beats - done.beats), 2);
}

/** All join one room, at even distances; resolves once all of them have been told how many they are. */
async function joinPaced({ engine, clients }: Stage, room: string) {
  const startedAt = performance.now();
  const joins: Promise<void>[] = [];
  for (const [index, client] of clients.entries()) {
    const waitMs = startedAt + (index * flags.seconds * 1000) / clients.length - performance.now();
    if (waitMs > 1) await delay(waitMs);
    joins.push(client.join(room, true));
  }
  await Promise.all(joins);
  const joinSeconds = (performance.now() - startedAt) / 1000;
  const until = performance.now() + PATIENCE_MS;
  while (clients.some(({ count }) => count !== clients.length)) {
    if (performance.now() > until) {
      const told = clients.filter(({ count }) => count === clients.length).length;
      throw new Error(`${engine}: ${told} of ${clients.length} members were told that all are there`);
    }
    await delay(20);
  }
  const allKnownMs = Math.max(...clients.map(({ lastAt }) => lastAt)) - startedAt - joinSeconds * 1000;
  return { joinSeconds, allKnownMs, ...framesOf(clients) };
}

/** By client; an interval that has begun counts, and the frame that a client is given as it comes does not. */
function framesOf(clients: readonly MemberClient[]) {
  const frames = clients.map((client) => client.frames);
  const perInterval = clients.map((client) => {
    return (client.frames - client.ownFrames) / (1 + Math.ceil((client.lastAt - client.joinedAt) / INTERVAL_MS));
  });
  return {
    framesMean: round(frames.reduce((sum, one) => sum + one, 0) / frames.length, 1),
    framesMost: Math.max(...frames),
    framesPerInterval: round(Math.max(...perInterval), 2),
  };
}

async function play(engine: PresenceRow["engine"], signer: Signer, closing: Closing): Promise<PresenceRow> {
  const stage = await stageOf(engine, signer, closing);
  const { clients, nodes } = stage;
  tell(`presence, ${engine}: ${clients.length} clients, ${nodes.length === 1 ? "one node" : `${nodes.length} nodes`}`);
  const { plain, withPresence } = await sideBySide(stage);
  tell(`  joins/s ${plain.perSecond} without, ${withPresence.perSecond} with presence`);
  // All nodes have kept members by now, and say that they are there; what has to be written of those who left has been.
  await delay(1000);
  const beatEmpty = await writesPerBeat(stage);
  await joinAll(stage, "plain:0", false);
  const heapPlain = await heapOf(nodes);
  await leaveAll(stage, "plain:0");
  const [before, done] = [await writtenBy(stage), await doneBy(nodes)];
  const { joinSeconds, allKnownMs, ...frames } = await joinPaced(stage, "crowd");
  await delay(1000);
  const [after, doneAfter] = [await writtenBy(stage), await doneBy(nodes)];
  const heap = await heapOf(nodes);
  const beatFull = await writesPerBeat(stage);
  const each = (count: number, digits: number) => round(count / clients.length, digits);
  const row: PresenceRow = {
    ...{ engine, nodes: nodes.length, joinSeconds: round(joinSeconds, 1), allKnownMs: round(allKnownMs, 0), ...frames },
    engineWritesPerMember: each(after.writes - before.writes, 3),
    registersPerMember: each(doneAfter.writes - done.writes, 3),
    nodeBytesPerMember: round((heap - heapPlain) / clients.length / nodes.length, 0),
    engineBytesPerMember: each(after.bytes - before.bytes, 0),
    ...{ beatEmpty, beatFull, plain, withPresence },
  };
  tell(
    `  frames a member: mean ${row.framesMean}, most ${row.framesMost}; writes ${row.engineWritesPerMember}; ` +
      `bytes ${row.nodeBytesPerMember} a node, ${row.engineBytesPerMember} at the engine; a beat ${beatEmpty} and ${beatFull} writes`,
  );
  return row;
}

const signing = new Closing();
try {
  needOpenFiles(flags.members + 200);
  const signer = signerOf("HS256", signing);
  const rows: PresenceRow[] = [];
  for (const engine of engines) {
    const closing = new Closing();
    try {
      rows.push(await play(engine, signer, closing));
    } finally {
      await closing.close();
    }
  }
  const { members, seconds, rounds } = flags;
  emit({ program: "presence", members, seconds, rounds, intervalMs: INTERVAL_MS, rows } satisfies PresenceResult);
} catch (error) {
  tell(`presence failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await signing.close();
}
