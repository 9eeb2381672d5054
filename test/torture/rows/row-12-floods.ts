import { frameBytes, OPCODE, RawSocket } from "../../support/raw-socket.js";
import { freePort } from "../../support/services/free-port.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import { megabytes, watching } from "../hostile/watch.js";
import { counted, type Row, unbroken, within } from "../row.js";

const sizes = {
  full: { frames: 300_000, rounds: 5, bystanders: 50, rooms: 10, publishers: 5, eventsPerSecond: 200 },
  reduced: { frames: 300_000, rounds: 1, bystanders: 5, rooms: 2, publishers: 2, eventsPerSecond: 50 },
};

type Flood = {
  readonly what: string;
  /** What is written again and again, all of it in one write. */
  readonly frame: Buffer;
  /** How many do it at once. */
  readonly offenders: number;
  readonly greeted: boolean;
  /** With which code each is closed; `undefined` where nobody has a reason to: what comes is bounded by the network. */
  readonly closes: number | undefined;
  /** How long the event loop may be held, in milliseconds. */
  readonly stallMs: number;
};

const text = (payload: string): Buffer => frameBytes({ payload });
const flood = { offenders: 1, greeted: true, closes: 4029, stallMs: 20 };

const floods: { readonly [variant: string]: Flood } = {
  pings: { ...flood, what: "requests", frame: text('{"type":"ping","id":2}') },
  publishes: {
    ...{ ...flood, what: "publishes" },
    frame: text('{"type":"publish","room":"flood:1","event":"n","data":1}'),
  },
  refused: { ...flood, what: "requests that are refused", frame: text("{}") },
  "before hello": { ...flood, what: "frames before the hello", frame: text("{}"), greeted: false },
  empty: { ...flood, what: "empty messages", frame: text(""), closes: 4202 },
  "ping frames": { ...flood, what: "WebSocket pings", frame: frameBytes({ payload: "", opcode: OPCODE.ping }) },
  "pong frames": { ...flood, what: "WebSocket pongs", frame: frameBytes({ payload: "", opcode: OPCODE.pong }) },
  fragments: {
    ...{ ...flood, what: "parts of one message, empty each", closes: undefined },
    frame: frameBytes({ payload: "", opcode: OPCODE.continuation, fin: false }),
  },
  "ten at once": { ...flood, what: "requests", frame: text('{"type":"ping","id":2}'), offenders: 10, stallMs: 50 },
};

/** Writes it all, and resolves with the code that the connection was closed with; after a pong where it was not. */
async function offend(port: number, { frame, greeted, closes }: Flood, count: number): Promise<number | undefined> {
  const socket = await RawSocket.open(port);
  try {
    if (greeted) {
      socket.sendFrame({ payload: '{"type":"hello","id":1}' });
      await socket.json("welcome");
    }
    const all = Buffer.alloc(count * frame.length, frame);
    if (closes !== undefined) {
      socket.write(all);
      return await socket.closeCode();
    }
    const [begin, end] = [
      frameBytes({ payload: '{"type":"ping",', opcode: OPCODE.text, fin: false }),
      frameBytes({ payload: '"id":3}', opcode: OPCODE.continuation }),
    ];
    socket.write(Buffer.concat([begin, all, end]));
    await socket.json("pong");
    return undefined;
  } finally {
    socket.destroy();
  }
}

export const row12: Row = {
  number: 12,
  title: "300,000 tiny frames in one write",
  passesWhen: "stall ≤ 20 ms, offender closed 4029",
  variants: Object.keys(floods),
  async run(torture, size, variant) {
    const { frames, rounds, bystanders, rooms: roomCount, publishers, eventsPerSecond } = sizes[size];
    const flood = floods[variant] as Flood;
    const metricsPort = await freePort();
    const kinds = { "*": { history: { size: 10_000 } } };
    const [node] = await torture.startNodes(1, { metricsPort, kinds });
    if (node === undefined) throw new Error("expected a node");
    const rooms = Array.from({ length: roomCount }, (_, index) => `calm:${index + 1}`);
    const crowd = await torture.startCrowd([node]);
    await crowd.subscribe({ count: bystanders, rooms });
    await torture.joined(crowd, bystanders);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    const startedAt = Date.now();
    const closes: (number | undefined)[] = [];
    const watched = await watching(metricsPort, async () => {
      for (let round = 0; round < rounds; round++) {
        torture.say(`round ${round + 1} of ${rounds}`);
        const all = Array.from({ length: flood.offenders }, () => offend(node.port, flood, frames));
        closes.push(...(await Promise.all(all)));
      }
    });
    const endedAt = Date.now();
    const { records, losses } = await torture.settle(crowd);
    const findings = check(records);
    const meanwhile = spread(latencies(records, ({ sentAt }) => sentAt >= startedAt && sentAt < endedAt));
    const right = closes.filter((code) => code === flood.closes).length;
    const end = flood.closes === undefined ? "answered when they end" : `closed with ${flood.closes}`;
    return {
      asked: `1 node, ${flood.offenders} at once, ${rounds} times after each other: ${frames} ${flood.what} in one write; ${bystanders} others in ${roomCount} rooms, ${eventsPerSecond} events/s`,
      findings,
      figures: {
        "longest turn of the event loop": `${watched.stallMs.toFixed(1)} ms`,
        "latency of the others meanwhile": spreadText(meanwhile),
        took: `${endedAt - startedAt} ms`,
        "memory before, most, and after": [watched.firstBytes, watched.mostBytes, watched.lastBytes]
          .map(megabytes)
          .join(", "),
        "closed with": closes.map(String).join(", "),
      },
      verdicts: [
        ...unbroken(findings),
        counted(`offenders ${end}`, right, flood.offenders * rounds),
        counted("resets told to clients", findings.resets),
        counted("connections of the others that were lost", losses.length),
        within("stall", watched.stallMs, flood.stallMs),
      ],
    };
  },
};
