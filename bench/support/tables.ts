/** Results as tables. */
import { type Contestant, dialectOf } from "./dialects.js";
import type { Results } from "./results.js";
import { number, type Table } from "./table.js";
import { nodesTables } from "./tables-nodes.js";
import type { Verdict } from "./targets.js";

const label = (name: Contestant) => dialectOf(name).label;
const times = (value: number | undefined) => (value === undefined ? "" : `${number(value, 2)} ×`);

function fanOutTables({ fanOut }: Results): Table[] {
  if (fanOut === undefined) return [];
  const head = [
    "server",
    "CPU per delivery, µs",
    "best to worst round",
    "of plain uWS",
    "p50, ms",
    "p99, ms",
    "bytes",
    "keeps up",
  ];
  const rates = [...new Set(fanOut.rows.map((row) => row.eventsPerSecond))];
  return rates.map((rate) => ({
    program: "fan-out",
    title: `Fan-out: ${rate} events/s to ${number(fanOut.subscribers)} subscribers`,
    note:
      `${fanOut.dataBytes} bytes of data an event, ${fanOut.rounds} rounds of ${fanOut.seconds} s. “Bytes” are the payload ` +
      "of what a subscriber gets for one event. A server that does not keep up with the rate delivers everything in the " +
      "end, and its latency grows as long as the round lasts.",
    rows: [
      head,
      ...fanOut.rows
        .filter((row) => row.eventsPerSecond === rate)
        .map((row) => [
          label(row.contestant),
          number(row.cpuUsPerDelivery, 2),
          row.cpuUsRange.map((one) => number(one, 2)).join(" to "),
          times(row.timesUws),
          number(row.p50Ms, 1),
          number(row.p99Ms, 1),
          number(row.bytesPerDelivery),
          row.stretch < 1.1 ? "yes" : `no, took ${number(row.stretch, 1)} × the time`,
        ]),
    ],
  }));
}

function idleTable({ idle }: Results): Table[] {
  if (idle === undefined) return [];
  const rows = idle.rows.map((row) => [
    label(row.contestant),
    number(row.rssBytesPerConnection),
    number(row.heapBytesPerConnection),
    number(row.earlyRssBytesPerConnection),
  ]);
  return [
    {
      program: "idle",
      title: `Idle memory: ${number(idle.connections)} connections in one room`,
      note:
        `Of the process, after ${idle.restSeconds} s of rest and a garbage collection. V8 keeps memory for passing objects for some ` +
        "ten seconds, whatever the number of connections: that is the last column. What the kernel holds for a socket is not in it.",
      rows: [["server", "resident bytes per connection", "of them in the heap", "resident, before it rested"], ...rows],
    },
  ];
}

function connectTable({ connect }: Results): Table[] {
  if (connect === undefined) return [];
  const rows = connect.rows.map((row) => [
    label(row.contestant),
    number(row.cpuUsPerConnect, 1),
    row.cpuUsRange.map((one) => number(one, 1)).join(" to "),
    times(row.timesUws),
  ]);
  return [
    {
      program: "connect",
      title: "CPU for a connection",
      note:
        `${connect.rounds} rounds of ${number(connect.connects)} connections, ${connect.concurrency} at once. Roomcast: upgrade, ` +
        "hello and join, each answered; Socket.IO: upgrade and its handshake; the others: the upgrade alone.",
      rows: [["server", "CPU per connection, µs", "best to worst round", "of plain uWS"], ...rows],
    },
  ];
}

function tokenHelloTable({ tokenHello }: Results): Table[] {
  if (tokenHello === undefined) return [];
  const rows = tokenHello.rows.map((row) => [
    row.token,
    number(row.cpuUsPerConnect, 1),
    row.cpuUsRange.map((one) => number(one, 1)).join(" to "),
    times(row.timesWithout),
  ]);
  return [
    {
      program: "token-hello",
      title: "CPU for a connection with a token",
      note:
        `${tokenHello.rounds} rounds of ${number(tokenHello.connects)} connections, ${tokenHello.concurrency} at once: upgrade and ` +
        "hello, each answered. Every connection has a token of a user of its own, with two patterns of rooms, the user in one of them.",
      rows: [["token", "CPU per connection, µs", "best to worst round", "of none"], ...rows],
    },
  ];
}

function hooksTable({ hooks }: Results): Table[] {
  if (hooks === undefined) return [];
  const rows = hooks.rows.map((row) => [
    row.outage === "silent" ? "never answers" : "is not there",
    number(row.firstFailureMs),
    number(row.refusals),
    `${number(row.refusalP50Ms, 2)} / ${number(row.refusalP99Ms, 2)}`,
    number(row.tries),
    number(row.backMs),
    `${number(row.othersUpP99Ms, 2)} / ${number(row.othersDownP99Ms, 2)}`,
  ]);
  return [
    {
      program: "hooks",
      title: "A dead application",
      note:
        `${hooks.clients} clients ask about a room of which the application says who may, and it is dead for ${number(hooks.downMs)} ms; ` +
        `its time limit is ${number(hooks.timeoutMs)} ms, its circuit opens after ${hooks.failures} failures in a row and lets one ` +
        `question through ${number(hooks.retryMs)} ms later. All times in ms, as clients see them.`,
      rows: [
        [
          ...["application", "longest of the first failures", "refusals", "refusal p50 / p99", "tries"],
          ...["back after", "another room p99, before / meanwhile"],
        ],
        ...rows,
      ],
    },
  ];
}

function httpPublishTable({ httpPublish }: Results): Table[] {
  if (httpPublish === undefined) return [];
  const rows = httpPublish.rows.map((row) => [
    row.way,
    number(row.cpuUsPerEvent, 1),
    row.cpuUsRange.map((one) => number(one, 1)).join(" to "),
    number(row.eventsPerCoreSecond),
    `${number(row.percentOfBare, 1)} %`,
  ]);
  return [
    {
      program: "http-publish",
      title: "Publishing by HTTP",
      note:
        `${httpPublish.rounds} rounds of ${number(httpPublish.requests)} requests over ${httpPublish.connections} connections, each with an API ` +
        "key, into rooms of the memory engine without subscribers. The bare route is uWebSockets.js's: it reads the body and answers.",
      rows: [
        ["way", "CPU per event, µs", "best to worst round", "events a second of a core", "of the bare route"],
        ...rows,
      ],
    },
  ];
}

function hookCacheTable({ hookCache }: Results): Table[] {
  if (hookCache === undefined) return [];
  const rows = hookCache.rows.map((row) => [
    row.answers,
    number(row.joinsPerSecond),
    number(row.cpuUsPerJoin, 1),
    number(row.questionsPerThousandJoins, 1),
  ]);
  return [
    {
      program: "hook-cache",
      title: "Joins that the application decides",
      note: `${hookCache.rounds} rounds of ${number(hookCache.joins)} joins, each followed by a leave, of ${hookCache.clients} clients in ${hookCache.rooms} rooms.`,
      rows: [["the application's answers are", "joins/s", "CPU per join, µs", "questions per 1,000 joins"], ...rows],
    },
  ];
}

function sizeTable({ size }: Results): Table[] {
  if (size === undefined) return [];
  const rows = size.rows.map((row) => [`\`${row.entry}\``, number(row.minifiedBytes), number(row.gzipBytes)]);
  return [
    {
      program: "client-size",
      title: "SDK",
      note: "Bundled and minified.",
      rows: [["entry", "bytes", "gzip"], ...rows],
    },
  ];
}

function permissionsTable({ permissions }: Results): Table[] {
  if (permissions === undefined) return [];
  const rows = permissions.rows.map((row) => [
    row.case,
    number(row.roomLength),
    number(row.nsPerCheck),
    row.nsRange.map((one) => number(one)).join(" to "),
  ]);
  return [
    {
      program: "permissions",
      title: `Permissions: ${number(permissions.kinds)} kinds with rules, ${permissions.patterns} patterns in a token`,
      note: `Whether a client may do something in a room, ${permissions.rounds} rounds of ${number(permissions.checks)} rooms, each a new string.`,
      rows: [
        ["patterns, and which stands for the room", "characters", "ns of CPU per check", "best to worst round"],
        ...rows,
      ],
    },
  ];
}

function limitsTable({ limits }: Results): Table[] {
  if (limits === undefined) return [];
  const rows = limits.rows.map(({ case: name, ns, nsRange, nsWithout }) => [
    name,
    number(ns),
    nsRange.map((one) => number(one)).join(" to "),
    number(nsWithout),
  ]);
  return [
    {
      program: "limits",
      title: "Limits that nobody reaches",
      note: `${number(limits.sessions)} sessions, ${number(limits.rooms)} rooms, ${number(limits.addresses)} addresses; ${limits.rounds} rounds.`,
      rows: [["what is asked", "ns of CPU for each", "best to worst round", "the loop without asking"], ...rows],
    },
  ];
}

function verdictTable(verdicts: readonly Verdict[]): Table[] {
  const rows = verdicts.map(({ what, target, measured, met }) => [
    what,
    target,
    number(measured, measured < 100 ? 2 : 0),
    met ? "met" : "**missed**",
  ]);
  return rows.length === 0 ? [] : [{ title: "Targets", note: "", rows: [["what", "target", "measured", ""], ...rows] }];
}

export function tablesOf(results: Results, verdicts: readonly Verdict[]): readonly Table[] {
  return [
    ...verdictTable(verdicts),
    ...fanOutTables(results),
    ...idleTable(results),
    ...connectTable(results),
    ...tokenHelloTable(results),
    ...httpPublishTable(results),
    ...hooksTable(results),
    ...hookCacheTable(results),
    ...sizeTable(results),
    ...permissionsTable(results),
    ...limitsTable(results),
    ...nodesTables(results),
  ];
}
