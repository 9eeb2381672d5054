import type { Log } from "../../log.js";
import { Circuit } from "../circuit.js";
import type { Host } from "./address.js";
import { Connection, type ConnectionOptions, Refused } from "./connection.js";
import type { Member, Members } from "./members.js";
import { type Range, type Redirect, readRedirect, readSlots, readState, SLOTS, type State } from "./slots.js";
import type { Reply } from "./wire.js";

export type MapOptions = {
  /** What people are told. */
  readonly name: string;
  /** The servers that are asked where no other one is known. */
  readonly seeds: readonly Host[];
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly log: Log;
  /** How a server is connected to. */
  readonly to: (host: Host) => ConnectionOptions;
  readonly members: Members;
  /** The slot is held by another server now, or by none. */
  readonly turned: (slot: number) => void;
};

type Answer = { readonly state: State; readonly ranges: readonly Range[] };

/** How many servers are asked at once: one alone may be behind. */
const ASKED = 3;
/** How long a server's own word on a slot counts for more than what others say of it, in milliseconds. */
const SURE_MS = 3000;
/** The shortest time between two looks, and between those while something is wrong, in milliseconds. */
const AGAIN_MS = 100;
const WRONG_MS = 250;
/** After so many probes the map is looked at again though nothing is wrong. */
const CALM_PROBES = 5;

const keyOf = ({ host, port }: Host): string => `${host}:${port}`;

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ value }) => value);
}

async function ask(asked: Host, send: (command: string, words: string[]) => Promise<Reply>): Promise<Answer> {
  const [info, slots] = await Promise.all([send("cluster", ["INFO"]), send("cluster", ["SLOTS"])]);
  return { state: readState(info), ranges: readSlots(slots, asked) };
}

/**
 * Who holds which slot, as far as is known here. It is read from several servers, of which the one with the highest
 * epoch is believed: at the start, now and then, when a call is redirected, and over and over while something is wrong.
 */
export class ClusterMap {
  readonly #options: MapOptions;
  readonly #owners: (Member | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #saidAt = new Map<number, number>();
  #known: readonly Host[] = [];
  #uncovered = SLOTS;
  /** Open while something is wrong with all of it. */
  readonly #circuit: Circuit;
  /** Whether there has been a time without problems. */
  #wasWhole = false;
  #isLooking = false;
  #isAsked = true;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: MapOptions) {
    this.#options = options;
    this.#circuit = new Circuit(options.name, options.log);
    this.#timer = setTimeout(() => this.#tick(), 0);
  }

  owner(slot: number): Member | undefined {
    return this.#owners[slot];
  }

  problems(): readonly string[] {
    const { name, members } = this.#options;
    const lines: string[] = [];
    if (this.#circuit.problem !== undefined) lines.push(this.#circuit.problem);
    else if (this.#uncovered > 0) lines.push(`${name}: ${this.#uncovered} slots have no server`);
    for (const { slots, primary } of members.all) {
      // One that a slot has gone to just now is being opened: calls wait for it.
      if (slots === 0 || (this.#wasWhole && primary.isOpening)) continue;
      if (primary.problem !== undefined) lines.push(primary.problem);
    }
    return lines;
  }

  /** Reads it anew, soon. */
  look(): void {
    this.#isAsked = true;
  }

  /** Takes in what a server has answered. Returns what it says, where that leads elsewhere. */
  redirected(error: Error, by: Host): Redirect | undefined {
    if (!(error instanceof Refused)) return undefined;
    const redirect = readRedirect(error.reply, by);
    this.look();
    if (redirect?.isMoved) {
      this.#saidAt.set(redirect.slot, performance.now());
      this.#assign(redirect.slot, this.#options.members.at(redirect.to));
    }
    return redirect;
  }

  #assign(slot: number, member: Member | undefined): void {
    const before = this.#owners[slot];
    if (before === member) return;
    this.#owners[slot] = member;
    if (before === undefined) this.#uncovered--;
    else before.slots--;
    if (member === undefined) this.#uncovered++;
    else member.slots++;
    this.#options.turned(slot);
  }

  #tick(): void {
    if (this.#isClosed) return;
    const { probeMs, members } = this.#options;
    const sinceMs = performance.now() - this.#lookedAt;
    const isWrong = this.problems().length > 0;
    if (!isWrong) this.#wasWhole = true;
    const isDue =
      (this.#isAsked && sinceMs >= AGAIN_MS) || (sinceMs >= WRONG_MS && isWrong) || sinceMs >= probeMs * CALM_PROBES;
    if (isDue && !this.#isLooking) void this.#look();
    members.sweep();
    this.#timer = setTimeout(() => this.#tick(), 50 * (0.5 + Math.random()));
    // While nothing else keeps it alive, a process waits for its Cluster.
    if (this.#uncovered < SLOTS) this.#timer.unref();
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    this.#isAsked = false;
    const best = await this.#answer();
    if (typeof best === "object" && !this.#isClosed) this.#apply(best);
    else if (typeof best === "string" && this.#uncovered === SLOTS) this.#circuit.trip(best);
    this.#lookedAt = performance.now();
    this.#isLooking = false;
  }

  /** The latest of what several servers say, or why none does. */
  async #answer(): Promise<Answer | string> {
    const up = shuffled(
      this.#options.members.all.filter(({ slots, primary }) => slots > 0 && primary.problem === undefined),
    );
    let results = await Promise.allSettled(
      up.slice(0, ASKED).map((member) => ask(member, (command, words) => member.primary.send(command, words))),
    );
    if (!results.some(({ status }) => status === "fulfilled")) {
      const hosts = new Map([...this.#known, ...this.#options.seeds].map((host) => [keyOf(host), host]));
      const some = shuffled([...hosts.values()]).slice(0, ASKED);
      results = await Promise.allSettled(some.map((host) => this.#visit(host)));
    }
    const answers = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const rank = ({ state }: Answer): number => (state.isOk ? Number.MAX_SAFE_INTEGER / 2 : 0) + state.epoch;
    const [best] = answers.sort((one, other) => rank(other) - rank(one));
    const [reason] = results.flatMap((result) => (result.status === "rejected" ? [result.reason as Error] : []));
    return best ?? reason?.message ?? "no server answers";
  }

  /** Asks over a connection made for it. */
  async #visit(host: Host): Promise<Answer> {
    const connection = await Connection.open(this.#options.to(host), 0, { closed: () => undefined });
    try {
      return await ask(host, (command, words) => connection.send(command, words));
    } finally {
      connection.destroy("asked");
    }
  }

  #apply({ state, ranges }: Answer): void {
    // A server that has been taken out of its Cluster knows of none.
    if (ranges.length === 0) return;
    if (state.isOk) this.#circuit.close();
    else this.#circuit.trip("the cluster is down");
    this.#known = ranges.flatMap(({ primary, replicas }) => [primary, ...replicas]);
    const now = performance.now();
    const isSure = (slot: number): boolean => now - (this.#saidAt.get(slot) ?? Number.NEGATIVE_INFINITY) < SURE_MS;
    const covered = new Uint8Array(SLOTS);
    for (const { from, to, primary } of ranges) {
      const member = this.#options.members.at(primary);
      for (let slot = from; slot <= to; slot++) {
        covered[slot] = 1;
        if (!isSure(slot)) this.#assign(slot, member);
      }
    }
    for (const slot of this.#saidAt.keys()) if (!isSure(slot)) this.#saidAt.delete(slot);
    if (!state.isOk) return;
    for (let slot = 0; slot < SLOTS; slot++) if (covered[slot] === 0 && !isSure(slot)) this.#assign(slot, undefined);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
