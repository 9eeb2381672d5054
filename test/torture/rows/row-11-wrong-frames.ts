import { Random } from "../../support/random.js";
import { freePort } from "../../support/services/free-port.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import { type CodecName, Sender } from "../hostile/sender.js";
import { megabytes, watching } from "../hostile/watch.js";
import { WrongFrames } from "../hostile/wrong-frames.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: { each: 10_000, warmUp: 2000, lanes: 4, bystanders: 50, rooms: 10, publishers: 5, eventsPerSecond: 200 },
  reduced: { each: 400, warmUp: 100, lanes: 2, bystanders: 5, rooms: 2, publishers: 2, eventsPerSecond: 50 },
};
/** Memory that stays is memory that was lost: what the process may have grown by, in bytes. */
const FLAT_BYTES = 64 * 1_048_576;
/** Codes that a frame may cost a connection: the protocol's, and those of the WebSocket layer. */
const FITTING = [4010, 4202, 1000, 1002, 1005, 1006, 1007, 1009];

/** Every wrong frame of a seed, each under a name by which it is found again. */
function* framesOf(seed: number, codec: CodecName, each: number) {
  const frames = new WrongFrames(new Random(seed), codec);
  for (let run = 0; run < each; run++) {
    yield { name: `random ${run}`, frame: frames.random() };
    yield { name: `mutated ${run}`, frame: frames.mutated() };
  }
}

type Sent = {
  frames: number;
  connections: number;
  readonly closes: Map<number, number>;
  readonly unanswered: string[];
};

async function sendAll(torture: Torture, port: number, codec: CodecName, seed: number, each: number, lanes: number) {
  const sent: Sent = { frames: 0, connections: 0, closes: new Map(), unanswered: [] };
  const frames = framesOf(seed, codec, each);
  const greetings = new Random(seed);
  const lane = async () => {
    const sender = new Sender(port, codec);
    torture.after(async () => sender.end());
    for (const { name, frame } of frames) {
      // One connection of ten never said hello.
      await sender.send(frame, greetings.chance(0.9)).catch((error: unknown) => {
        sent.unanswered.push(`${name} of seed ${seed}: ${String(error)}`);
      });
      if (++sent.frames % 500 === 0) torture.say(`${codec}: ${sent.frames} of ${2 * each} frames`);
    }
    sender.end();
    sent.connections += sender.connections;
    for (const [code, count] of sender.closes) sent.closes.set(code, (sent.closes.get(code) ?? 0) + count);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return sent;
}

export const row11: Row = {
  number: 11,
  title: "10,000 random and 10,000 mutated frames per codec",
  passesWhen: "no crash, no stall > 50 ms, memory flat, others unaffected",
  variants: ["json", "msgpack"],
  async run(torture, size, variant) {
    const { each, warmUp, lanes, bystanders, rooms: roomCount, publishers, eventsPerSecond } = sizes[size];
    const codec = variant as CodecName;
    const random = size === "full" ? Math.floor(Math.random() * 2 ** 31) : 1;
    const seed = Number(process.env["ROOMCAST_FUZZ_SEED"] ?? random);
    torture.say(`seed ${seed}`);
    const metricsPort = await freePort();
    const [node] = await torture.startNodes(1, {
      ...{ metricsPort, maxRooms: 10, requestRate: 1_000_000, byteRate: 1_073_741_824 },
      ...{ connectRate: 1_000_000, addressRate: 1_000_000 },
      kinds: { "*": { history: { size: 10_000 } }, fuzz: { history: { size: 5 }, publishRate: 1_000_000 } },
    });
    if (node === undefined) throw new Error("expected a node");
    const rooms = Array.from({ length: roomCount }, (_, index) => `calm:${index + 1}`);
    const crowd = await torture.startCrowd([node]);
    await crowd.subscribe({ count: bystanders, rooms });
    await torture.joined(crowd, bystanders);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    // What a process needs once is not what it loses.
    await sendAll(torture, node.port, codec, seed + 1, warmUp, lanes);
    const startedAt = Date.now();
    const watched = await watching(metricsPort, () => sendAll(torture, node.port, codec, seed, each, lanes));
    const endedAt = Date.now();
    const { records, losses } = await torture.settle(crowd);
    const findings = check(records);
    const meanwhile = spread(latencies(records, ({ sentAt }) => sentAt >= startedAt && sentAt < endedAt));
    const { frames, connections, closes, unanswered } = watched.value;
    const grown = watched.lastBytes - watched.firstBytes;
    const odd = [...closes].filter(([code]) => !FITTING.includes(code)).reduce((sum, [, count]) => sum + count, 0);
    return {
      asked: `1 node, ${each} random and ${each} mutated frames (seed ${seed}) over ${lanes} connections at a time, ${bystanders} others in ${roomCount} rooms, ${eventsPerSecond} events/s`,
      findings: { ...findings, examples: [...findings.examples, ...unanswered.slice(0, 5)] },
      figures: {
        seed,
        connections,
        "closed, by code": [...closes].map(([code, count]) => `${code}: ${count}`).join(", "),
        took: `${endedAt - startedAt} ms`,
        "longest turn of the event loop": `${Math.round(watched.stallMs)} ms`,
        "memory before, most, and after": [watched.firstBytes, watched.mostBytes, watched.lastBytes]
          .map(megabytes)
          .join(", "),
        "latency of the others meanwhile": spreadText(meanwhile),
      },
      verdicts: [
        ...unbroken(findings),
        counted("frames sent", frames, 2 * each),
        counted("frames that were neither answered nor closed", unanswered.length),
        counted("connections closed with another code than frames deserve", odd),
        atLeast("connections that outlived a wrong frame", frames - connections),
        counted("resets told to clients", findings.resets),
        counted("connections of the others that were lost", losses.length),
        counted("processes that ended", node.isRunning ? 0 : 1),
        { ...within("memory grown", grown / 1e6, FLAT_BYTES / 1e6, "MB"), isTiming: false },
        within("stall", watched.stallMs, 50),
      ],
    };
  },
};
