/** The tables of several nodes: Redis and NATS. */
import type { PresenceRow, PublishResult, PublishSide, Results } from "./results.js";
import { number, type Table } from "./table.js";

const BROKERS = { redis: "Redis", nats: "NATS", memory: "memory" } as const;

function publishTable(broker: "redis" | "nats", result: PublishResult | undefined): Table[] {
  if (result === undefined) return [];
  const name = BROKERS[broker];
  const rate = (side: PublishSide | undefined) => (side === undefined ? [""] : [number(side.perSecond)]);
  const ways = Object.keys(result.rows[0]?.bare ?? {});
  const cpu = ({ cpuUs, brokerCpuUs }: PublishSide) => `${number(cpuUs, 1)} + ${number(brokerCpuUs, 1)}`;
  const rows = result.rows.map(({ history, underWay, node, bare, share, shareRange }) => [
    `${history ? "with" : "without"} history, ${underWay} under way`,
    number(node.perSecond),
    ...ways.flatMap((way) => rate(bare[way])),
    `${number(100 * share)} %`,
    shareRange.map((one) => number(100 * one)).join(" to "),
    cpu(node),
    ...ways.map((way) => cpu(bare[way] as PublishSide)),
  ]);
  return [
    {
      program: result.program,
      title: `Publishing through ${name}`,
      note:
        `Events a second, ${result.dataBytes} bytes of data each, into ${result.rooms} rooms in turn, over one connection; ${result.rounds} rounds of ` +
        `${result.seconds} s each. The share is the median of the rounds' quotients, of the fastest bare way. CPU is that of the ` +
        `publishing process and of ${name}, for one event, in µs: less disturbed by others on the machine than the rates.`,
      rows: [
        ["", "node", ...ways, "share, %", "best to worst round", "CPU: node", ...ways.map((way) => `CPU: ${way}`)],
        ...rows,
      ],
    },
  ];
}

function acrossTables({ acrossNodes }: Results): Table[] {
  if (acrossNodes === undefined) return [];
  const { perSecond, seconds, rounds } = acrossNodes;
  const latencies = acrossNodes.rows.map(({ engine, at, batchMs, p50Ms, p99Ms, addedMs }) => [
    `${engine === "memory" ? "one node, memory engine" : `${BROKERS[engine]}, ${at}`}, \`batchMs\` ${batchMs}`,
    number(p50Ms, 2),
    addedMs === undefined ? "" : number(addedMs, 2),
    number(p99Ms, 2),
  ]);
  const interests = acrossNodes.interest.map((row) => [
    BROKERS[row.engine],
    number(row.rooms),
    number(row.joined),
    number(row.published),
    number(row.reached),
    number(row.strangers),
  ]);
  return [
    {
      program: acrossNodes.program,
      title: `Across nodes: ${number(perSecond)} events/s`,
      note:
        "From the publisher's write at one node to the read of a subscriber, there or at another node; " +
        `${rounds} rounds of ${seconds} s. Added is the median of the rounds' differences to one node on the memory engine with the same \`batchMs\`.`,
      rows: [["subscriber", "p50, ms", "added, ms", "p99, ms"], ...latencies],
    },
    {
      program: acrossNodes.program,
      title: "What reaches a node",
      note:
        "Events in the bytes that went from the broker to a node which had joined some of the rooms. A read of a " +
        "log, as after a doubt, may bring one of them along once more.",
      rows: [
        ["engine", "rooms", "joined", "events published", "events of joined rooms that came", "of other rooms"],
        ...interests,
      ],
    },
  ];
}

function resubscribeTable({ resubscribe }: Results): Table[] {
  if (resubscribe === undefined) return [];
  const rows = resubscribe.rows.map((row) => [
    BROKERS[row.engine],
    number(row.againMs / 1000, 2),
    number(row.stallMs, 1),
    number(row.ownStallMs, 1),
    number(row.restStallMs, 1),
    number(row.ownRestStallMs, 1),
    number(row.resets),
    `${number(row.delivered)} of ${number(row.published)}`,
  ]);
  const head = [
    "broker",
    "subscribed again after, s",
    "longest turn, ms",
    "its own, ms",
    "at rest, ms",
    "its own, ms",
    "told `reset`",
    "events afterwards",
  ];
  return [
    {
      program: resubscribe.program,
      title: `Back after the broker's restart: ${number(resubscribe.rooms)} rooms on a node`,
      note:
        `The broker was killed and away for ${number((resubscribe.rows[0]?.awayMs ?? 0) / 1000)} s; the time is from its first answer. The longest turn of the node's ` +
        "event loop is from the kill until all rooms were compared with their logs; “its own” is without the time in " +
        "which the machine gave its core to others. Redis keeps nothing over a restart here: all readers are told.",
      rows: [head, ...rows],
    },
  ];
}

function presenceTables({ presence }: Results): Table[] {
  if (presence === undefined) return [];
  const { members, seconds, rounds, intervalMs } = presence;
  const nameOf = (row: PresenceRow) =>
    `${row.engine === "memory" ? "memory, one node" : `${BROKERS[row.engine]}, ${row.nodes} nodes`}`;
  const crowds = presence.rows.map((row) => [
    nameOf(row),
    number(row.framesMean, 1),
    number(row.framesMost),
    number(row.framesPerInterval, 2),
    number(row.engineWritesPerMember, 3),
    number(row.registersPerMember, 3),
    number(row.nodeBytesPerMember),
    row.engine === "memory" ? "" : number(row.engineBytesPerMember),
    number(row.allKnownMs),
    `${number(row.beatEmpty, 2)} / ${number(row.beatFull, 2)}`,
  ]);
  const joins = presence.rows.map((row) => [
    nameOf(row),
    number(row.plain.perSecond),
    number(row.withPresence.perSecond),
    number(row.plain.cpuUs, 1),
    number(row.withPresence.cpuUs, 1),
  ]);
  return [
    {
      program: presence.program,
      title: `Presence: ${number(members)} members of one room, within ${number(seconds)} s`,
      note:
        `“Per interval” is the most that a member got beside the first, by the intervals of ${number(intervalMs)} ms that it was there. Writes are what the engine's server says it ` +
        "has written, signs of life included, by members; of them, the registers. Bytes are of the heap of each node after a garbage collection, " +
        "beside a room that all have joined without presence, and of the engine's server. The last column is what the engine writes for one sign of life of a node, without members and with all.",
      rows: [
        [
          ...[
            "engine",
            "frames a member",
            "most",
            "per interval",
            "writes a member",
            "registers",
            "bytes a member, node",
          ],
          ...["bytes a member, engine", "all told after, ms", "writes a beat, empty / full"],
        ],
        ...crowds,
      ],
    },
    {
      program: presence.program,
      title: "Joins with presence",
      note: `As fast as they come, ${number(members)} clients, by turns without and with presence, ${rounds} rounds. CPU is that of all nodes for one join, in µs.`,
      rows: [["engine", "joins/s without", "with", "CPU without", "with"], ...joins],
    },
  ];
}

export function nodesTables(results: Results): Table[] {
  return [
    ...publishTable("redis", results.publishRedis),
    ...publishTable("nats", results.publishNats),
    ...acrossTables(results),
    ...resubscribeTable(results),
    ...presenceTables(results),
  ];
}
