import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../../support/services/free-port.js";
import { type Memory, probe, probeFlags } from "../bounds/probe.js";
import type { SwarmOrder, Tally } from "../bounds/swarm-orders.js";
import { check } from "../checker.js";
import { NodeProcess } from "../node-process.js";
import { Part } from "../part.js";
import { atLeast, counted, type Row, type Verdict, within } from "../row.js";
import { scrape } from "../scrape.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    names: 1_000_000,
    warmUp: 20_000,
    roomsEach: 10_000,
    processes: 2,
    withinMs: 240_000,
    ofRooms: 30,
    ofUsers: 20,
  },
  reduced: { names: 20_000, warmUp: 2000, roomsEach: 1000, processes: 1, withinMs: 30_000, ofRooms: 10, ofUsers: 6 },
};
/** How long an order may take, in milliseconds. */
const TAKES_MS = 900_000;
/** Clients of the second part at once, in each process. */
const AT_ONCE = 200;
const SCRAPES = 5;
/** What is held grows no smaller where so many looks, one after the other, have found as much. */
const SAME = 6;
/** The number of the first room; that of the first user is ten times as high. */
const FIRST = 1_000_000;
const SECRET = "the secret of a million users, which is long enough";
const program = fileURLToPath(new URL("../bounds/swarm-program.js", import.meta.url));

const kinds = {
  "*": {
    allow: { user: ["join", "publish"] as ("join" | "publish")[] },
    ...{ history: { size: 10, ageMs: 1000 }, keyWindowMs: 1000, publishRate: 1 },
  },
};

type Seen = { readonly bytes: number; readonly ms: number };

/** The largest and the slowest of some scrapes. */
async function scraped(port: number): Promise<Seen> {
  let seen: Seen = { bytes: 0, ms: 0 };
  for (let count = 0; count < SCRAPES; count++) {
    const since = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: "close" } });
    const { length } = await answer.arrayBuffer().then((body) => new Uint8Array(body));
    seen = { bytes: Math.max(seen.bytes, length), ms: Math.max(seen.ms, performance.now() - since) };
  }
  return seen;
}

/** The processes with the clients. */
class Swarm {
  readonly #parts: Part<SwarmOrder>[];
  readonly #torture: Torture;

  constructor(torture: Torture, processes: number) {
    this.#torture = torture;
    this.#parts = Array.from({ length: processes }, () => new Part<SwarmOrder>(torture, program));
  }

  /** Asks each process for its part, and tells meanwhile how far they are; resolves with the sum of what they counted. */
  async all(what: string, orderOf: (part: number) => SwarmOrder): Promise<Tally> {
    let last = "";
    const telling = setInterval(() => {
      void this.#sum(() => ({ type: "tally" })).then(({ joined, left, welcomed, errors }) => {
        last = `${joined} joined, ${left} left, ${welcomed} welcomed, ${errors} errors`;
      });
      this.#torture.say(`${what}: ${last}`);
    }, 2000);
    try {
      return await this.#sum(orderOf);
    } finally {
      clearInterval(telling);
    }
  }

  async #sum(orderOf: (part: number) => SwarmOrder): Promise<Tally> {
    const tallies = await Promise.all(this.#parts.map((part, index) => part.ask<Tally>(orderOf(index), TAKES_MS)));
    const add = (name: Exclude<keyof Tally, "examples">) => tallies.reduce((sum, tally) => sum + tally[name], 0);
    const counts = { joined: add("joined"), left: add("left"), published: add("published"), welcomed: add("welcomed") };
    return {
      ...counts,
      lost: add("lost"),
      errors: add("errors"),
      examples: tallies.flatMap(({ examples }) => examples),
    };
  }
}

type Crowded = {
  readonly swarm: Swarm;
  readonly node: NodeProcess;
  readonly metricsPort: number;
  readonly processes: number;
};

/** `names` rooms, all of them joined at once; `height` is called then. Then everybody leaves. */
async function fillRooms(
  crowded: Crowded,
  first: number,
  names: number,
  roomsEach: number,
  height: () => Promise<void>,
) {
  const { swarm, node, processes } = crowded;
  const clients = Math.max(1, Math.round(names / roomsEach / processes));
  await swarm.all("joining", (part) => ({
    ...{ type: "rooms", port: node.port, secret: SECRET, clients, roomsEach },
    first: first + part * clients * roomsEach,
  }));
  await height();
  return swarm.all("leaving", () => ({ type: "leave" }));
}

function passUsers({ swarm, node, processes }: Crowded, first: number, names: number): Promise<Tally> {
  const count = names / processes;
  return swarm.all("users", (part) => ({
    ...{ type: "users", port: node.port, secret: SECRET, count, atOnce: AT_ONCE, first: first + part * count },
  }));
}

/**
 * Waits until nobody is there and no room is open, and then until what is held grows no smaller and is no more than `most`
 * megabytes, where that is given.
 */
async function returned(torture: Torture, crowded: Crowded, withinMs: number, most = 0): Promise<Memory> {
  const { node, metricsPort } = crowded;
  await torture.until(async () => {
    const read = await scrape(metricsPort);
    return read("roomcast_connections") === 0 && read("roomcast_rooms") === 0;
  }, withinMs);
  let memory = await probe(node);
  let same = 0;
  await torture.until(async () => {
    const next = await probe(node);
    same = next.held < memory.held - 0.1 ? 0 : same + 1;
    memory = next;
    torture.say(`${megabytes(memory)}`);
    // The log forgets by and by, once a second.
    await pause(500);
    return same >= SAME && (most === 0 || memory.held <= most);
  }, withinMs);
  return memory;
}

const megabytes = ({ held, rss }: Memory): string => `${held.toFixed(1)} MB held, ${Math.round(rss)} MB resident`;
const shown = ({ bytes, ms }: Seen): string => `${bytes} bytes in ${ms.toFixed(1)} ms`;

/** At full size less than any map of all names would take: 1,000,000 entries are 60 MB at the least. The ends of 100,000 idle rooms, which the memory engine keeps, are some 10 MB. */
const grown = (what: string, before: Memory, after: Memory, most: number): Verdict => {
  return { ...within(`held after ${what} beyond before`, after.held - before.held, most, "MB"), isTiming: false };
};

const scrapeVerdicts = (when: string, { bytes, ms }: Seen): Verdict[] => [
  { ...within(`/metrics ${when}`, bytes, 299_999, "bytes"), isTiming: false },
  within(`a scrape ${when}`, ms, 50),
];

export const row25: Row = {
  number: 25,
  title: "1,000,000 distinct rooms, users, addresses",
  passesWhen: "/metrics < 300 KB, scrape < 50 ms; memory returns after they leave",
  variants: ["memory"],
  async run(torture, size) {
    const { names, warmUp, roomsEach, processes, withinMs, ofRooms, ofUsers } = sizes[size];
    const metricsPort = await freePort();
    const many = { maxRooms: 10_000, requestRate: 1_000_000, byteRate: 1_073_741_824, connectRate: 1_000_000 };
    // Of rooms and addresses so little is allowed that what counts them has to remember them for a while.
    const limits = { ...many, userPublishRate: 1_000_000, addressRate: 1 };
    const settings = { kinds, metricsPort, secret: SECRET, trustProxy: ["127.0.0.1"], lingerMs: 1000, ...limits };
    const node = await NodeProcess.start(torture, settings, probeFlags);
    torture.nodes.push(node);
    const crowded = { swarm: new Swarm(torture, processes), node, metricsPort, processes };
    // So that what is kept once, however many come, is there.
    await fillRooms(crowded, 0, warmUp, warmUp / processes / 2, async () => undefined);
    await passUsers(crowded, 0, warmUp);
    await scraped(metricsPort);
    const before = await returned(torture, crowded, 20_000);
    let height: { readonly seen: Seen; readonly memory: Memory } | undefined;
    const since = performance.now();
    await fillRooms(crowded, FIRST, names, roomsEach, async () => {
      height = { seen: await scraped(metricsPort), memory: await probe(node) };
    });
    if (height === undefined) throw new Error("expected to have been at the height");
    const roomsMs = performance.now() - since;
    const afterRooms = await returned(torture, crowded, withinMs, before.held + ofRooms);
    const usersSince = performance.now();
    const tally = await passUsers(crowded, 10 * FIRST, names);
    const usersMs = performance.now() - usersSince;
    const usersSeen = await scraped(metricsPort);
    const usersMemory = await probe(node);
    const afterUsers = await returned(torture, crowded, withinMs, afterRooms.held + ofUsers);
    const all = names + warmUp;
    return {
      asked: `1 node, ${names} rooms open at once, ${roomsEach} to a client; then ${names} connections after each other, each of another user and another address (X-Forwarded-For), an event from each`,
      findings: { ...check({ published: [], logs: [] }), examples: tally.examples },
      figures: {
        "rooms joined and left in": `${Math.round(roomsMs / 1000)} s`,
        "users came and went in": `${Math.round(usersMs / 1000)} s`,
        "before, warm": megabytes(before),
        "with all rooms open": megabytes(height.memory),
        "after the rooms": megabytes(afterRooms),
        "as the last users left": megabytes(usersMemory),
        "after the users": megabytes(afterUsers),
        "/metrics with all rooms open": shown(height.seen),
        "/metrics as the last users left": shown(usersSeen),
      },
      verdicts: [
        counted("rooms joined", tally.joined, all),
        atLeast("users welcomed", tally.welcomed, all),
        counted("connections lost", tally.lost),
        counted("errors", tally.errors),
        ...scrapeVerdicts("with all rooms open", height.seen),
        ...scrapeVerdicts("as the last users left", usersSeen),
        grown("the rooms", before, afterRooms, ofRooms),
        grown("the users and addresses", afterRooms, afterUsers, ofUsers),
      ],
    };
  },
};
