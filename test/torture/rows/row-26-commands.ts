import { setTimeout as pause } from "node:timers/promises";
import { startNats } from "../../support/services/nats.js";
import { startRedis } from "../../support/services/redis.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import { type Command, QueueWriter } from "../queue-writer.js";
import type { Published } from "../records.js";
import { type Logged, readLog } from "../room-logs.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: { nodes: 3, commands: 10_000, perSecond: 500, roomCount: 20, clients: 60, awayMs: 2000, prefetch: 200 },
  reduced: { nodes: 3, commands: 1200, perSecond: 300, roomCount: 6, clients: 12, awayMs: 300, prefetch: 50 },
};
const HOUR_MS = 3_600_000;
/** The shortest there is: what a killed node had in hand comes to others after it. */
const ACK_MS = 1000;
const DONE_MS = 90_000;

/** The engine keeps the queue and the rooms; Redis has every write on the disk before it answers. */
async function startKeeper(torture: Torture, variant: string) {
  if (variant === "redis") {
    const server = await startRedis(torture, { persistent: true });
    return { server, queue: "redis" as const, settings: { redis: [server.url] } };
  }
  const server = await startNats(torture);
  return { server, queue: "nats" as const, settings: { nats: [server.url] } };
}

/** A publish each, so that no two depend on each other's order: the number of a command is that of its publisher. */
function commandsOf(count: number, rooms: readonly string[]): Command[] {
  return Array.from({ length: count }, (_, index) => {
    const room = rooms[index % rooms.length] as string;
    const data = { p: index, n: 1, r: room };
    return { id: `order-${index}`, command: { do: "publish", room, event: "ordered", data } };
  });
}

/** What the rooms' logs say was published; in the logs but for the first time: what was applied twice. */
function appliedOf(commands: readonly Command[], logs: readonly (readonly Logged[])[], writer: QueueWriter) {
  const places = new Map<number, Logged>();
  const all = logs.flat();
  for (const one of all) if (!places.has(one.publisher)) places.set(one.publisher, one);
  const published = commands.map(({ id, command }, publisher): Published => {
    const sentAt = writer.sentAt.get(id) ?? 0;
    const place = places.get(publisher)?.position;
    const { room } = command as { readonly room: string };
    const outcome = place === undefined ? "unknown" : "acknowledged";
    return { publisher, counter: 1, room, outcome, position: place, sentAt, answeredAt: sentAt };
  });
  return { published, twice: all.length - places.size, missing: commands.length - places.size };
}

export const row26: Row = {
  number: 26,
  title: "commands in the queue over two `kill -9` of nodes and one of the engine",
  passesWhen: "each applied exactly once, none dead",
  variants: ["nats", "redis"],
  async run(torture, size, variant) {
    const { nodes: count, commands: total, perSecond, roomCount, clients, awayMs, prefetch } = sizes[size];
    const { server, queue, settings } = await startKeeper(torture, variant);
    const kinds = { "*": { history: { size: total, ageMs: HOUR_MS } } };
    const node = { ...settings, kinds, queue, queueAckMs: ACK_MS, queuePrefetch: prefetch };
    const nodes = await torture.startNodes(count, node);
    const rooms = Array.from({ length: roomCount }, (_, index) => `orders:${index + 1}`);
    const crowd = await torture.startCrowd(nodes, 1, 2000);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    const writer = await QueueWriter.open(torture, queue, { ...settings, queueAckMs: ACK_MS });
    const commands = commandsOf(total, rooms);
    const startedAt = performance.now();
    const writing = writer.write(commands, perSecond);
    /** Lets it come to so much of the commands. */
    const at = async (share: number, what: string) => {
      await torture.until(() => writer.written >= total * share, DONE_MS);
      torture.say(`${writer.written} commands written, ${what}`);
    };
    const killNode = async (one: NodeProcess | undefined) => {
      await one?.kill();
      await pause(awayMs);
      await one?.restart();
    };
    await at(0.25, "a node is killed");
    await killNode(nodes[0]);
    await at(0.5, `${variant} is killed`);
    await server.kill("SIGKILL");
    await pause(awayMs);
    await server.start();
    await at(0.75, "another node is killed");
    await Promise.all([killNode(nodes[1]), writing]);
    const writtenMs = performance.now() - startedAt;
    let numbers = await writer.numbers();
    const isEmpty = await torture.until(async () => {
      numbers = await writer.numbers();
      torture.say(`${writer.written} written, ${numbers?.waiting} wait, ${numbers?.underWay} under way`);
      return numbers?.waiting === 0 && numbers.underWay === 0;
    }, DONE_MS);
    const emptyMs = performance.now() - startedAt;
    const url = nodes[2]?.url ?? "";
    const logs = await Promise.all(rooms.map((room) => readLog(url, room)));
    const ends = Object.fromEntries(rooms.map((room, index) => [room, logs[index]?.end ?? { epoch: "", offset: 0 }]));
    await torture.until(async () => (await crowd.progress(ends)).behind === 0, DONE_MS);
    const told = await torture.settle(crowd);
    const applied = appliedOf(
      commands,
      logs.map(({ events }) => events),
      writer,
    );
    const records = { published: applied.published, logs: told.records.logs };
    const findings = check(records);
    return {
      asked: `${count} nodes, ${total} commands in ${roomCount} rooms, ${perSecond} a second, ${clients} clients; a node killed, ${variant} killed, another node killed, each away ${awayMs / 1000} s`,
      findings,
      figures: {
        "all written after": `${(writtenMs / 1000).toFixed(1)} s`,
        "all applied after": `${(emptyMs / 1000).toFixed(1)} s`,
        "writes asked again": writer.repeated,
        "from the write to a client": spreadText(spread(latencies(records))),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        counted("commands not in a log", applied.missing),
        counted("events too many in the logs", applied.twice),
        counted("dead letters", numbers?.dead ?? -1),
        counted("left in the queue", isEmpty ? 0 : (numbers?.waiting ?? 0) + (numbers?.underWay ?? 1)),
        ...unbroken(findings),
        atLeast("sockets lost with the killed nodes", told.losses.length),
        within("from the last write until all are applied", emptyMs - writtenMs, 10_000),
      ],
    };
  },
};
