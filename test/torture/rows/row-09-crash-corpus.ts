import { type Attack, split } from "../../fuzz/attack.js";
import { kept } from "../../fuzz/corpus.js";
import { ROOMY, Victim } from "../../fuzz/victim.js";
import { Command } from "../../support/command.js";
import { frameBytes, OPCODE, RawSocket, upgradeText } from "../../support/raw-socket.js";
import { freePort } from "../../support/services/free-port.js";
import { WsClient } from "../../support/ws-client.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import { atLeast, counted, type Row, unbroken } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: { clients: 200, publishers: 10, eventsPerSecond: 200, rounds: 20, stalled: 60, floods: 800 },
  reduced: { clients: 10, publishers: 2, eventsPerSecond: 50, rounds: 1, stalled: 9, floods: 400 },
};

const SETTINGS = {
  ...ROOMY,
  kinds: { "*": { history: { size: 10_000 }, publishRate: 1_000_000 }, skip: { slow: "skip" } },
  maxBackpressureBytes: 262_144,
} as const;

/** Connections are attacked with so many at a time. */
const BATCH = 64;
/** What those who stop reading do not read, in bytes: most of it is what the kernel takes. */
const FLOOD_BYTES = 30_000;
const FLOODED = ["hot:1", "skip:1"];
/** Outside of what the native code stands: it would end the process. */
const IDLE_LIMITS = ["1000", "7000", "961000"];

const WELCOME = '"type":"welcome"';

/** What was done, and what came of it. */
class Tally {
  attacks = 0;
  readonly faults: string[] = [];
  /** Splits after which the library says that it does not know the version. */
  misread = 0;
  welcomes = 0;
  stalledCut = 0;
}

/** Every file of the corpus, once. */
async function replay(victim: Victim, tally: Tally): Promise<void> {
  for (const target of ["socket", "http"]) {
    const files = kept<Attack>(target);
    for (const port of [victim.port, ...(victim.metricsPort === undefined ? [] : [victim.metricsPort])]) {
      for (let at = 0; at < files.length; at += BATCH) {
        const some = files.slice(at, at + BATCH);
        const verdicts = await victim.attack(
          some.map(({ input }) => input),
          port,
        );
        tally.attacks += some.length;
        tally.faults.push(
          ...verdicts.flatMap((what, index) => (what === undefined ? [] : `${some[index]?.name}: ${what}`)),
        );
      }
    }
  }
}

type Splittable = { readonly name: string; readonly bytes: Buffer; readonly status: number; readonly port: number };

function splittable(victim: Victim): Splittable[] {
  const get = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const upgrade = Buffer.from(upgradeText({ headers: { "Sec-WebSocket-Protocol": "roomcast.v1.json" } }));
  const hello = frameBytes({ payload: '{"type":"hello","id":1}' });
  const { port, metricsPort } = victim;
  return [
    { name: "GET /live", bytes: get("/live"), status: 200, port },
    { name: "upgrade", bytes: upgrade, status: 101, port },
    { name: "upgrade and hello", bytes: Buffer.concat([upgrade, hello]), status: 101, port },
    ...(metricsPort === undefined
      ? []
      : [{ name: "GET /metrics", bytes: get("/metrics"), status: 200, port: metricsPort }]),
  ];
}

/** In two parts at every byte, and byte by byte: the answer is the one to the whole, but where the library cannot. */
async function splits(victim: Victim, one: Splittable, tally: Tally): Promise<void> {
  const { bytes, status, port, name } = one;
  const headEnd = bytes.indexOf("\r\n\r\n") + 4;
  const every = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1);
  // Bytes of a frame in the write of the request are lost: a client waits for the answer.
  const waits = headEnd < bytes.length ? every.map((at) => [...new Set([at, headEnd])].sort((a, b) => a - b)) : [];
  const all = [...every.map((at) => [at]), ...waits, every];
  for (let at = 0; at < all.length; at += BATCH) {
    const some = all.slice(at, at + BATCH);
    const isWelcomed = (index: number): boolean => headEnd < bytes.length && some[index]?.includes(headEnd) === true;
    const answers = await victim.answers(
      some.map((parts) => ({ steps: split(bytes, parts) })),
      port,
      (received, index) => !isWelcomed(index) || received.includes(WELCOME),
    );
    tally.attacks += some.length;
    for (const [index, answer] of answers.entries()) {
      const parts = some[index] ?? [];
      const got = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer?.toString("latin1") ?? "")?.[1]);
      // uWebSockets.js wants the request line whole from its path on.
      const inLine = parts.some((place) => place >= 4 && place < bytes.indexOf("\r\n") + 2);
      if (got === 505 && inLine) {
        tally.misread++;
        continue;
      }
      if (got !== status) tally.faults.push(`${name} split at ${parts.slice(0, 3).join(", ")}: ${got}`);
      if (!isWelcomed(index)) continue;
      if (answer?.includes(WELCOME) === true) tally.welcomes++;
      else tally.faults.push(`${name} split at ${parts[0]}: no welcome`);
    }
    const harm = await victim.harm();
    if (harm !== undefined) tally.faults.push(`${name} in parts: ${harm}`);
  }
}

/** Readers that stop at every point of their connection: the native code calls what hardly anything may be done in. */
async function stall(
  torture: Torture,
  victim: Victim,
  url: string,
  tally: Tally,
  given: { stalled: number; floods: number },
) {
  const flooder = await WsClient.connect(url);
  torture.after(() => Promise.resolve(flooder.end()));
  const stalled: RawSocket[] = [];
  for (let count = 0; count < given.stalled; count++) {
    const socket = await RawSocket.open(victim.port);
    torture.after(() => Promise.resolve(socket.destroy()));
    stalled.push(socket);
    socket.sendFrame({ payload: '{"type":"hello","id":1}' });
    const room = FLOODED[count % FLOODED.length];
    socket.sendFrame({ payload: JSON.stringify({ type: "join", id: 2, room }) });
    await socket.json("joined");
    socket.socket.pause();
  }
  const data = "x".repeat(FLOOD_BYTES);
  const third = Math.floor(given.stalled / 3);
  for (let count = 0; count < given.floods; count++) {
    for (const room of FLOODED) flooder.send({ type: "publish", room, event: "n", data });
    if (count % 10 === 0) await flooder.ping();
    if (count === given.floods / 2) for (const socket of stalled.slice(0, third)) socket.destroy();
    if (count === given.floods / 4)
      for (const socket of stalled.slice(third, 2 * third)) socket.sendFrame({ opcode: OPCODE.close });
  }
  // The others read on: those who are to resume are told why they were cut off.
  const resuming = stalled.slice(2 * third).filter((_, index) => (2 * third + index) % FLOODED.length === 0);
  for (const socket of stalled.slice(2 * third)) socket.socket.resume();
  for (const socket of resuming) {
    const code = await socket.closeCode();
    if (code === 4008) tally.stalledCut++;
    else tally.faults.push(`a reader that stalled was closed with ${code}`);
  }
  for (const socket of stalled) socket.destroy();
  flooder.end();
  const harm = await victim.harm();
  if (harm !== undefined) tally.faults.push(`readers that stall: ${harm}`);
}

/** Settings that the native code does not stand never reach it. How many starts ended as they should. */
async function refusedStarts(torture: Torture): Promise<number> {
  const starts = IDLE_LIMITS.map(async (limit) => {
    const command = new Command(torture, ["serve"], { ROOMCAST_PORT: "0", ROOMCAST_IDLE_TIMEOUT_MS: limit });
    const { code, signal } = await command.exited;
    return (
      code === 2 && signal === null && command.errors.length === 1 && /idleTimeoutMs/.test(command.errors[0] ?? "")
    );
  });
  return (await Promise.all(starts)).filter(Boolean).length;
}

export const row09: Row = {
  number: 9,
  title: 'crash corpus: every "kills the process" row of the traps, requests split at every byte',
  passesWhen: "process alive, other sockets untouched, each answered 4xx or closed",
  variants: ["two ports", "one port"],
  async run(torture, size, variant) {
    const { clients, publishers, eventsPerSecond, rounds, ...given } = sizes[size];
    const metricsPort = variant === "two ports" ? await freePort() : undefined;
    const ports = metricsPort === undefined ? {} : { metricsPort };
    const [node] = await torture.startNodes(1, { ...SETTINGS, ...ports });
    if (node === undefined) throw new Error("expected a node");
    const crowd = await torture.startCrowd([node]);
    const rooms = Array.from({ length: 10 }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.joined(crowd, clients);
    await torture.until(async () => (await crowd.progress()).deliveries > 0, 20_000);
    const victim = await Victim.of(torture, node, metricsPort);
    const tally = new Tally();
    for (let round = 1; round <= rounds; round++) {
      torture.say(`round ${round} of ${rounds}: ${tally.attacks} attacks, ${tally.faults.length} faults`);
      await replay(victim, tally);
      for (const one of splittable(victim)) await splits(victim, one, tally);
    }
    await stall(torture, victim, node.url, tally, given);
    const refused = await refusedStarts(torture);
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    return {
      asked: `1 node with ${variant}, ${clients} clients, ${eventsPerSecond} events/s; ${rounds} times the whole corpus and four requests split at every byte, then ${given.stalled} readers that stop`,
      findings,
      figures: {
        attacks: tally.attacks,
        "answered 505 where the library misreads a split request line": tally.misread,
        "latency of the others": spreadText(spread(latencies(told.records))),
        faults: tally.faults.slice(0, 5).join("; ") || "none",
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets told to clients", findings.resets),
        counted("connections of the others that were lost", told.losses.length),
        counted("times that the process ended, or somebody was harmed", victim.harmed),
        counted("attacks that were answered otherwise than they should be", tally.faults.length),
        atLeast("attacks", tally.attacks, 500 * rounds),
        atLeast("frames in parts that were answered", tally.welcomes, 100 * rounds),
        atLeast("readers cut off and told so", tally.stalledCut),
        counted("starts refused that would have ended natively", refused, IDLE_LIMITS.length),
      ],
    };
  },
};
