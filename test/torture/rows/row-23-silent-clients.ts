import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { ROOMY } from "../../fuzz/victim.js";
import { frameBytes, upgradeText } from "../../support/raw-socket.js";
import { freePort } from "../../support/services/free-port.js";
import { check } from "../checker.js";
import type { Crowd } from "../crowd.js";
import { latencies, type Spread, spread, spreadText } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import type { Records } from "../records.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import { type Scraped, scrape } from "../scrape.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    silent: 5000,
    members: 200,
    publishers: 10,
    eventsPerSecond: 200,
    rounds: 3,
    windowMs: 6000,
    helloTimeoutMs: 10_000,
  },
  reduced: {
    silent: 100,
    members: 10,
    publishers: 2,
    eventsPerSecond: 50,
    rounds: 1,
    windowMs: 500,
    helloTimeoutMs: 1500,
  },
};

const HELLO = frameBytes({ payload: '{"type":"hello","id":1}' });
const HELLO_TIMEOUT = 4010;
/** When uWebSockets.js lets go of a connection on which no request has come, in milliseconds: 10 s, in steps of 4 s. */
const NO_REQUEST_MS = 14_000;
/** So late may a close come, with thousands of others, in milliseconds. */
const LATE_MS = 2000;
/** So many connect at once: more would not fit in what waits for `accept`. */
const AT_ONCE = 200;
/** What memory may have grown by from the first round to the last, in bytes. */
const GROWN_BYTES = 48_000_000;

/** What those who never say hello say instead. */
type Manner = {
  readonly request: string;
  readonly upgrades: boolean;
  readonly frame: Uint8Array;
  /** Every other one sends another byte of a header every second. */
  readonly drips?: true;
};

const manners: { readonly [variant: string]: Manner } = {
  websockets: { request: upgradeText(), upgrades: true, frame: new Uint8Array() },
  "half a frame": { request: upgradeText(), upgrades: true, frame: HELLO.subarray(0, 9) },
  "half a request": { request: upgradeText().slice(0, 60), upgrades: false, frame: new Uint8Array(), drips: true },
  "nothing at all": { request: "", upgrades: false, frame: new Uint8Array() },
};

/** A connection that says what it says, and waits. */
class Silent {
  readonly #socket: Socket;
  readonly #parts: Buffer[] = [];
  openedAt = Number.NaN;
  closedAt = Number.NaN;

  constructor(port: number) {
    this.#socket = createConnection({ port, host: "127.0.0.1" });
    this.#socket.on("data", (bytes) => this.#parts.push(bytes));
    this.#socket.on("error", () => undefined);
    this.#socket.once("close", () => {
      this.closedAt = Date.now();
    });
  }

  /** Resolves once it is where it stays. */
  async begin({ request, upgrades, frame }: Manner): Promise<void> {
    await once(this.#socket, "connect");
    this.openedAt = Date.now();
    if (request !== "") this.#socket.write(request);
    if (upgrades && !this.#text.includes("\r\n\r\n")) await once(this.#socket, "data");
    if (upgrades && !this.#text.startsWith("HTTP/1.1 101"))
      throw new Error(`expected 101, got ${this.#text.slice(0, 40)}`);
    if (frame.length > 0) this.#socket.write(frame);
  }

  drip(): void {
    if (this.#socket.writable) this.#socket.write("x");
  }

  get #text(): string {
    return Buffer.concat(this.#parts).toString("latin1");
  }

  get isOpen(): boolean {
    return Number.isNaN(this.closedAt);
  }

  /** What it was closed with; 1006 without a word. */
  get closeCode(): number {
    const received = Buffer.concat(this.#parts);
    const frame = received.subarray(received.indexOf("\r\n\r\n") + 4);
    return frame[0] === 0x88 && frame.length >= 4 ? frame.readUInt16BE(2) : 1006;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

async function openAll(torture: Torture, port: number, count: number, manner: Manner): Promise<Silent[]> {
  const all: Silent[] = [];
  torture.after(async () => {
    for (const one of all) one.destroy();
  });
  while (all.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - all.length) }, () => new Silent(port));
    all.push(...some);
    await Promise.all(some.map((one) => one.begin(manner)));
  }
  return all;
}

/** A span of time, in Unix milliseconds. */
type Span = { readonly from: number; readonly to: number };

type Round = {
  readonly calm: Span;
  readonly opening: Span;
  readonly held: Span;
  readonly closing: Span;
  readonly silent: readonly Silent[];
  /** Connections of the node once all are closed, and what it then has in memory. */
  readonly left: number;
  readonly residentBytes: number;
};

type Ground = {
  readonly torture: Torture;
  readonly node: NodeProcess;
  readonly metrics: () => Promise<Scraped>;
  readonly crowd: Crowd;
};

/** A while without them, a while with them, and their end. */
async function round(ground: Ground, given: (typeof sizes)["full"], manner: Manner, others: number): Promise<Round> {
  const { torture, node, metrics, crowd } = ground;
  const calmFrom = Date.now();
  await torture.load(crowd, given.windowMs, "calm");
  const calm = { from: calmFrom, to: Date.now() };
  const silent = await openAll(torture, node.port, given.silent, manner);
  const heldFrom = Date.now();
  torture.say(`${silent.length} are open`);
  const dripping = setInterval(() => {
    if (manner.drips) for (const [index, one] of silent.entries()) if (index % 2 === 1) one.drip();
  }, 1000).unref();
  const deadlineMs = manner.upgrades ? given.helloTimeoutMs : NO_REQUEST_MS;
  await torture.until(() => silent.some((one) => !one.isOpen), deadlineMs + 10_000);
  const heldTo = Math.min(...silent.map((one) => (one.isOpen ? Date.now() : one.closedAt)));
  await torture.until(() => silent.every((one) => !one.isOpen), deadlineMs + 20_000);
  clearInterval(dripping);
  const closed = Date.now();
  await torture.until(async () => (await metrics())("roomcast_connections") <= others, 5000);
  // What is freed is freed when the node comes to it.
  await pause(given.windowMs / 2);
  const now = await metrics();
  return {
    calm,
    opening: { from: calm.to, to: heldFrom },
    held: { from: heldFrom, to: heldTo },
    closing: { from: heldTo, to: closed },
    ...{ silent, left: now("roomcast_connections") - others, residentBytes: now("process_resident_memory_bytes") },
  };
}

const during = (records: Records, spans: readonly Span[]): Spread =>
  spread(latencies(records, ({ sentAt }) => spans.some(({ from, to }) => sentAt >= from && sentAt < to)));

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

export const row23: Row = {
  number: 23,
  title: "5,000 idle connections without `hello`",
  passesWhen: "members' p99 < 2 ×; all freed at the deadline",
  variants: Object.keys(manners),
  async run(torture, size, variant) {
    const given = sizes[size];
    const manner = manners[variant];
    if (manner === undefined) throw new Error(`expected one of ${Object.keys(manners).join(", ")}`);
    const metricsPort = await freePort();
    const kinds = { "*": { history: { size: 500 } } };
    const [node] = await torture.startNodes(1, { ...ROOMY, kinds, metricsPort, helloTimeoutMs: given.helloTimeoutMs });
    if (node === undefined) throw new Error("expected a node");
    const crowd = await torture.startCrowd([node]);
    const rooms = Array.from({ length: 10 }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: given.members, rooms });
    await crowd.publish({ count: given.publishers, rooms, eventsPerSecond: given.eventsPerSecond });
    await torture.joined(crowd, given.members);
    const metrics = (): Promise<Scraped> => scrape(metricsPort);
    const others = given.members + given.publishers;
    await torture.until(async () => (await metrics())("roomcast_connections") === others, 20_000);
    const ground = { torture, node, metrics, crowd };
    const before = (await metrics())("process_resident_memory_bytes");
    const rounds: Round[] = [];
    for (let count = 0; count < given.rounds; count++) rounds.push(await round(ground, given, manner, others));
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    const silent = rounds.flatMap((one) => one.silent);
    const tookMs = silent.map(({ openedAt, closedAt }) => closedAt - openedAt);
    const [calm, held] = [
      during(
        told.records,
        rounds.map((one) => one.calm),
      ),
      during(
        told.records,
        rounds.map((one) => one.held),
      ),
    ];
    const resident = rounds.map((one) => one.residentBytes);
    const deadlineMs = manner.upgrades ? given.helloTimeoutMs : NO_REQUEST_MS;
    return {
      asked: `1 node, ${given.members} members of 10 rooms, ${given.eventsPerSecond} events/s; ${given.rounds} times ${given.windowMs / 1000} s without and then with ${given.silent} connections that send: ${variant}`,
      findings,
      figures: {
        "latency without them": spreadText(calm),
        "latency with them": spreadText(held),
        "latency while they connect": spreadText(
          during(
            told.records,
            rounds.map((one) => one.opening),
          ),
        ),
        "latency while they are closed": spreadText(
          during(
            told.records,
            rounds.map((one) => one.closing),
          ),
        ),
        "closed after": spreadText(spread(tookMs)),
        "memory of the node before, and after each time": [before, ...resident].map(megabytes).join(", "),
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets told to clients", findings.resets),
        counted("connections of the members that were lost", told.losses.length),
        counted("silent connections that were not closed", silent.filter((one) => one.isOpen).length),
        counted("connections left in the node", Math.max(...rounds.map((one) => one.left))),
        counted(
          `closed with ${manner.upgrades ? HELLO_TIMEOUT : "no word, being none of ours yet"}`,
          silent.filter(({ closeCode }) => closeCode === (manner.upgrades ? HELLO_TIMEOUT : 1006)).length,
          given.silent * given.rounds,
        ),
        counted("closed before their time", manner.upgrades ? tookMs.filter((ms) => ms < deadlineMs - 50).length : 0),
        within("freed", Math.max(...tookMs), deadlineMs + LATE_MS),
        within("the members' p99", held.p99, 2 * calm.p99),
        within(
          "memory from the first time to the last",
          (resident.at(-1) ?? 0) - (resident[0] ?? 0),
          GROWN_BYTES,
          "bytes",
        ),
        atLeast("milliseconds with them", Math.min(...rounds.map(({ held: { from, to } }) => to - from))),
      ],
    };
  },
};
