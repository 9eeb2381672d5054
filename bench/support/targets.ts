import type { Contestant } from "./dialects.js";
import type { Results } from "./results.js";
import { round } from "./statistics.js";

export type Verdict = {
  readonly what: string;
  /** `at most` or `at least`, the figure and its unit. */
  readonly target: string;
  readonly measured: number;
  readonly met: boolean;
};

const ours = ["roomcast-json", "roomcast-msgpack"] as const satisfies readonly Contestant[];
const codecOf = { "roomcast-json": "JSON", "roomcast-msgpack": "MessagePack" } as const;

/** By rate: how many times the CPU of plain uWebSockets.js a delivery may take. */
const MOST_TIMES_UWS = new Map([
  [200, 1.15],
  [500, 1.0],
]);
const LEAST_TIMES_CHEAPER: readonly (readonly [Contestant, string, number])[] = [
  ["socket-io", "Socket.IO", 8],
  ["ws", "ws", 6],
];
const MOST_IDLE_BYTES = 3 * 1024;
const MOST_CONNECT_TIMES_UWS = 4;
/** What a node publishes of what its broker would take by itself, in %. */
const LEAST_SHARE = { history: 60, none: 70 } as const;
const MOST_ADDED_MS = 2;
const MOST_AGAIN_S = 10;
const MOST_STALL_MS = 50;
const MOST_CHECK_US = 5;
const MOST_TIMES_WITHOUT_TOKEN = 1.5;
const LEAST_SHARE_OF_BARE = 50;
const LEAST_IN_BATCHES = 20_000;
const BROKERS = { redis: "Redis", nats: "NATS" } as const;

function atMost(what: string, limit: number, unit: string, measured: number | undefined): Verdict[] {
  if (measured === undefined) return [];
  return [{ what, target: `≤ ${limit} ${unit}`.trimEnd(), measured, met: measured <= limit }];
}

function atLeast(what: string, limit: number, unit: string, measured: number | undefined): Verdict[] {
  if (measured === undefined) return [];
  return [{ what, target: `≥ ${limit} ${unit}`, measured, met: measured >= limit }];
}

function ofFanOut({ fanOut }: Results, name: (typeof ours)[number]): Verdict[] {
  const rates = [...new Set(fanOut?.rows.map((row) => row.eventsPerSecond))];
  return rates.flatMap((rate) => {
    const find = (one: Contestant) =>
      fanOut?.rows.find((row) => row.contestant === one && row.eventsPerSecond === rate);
    const our = find(name);
    const what = `CPU per delivery at ${rate}/s, ${codecOf[name]}`;
    const limit = MOST_TIMES_UWS.get(rate);
    return [
      ...(limit === undefined ? [] : atMost(what, limit, "× plain uWS", our?.timesUws)),
      ...LEAST_TIMES_CHEAPER.flatMap(([other, label, times]) => {
        const their = find(other);
        if (our === undefined || their === undefined) return [];
        return atLeast(what, times, `× cheaper than ${label}`, round(their.cpuUsPerDelivery / our.cpuUsPerDelivery, 2));
      }),
    ];
  });
}

const MOST_MEMBER_WRITES = 2;
/** A count over some seconds: a renewal more or less at its edge. */
const MOST_MORE_WRITES = 0.5;
const MOST_REFUSAL_MS = 1;
const MOST_BACK_MS = 5000;
/** What an answer takes beside the time limit, in milliseconds. */
const MOST_BEYOND_LIMIT_MS = 50;

/** Of several nodes. */
function ofNodes({ publishRedis, publishNats, acrossNodes, resubscribe }: Results): Verdict[] {
  const publishes = [publishRedis, publishNats].flatMap((result) => {
    const broker = result?.program === "publish-redis" ? BROKERS.redis : BROKERS.nats;
    return (result?.rows ?? []).flatMap(({ history, underWay, share }) => {
      const least = history ? LEAST_SHARE.history : LEAST_SHARE.none;
      const what = `${broker}: publish with${history ? "" : "out"} history, ${underWay} under way`;
      return atLeast(what, least, "% of bare", round(100 * share, 1));
    });
  });
  const latencies = (acrossNodes?.rows ?? []).flatMap(({ engine, at, batchMs, addedMs }) => {
    if (engine === "memory") return [];
    return atMost(`${BROKERS[engine]}: added p50, ${at}, batchMs ${batchMs}`, MOST_ADDED_MS, "ms", addedMs);
  });
  const interests = (acrossNodes?.interest ?? []).flatMap(({ engine, strangers }) =>
    atMost(`${BROKERS[engine]}: events of rooms that nobody has joined`, 0, "", strangers),
  );
  const returns = (resubscribe?.rows ?? []).flatMap(({ engine, againMs, ownStallMs, published, delivered }) => [
    ...atMost(`${BROKERS[engine]}: all rooms subscribed again`, MOST_AGAIN_S, "s", round(againMs / 1000, 2)),
    ...atMost(`${BROKERS[engine]}: longest turn meanwhile`, MOST_STALL_MS, "ms", ownStallMs),
    ...atMost(`${BROKERS[engine]}: events missing afterwards`, 0, "", published - delivered),
  ]);
  return [...publishes, ...latencies, ...interests, ...returns];
}

/** Of presence, in a room that thousands join. */
function ofPresence({ presence }: Results): Verdict[] {
  return (presence?.rows ?? []).flatMap(({ engine, framesPerInterval, engineWritesPerMember, beatEmpty, beatFull }) => {
    const name = engine === "memory" ? engine : BROKERS[engine];
    const more = round(Math.max(0, beatFull - beatEmpty), 2);
    return [
      ...atMost(`${name}: presence frames a member`, 1, "per interval", framesPerInterval),
      ...atMost(`${name}: engine writes for a member that comes`, MOST_MEMBER_WRITES, "", engineWritesPerMember),
      ...atMost(`${name}: more writes for a sign of life, with all members`, MOST_MORE_WRITES, "", more),
    ];
  });
}

/** What the project has set itself, held against one run. */
export function judge(results: Results): readonly Verdict[] {
  const { idle, connect, size, permissions, tokenHello, httpPublish, hooks } = results;
  return [
    ...ours.flatMap((name) => ofFanOut(results, name)),
    ...ours.flatMap((name) => {
      const bytes = idle?.rows.find((row) => row.contestant === name)?.rssBytesPerConnection;
      return atMost(`Idle connection, ${codecOf[name]}`, MOST_IDLE_BYTES, "bytes", bytes);
    }),
    ...ours.flatMap((name) => {
      const times = connect?.rows.find((row) => row.contestant === name)?.timesUws;
      return atMost(
        `Connect + hello + join, ${codecOf[name]}`,
        MOST_CONNECT_TIMES_UWS,
        "× plain uWS's handshake",
        times,
      );
    }),
    ...atMost(
      "Connect + hello with a token, HS256",
      MOST_TIMES_WITHOUT_TOKEN,
      "× without",
      tokenHello?.rows.find(({ token }) => token === "HS256")?.timesWithout,
    ),
    ...(httpPublish?.rows ?? []).flatMap((row) => {
      const { way, eventsPerRequest } = row;
      if (eventsPerRequest > 1) {
        return atLeast(`Publish by HTTP, ${way}`, LEAST_IN_BATCHES, "/s a core", row.eventsPerCoreSecond);
      }
      if (way === "a bare route") return [];
      return atLeast(`Publish by HTTP, ${way}`, LEAST_SHARE_OF_BARE, "% of a bare route", row.percentOfBare);
    }),
    ...(hooks?.rows ?? []).flatMap((row) => [
      ...atMost(
        `Dead hook (${row.outage}): first failures`,
        hooks === undefined ? 0 : hooks.timeoutMs + MOST_BEYOND_LIMIT_MS,
        "ms",
        row.firstFailureMs,
      ),
      ...atMost(`Dead hook (${row.outage}): refusals, p50`, MOST_REFUSAL_MS, "ms", row.refusalP50Ms),
      ...atMost(`Dead hook (${row.outage}): back after its return`, MOST_BACK_MS, "ms", row.backMs),
      ...atMost(`Dead hook (${row.outage}): failures in other rooms`, 0, "", row.othersFailed),
    ]),
    ...atMost("SDK, gzip", size?.limitBytes ?? 0, "bytes", size?.rows[0]?.gzipBytes),
    ...(permissions?.rows ?? []).flatMap((row) =>
      atMost(`Permission: ${row.case}`, MOST_CHECK_US, "µs", round(row.nsPerCheck / 1000, 2)),
    ),
    ...ofNodes(results),
    ...ofPresence(results),
  ];
}
