import { freePort } from "../../support/services/free-port.js";
import { check } from "../checker.js";
import { Crowd } from "../crowd.js";
import { latencies, spread, spreadText } from "../figures.js";
import { type Seen, StalledReaders } from "../hostile/stalled-readers.js";
import { megabytes, tcpBytes, watching } from "../hostile/watch.js";
import { atLeast, counted, type Row, unbroken, type Verdict, within } from "../row.js";
import { scrape } from "../scrape.js";
import { settleAll } from "../settle.js";
import type { Torture } from "../torture.js";

const MIB = 1_048_576;
const sizes = {
  // 500 events of 8 KB are 4 MB.
  full: {
    ...{ plain: 270, resuming: 30, good: 10, beside: 60, besideRooms: 10, publishers: 10, eventsPerSecond: 500 },
    ...{ padding: 8000, maxBackpressureBytes: MIB, comeMs: 8000, stallMs: 11_000 },
  },
  reduced: {
    ...{ plain: 10, resuming: 3, good: 3, beside: 5, besideRooms: 2, publishers: 5, eventsPerSecond: 250 },
    ...{ padding: 8000, maxBackpressureBytes: MIB / 4, comeMs: 1000, stallMs: 4000 },
  },
};
type Size = (typeof sizes)["full"];

const HOT = "hot:1";
/** The bound that is stated in `docs/operations.md`: so many times `maxBackpressureBytes` for a reader that is stuck. */
const BOUND = 4;
/** What else there is: the log of the hot room, and what the process itself takes as it gets going. */
const SLACK_BYTES = 150 * MIB;

async function startNode(torture: Torture, size: Size, slow: "resume" | "skip", metricsPort: number) {
  const rates = { publishRate: 1_000_000, history: { size: 100_000 }, slow };
  const [node] = await torture.startNodes(1, {
    ...{ metricsPort, maxBackpressureBytes: size.maxBackpressureBytes, memoryMaxBytes: 1024 * MIB },
    ...{ kinds: { hot: rates, calm: { history: { size: 10_000 } } }, byteRate: 100 * MIB, requestRate: 100_000 },
  });
  if (node === undefined) throw new Error("expected a node");
  return node;
}

/** Those in the same room and in others, who publish and those who do not read; all of them have joined. */
async function gather(torture: Torture, node: { readonly url: string; readonly port: number }, size: Size) {
  const calm = Array.from({ length: size.besideRooms }, (_, index) => `calm:${index + 1}`);
  const good = await torture.startCrowd([node]);
  await good.subscribe({ count: size.good, rooms: [HOT] });
  const beside = await torture.startCrowd([node]);
  await beside.subscribe({ count: size.beside, rooms: calm });
  const stuck = await Crowd.start(torture, [node.url], 1, 1000);
  await stuck.subscribe({ count: size.resuming, rooms: [HOT] });
  for (const [crowd, count] of [
    [good, size.good],
    [beside, size.beside],
    [stuck, size.resuming],
  ] as const) {
    await torture.joined(crowd, count);
  }
  const writing = await torture.startCrowd([node]);
  await writing.publish({ count: size.besideRooms, rooms: calm, eventsPerSecond: 100 });
  await torture.load(writing, 1000, "calm");
  return { good, beside, stuck, plain: new StalledReaders(torture), writing };
}

/** Waits until so many of those who read again have come to an end. */
async function ends(torture: Torture, readers: StalledReaders, done: (seen: readonly Seen[]) => boolean) {
  await torture.until(async () => done(await readers.seen()), 60_000);
  return readers.seen();
}

function readVerdicts(seen: readonly Seen[], size: Size, skips: boolean): Verdict[] {
  const inOrder = seen.filter((one) => one.inOrder).length;
  const half = Math.ceil(size.plain / 2);
  if (skips) {
    return [
      counted("readers told that events were skipped", seen.filter(({ resets }) => resets > 0).length, half),
      counted("readers closed", seen.filter(({ code }) => code !== undefined).length),
      counted("readers for whom all before and after that was in order", inOrder, half),
    ];
  }
  return [
    counted("readers that read the close code 4008", seen.filter(({ code }) => code === 4008).length, half),
    counted("readers for whom all before it was in order", inOrder, half),
  ];
}

/** How many sessions a node had, at a moment in Unix milliseconds. */
type Sample = readonly [at: number, sessions: number];

/**
 * For how long one that does not read was there at the most, if those who came first went first; `arrivals` in Unix
 * milliseconds. Infinite where somebody was there to the end.
 */
function longestStay(samples: readonly Sample[], arrivals: readonly number[], staying: number): number {
  const came = [...arrivals].sort((a, b) => a - b);
  let longest = 0;
  for (const [at, sessions] of samples) {
    const by = came.filter((arrival) => arrival <= at).length;
    const oldest = came[by - Math.min(by, Math.max(0, sessions - staying))];
    if (oldest !== undefined && oldest <= at) longest = Math.max(longest, at - oldest);
  }
  const last = samples.at(-1);
  return last !== undefined && last[1] <= staying ? longest : Number.POSITIVE_INFINITY;
}

export const row10: Row = {
  number: 10,
  title: "300 readers stop reading in a 4 MB/s room",
  passesWhen: "the others' p99 < 50 ms; memory within the stated bound; cut ≤ 10 s with 4008; on resume H loses 0",
  variants: ["resume", "skip"],
  async run(torture, sizeName, variant) {
    const size = sizes[sizeName];
    const skips = variant === "skip";
    const metricsPort = await freePort();
    const node = await startNode(torture, size, skips ? "skip" : "resume", metricsPort);
    const { good, beside, stuck, plain, writing } = await gather(torture, node, size);
    const staying = size.good + size.beside + size.besideRooms + size.publishers;
    const samples: Sample[] = [];
    let kernelBytes = 0;
    const { publishers, eventsPerSecond, padding } = size;
    await writing.publish({ count: publishers, rooms: [HOT], eventsPerSecond, padding });
    await torture.load(writing, 2000, "the room is busy");
    const stalledAt = Date.now();
    await stuck.stall(true);
    const watched = await watching(
      metricsPort,
      async () => {
        const coming = plain.come(node.port, HOT, size.plain, size.comeMs);
        await torture.load(writing, size.stallMs, "stalled");
        return [...Array.from({ length: size.resuming }, () => stalledAt), ...(await coming)];
      },
      (numbers) => {
        samples.push([Date.now(), numbers("roomcast_sessions")]);
        kernelBytes = Math.max(kernelBytes, tcpBytes());
      },
    );
    const cutMs = longestStay(samples, watched.value, staying);
    const sessions = (await scrape(metricsPort))("roomcast_sessions");
    const readAt = Date.now();
    // Who was skipped is let in again, and would have to keep up: that is another test.
    if (skips) await writing.stop();
    await stuck.stall(false);
    const half = Math.ceil(size.plain / 2);
    await plain.read(half);
    const seen = await ends(torture, plain, (some) => {
      return some.filter(({ code, resets }) => (skips ? resets > 0 : code !== undefined)).length >= half;
    });
    await writing.stop();
    const catchingUpMs = Date.now() - readAt;
    const { records, told } = await settleAll(torture, writing, [good, beside, stuck], 120_000);
    const findings = check(records);
    const [, toldGood, toldBeside, toldStuck] = told;
    const during = (one: { readonly sentAt: number }) => one.sentAt >= stalledAt && one.sentAt < readAt;
    const published = records.published;
    const sameRoom = spread(latencies({ published, logs: toldGood?.records.logs ?? [] }, during));
    const otherRooms = spread(latencies({ published, logs: toldBeside?.records.logs ?? [] }, during));
    const bytesPerSecond =
      (published.filter((one) => one.room === HOT && during(one)).length * padding * 1000) / (readAt - stalledAt);
    const stuckCount = size.plain + size.resuming;
    const boundBytes = stuckCount * BOUND * size.maxBackpressureBytes + SLACK_BYTES;
    const grownBytes = watched.mostBytes - watched.firstBytes;
    const lost = (toldGood?.losses.length ?? -1) + (toldBeside?.losses.length ?? -1);
    return {
      asked: `1 node, ${stuckCount} clients that stop reading: ${size.resuming} of the SDK at once, and ${size.plain} within ${size.comeMs / 1000} s; ${size.good} others in the same room, ${size.beside} in ${size.besideRooms} other rooms; ${eventsPerSecond} events of ${padding / 1000} KB a second; at most ${size.maxBackpressureBytes} bytes may wait for a client`,
      findings,
      figures: {
        "published in the room": `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`,
        "latency in the same room": spreadText(sameRoom),
        "latency in other rooms": spreadText(otherRooms),
        "cut after, at the most": skips ? "none was cut" : `${cutMs} ms`,
        "memory before, most, and after": [watched.firstBytes, watched.mostBytes, watched.lastBytes]
          .map(megabytes)
          .join(", "),
        "most that TCP held in the kernel, on the whole machine": kernelBytes > 0 ? megabytes(kernelBytes) : "unknown",
        "of the node's for each that does not read": `${Math.round(grownBytes / stuckCount / 1024)} KiB`,
        "longest turn of the event loop": `${Math.round(watched.stallMs)} ms`,
        "processor time of the node": `${Math.round(100 * watched.cpuShare)} % of a core`,
        "they have read up after": `${catchingUpMs} ms`,
        "connections of the SDK's that ended": JSON.stringify(toldStuck?.closes),
        "resets told to the SDK's": findings.resets,
      },
      verdicts: [
        ...unbroken(findings),
        counted("connections of the others that were lost", lost),
        ...readVerdicts(seen, size, skips),
        counted("of the SDK's clients closed with 4008", toldStuck?.closes["4008"] ?? 0, skips ? 0 : size.resuming),
        ...(skips
          ? [
              counted("sessions of those who do not read", sessions - staying, stuckCount),
              atLeast("resets told to the SDK's clients", findings.resets, size.resuming),
            ]
          : [
              counted("sessions of those who do not read", sessions - staying),
              counted("resets told to clients", findings.resets),
              within("cut", cutMs, 10_000),
            ]),
        within("p99 of the others, same room", sameRoom.p99, 50),
        within("p99 of the others, other rooms", otherRooms.p99, 50),
        { ...within("memory grown", grownBytes / 1e6, boundBytes / 1e6, "MB"), isTiming: false },
        {
          ...atLeast(
            "KB/s published in the room",
            Math.round(bytesPerSecond / 1000),
            (eventsPerSecond * padding * 0.9) / 1000,
          ),
          isTiming: true,
        },
      ],
    };
  },
};
