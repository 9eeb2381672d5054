/** The nodes of one engine: who is there, and what is asked of all of them. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { RoomEvent } from "../../protocol/event.js";
import { type Broker, EngineError, type LogRules, RESERVED } from "../engine/engine.js";
import type { Log } from "../log.js";
import type { Ask } from "./asks.js";
import { checkRoom, checkTenant, checkUser } from "./checks.js";
import { Control, type NodeActions } from "./control.js";
import { type NodeInfo, NodeList } from "./nodes.js";
import { type NodeFacts, type Note, readNote, type Said, type Use, writeNote } from "./note.js";
import type { Collected } from "./questions.js";
import { type UsageCounts, UsageNotes } from "./usage.js";

export type { NodeActions, NodeInfo, UsageCounts };

/** The room in which nodes speak to each other. */
export const NODES_ROOM = `${RESERVED}nodes`;

const RULES: LogRules = { history: { size: 0, ageMs: 1 }, keyWindowMs: 1 };
/** Who is asked who is there answers at a random moment within so many milliseconds: not all at once. */
const ANSWER_SPREAD_MS = 100;
/** How long after the start the list is not taken to be whole, in milliseconds. */
const SETTLE_MS = 300;
/** The pause before the room is subscribed again, in milliseconds, with jitter. */
const RETRY_MS = 500;
/** How often what cannot be read is told, in milliseconds. */
const TELL_AGAIN_MS = 60_000;

/** Of how many nodes an answer is made. */
export type Answered = {
  /** How many nodes answered. */
  readonly nodes: number;
  /** The names of nodes that did not answer in time, or could not do it: their part is not in the sums. */
  readonly missing: readonly string[];
};

/** How many there were, on all nodes that answered. */
export type Count = Answered & { readonly count: number };

/** Sums over all nodes that answered. A room that is open on two nodes counts twice. */
export type Counts = Answered & { readonly connections: number; readonly sessions: number; readonly rooms: number };

export type ClusterOptions = {
  /** This node's name. */
  readonly name: string;
  readonly version: string;
  /** Its log of rooms; the cluster neither opens nor closes it. */
  readonly broker: Broker;
  /** Without any it is not a node, but one who only asks: nobody's list has it. */
  readonly actions: NodeActions | undefined;
  /** How long a node that gives no sign of life is believed to be there, in milliseconds. */
  readonly leaseMs: number;
  readonly log: Log;
  /** What of its users and rooms it is to tell the others. */
  readonly usage?: UsageCounts | undefined;
  /** How long the answers of all nodes are waited for, in milliseconds; 2000 by default. */
  readonly answerMs?: number | undefined;
};

/**
 * This node's part in the cluster. Nodes tell each other that they are there a little more often than three times a
 * lease, and when they end; who begins asks. Everything goes through a reserved room of the engine, which may lose it and may
 * deliver it more than once: repeats are dropped, and what is lost shows as a lease that ends or as a node that is missing
 * in an answer.
 */
export class Cluster {
  /** Made up at each start: tells two nodes of one name apart. */
  readonly id: string = randomBytes(9).toString("base64url");
  readonly #options: ClusterOptions;
  readonly #list: NodeList;
  readonly #control: Control;
  readonly #usage: UsageNotes | undefined;
  readonly #ending = new AbortController();
  readonly #startedAt = Date.now();
  #sequence = 0;
  #timer: NodeJS.Timeout | undefined;
  #answering: NodeJS.Timeout | undefined;
  #tickedAt = 0;
  /** When the list is taken to be whole. */
  #settledAt = Number.POSITIVE_INFINITY;
  /** Whether a note could not be sent: others may have forgotten this node, and this one them. */
  #wasAway = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  #closing: Promise<void> | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#list = new NodeList(options);
    const { name, actions, log, usage, answerMs } = options;
    this.#control = new Control({
      ...{ id: this.id, name, actions, log, answerMs },
      others: () => this.#list.others(),
      send: (note) => this.#send(note),
    });
    const tell = (use: Use) => void this.#send({ type: "use", use }).catch(() => undefined);
    this.#usage = usage && new UsageNotes(usage, () => this.#list.others().length, tell);
  }

  get #closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Subscribes, tells the others and asks who is there. Resolves once that is done, or with the end; rejects never: an
   * engine that is away is tried again.
   */
  async start(): Promise<void> {
    while (!(await this.#subscribe())) {
      if (this.#closed) return;
      const options = { ref: false, signal: this.#ending.signal };
      await pause(RETRY_MS * (0.5 + Math.random()), undefined, options).catch(() => undefined);
    }
    if (this.#closed) return;
    this.#tickedAt = performance.now();
    this.#settledAt = this.#tickedAt + SETTLE_MS;
    this.#schedule();
    await this.#announce(true);
  }

  async #subscribe(): Promise<boolean> {
    try {
      if (!this.#closed) await this.#options.broker.subscribe(NODES_ROOM, RULES);
      return true;
    } catch {
      return false;
    }
  }

  #schedule(): void {
    const ms = (this.#options.leaseMs / 3) * (0.75 + 0.25 * Math.random());
    this.#timer = setTimeout(() => this.#tick(), ms).unref();
  }

  #tick(): void {
    const now = performance.now();
    // This process stood still: what was said meanwhile was missed, and the others have forgotten it.
    const stoodStill = now - this.#tickedAt > this.#options.leaseMs / 2;
    this.#tickedAt = now;
    this.#list.sweep();
    void this.#announce(stoodStill);
    this.#schedule();
  }

  /** Tells the others how this node is: at once, beside the regular times. */
  announce(): void {
    void this.#announce(false);
  }

  /** Notes may not have reached this node: tells and asks anew. To be called where the engine suspects the room. */
  suspect(): void {
    void this.#announce(true);
  }

  /** Never rejects. */
  async #announce(asks: boolean): Promise<void> {
    if (this.#closed) return;
    try {
      const facts = this.#facts();
      if (facts !== undefined) await this.#send({ type: "node", facts });
      if (asks || this.#wasAway) await this.#send({ type: "who" });
      this.#wasAway = false;
    } catch {
      this.#wasAway = true;
    }
  }

  #facts(): NodeFacts | undefined {
    const { name, version, actions } = this.#options;
    if (actions === undefined) return undefined;
    return { ...actions.state(), name, version, host: hostname(), pid: process.pid, startedAt: this.#startedAt };
  }

  async #send(note: Note): Promise<void> {
    const sequence = ++this.#sequence;
    await this.#options.broker.publish(NODES_ROOM, writeNote({ id: this.id, sequence, note }), RULES);
  }

  /** Takes what the engine delivers in the server's own rooms. It throws nothing, whatever the events hold. */
  deliver(room: string, events: readonly RoomEvent[]): void {
    if (room !== NODES_ROOM) return;
    for (const event of events) {
      if (this.#closed) return;
      const said = readNote(event);
      if (said === undefined) this.#tellOdd(event);
      else if (said.id !== this.id && this.#list.hear(said.id, said.sequence)) this.#take(said);
    }
  }

  #take({ id, sequence, note }: Said): void {
    switch (note.type) {
      case "node":
        this.#list.put(id, sequence, note.facts, this.#options.actions && this.#options.name);
        break;
      case "left":
        this.#list.left(id);
        this.#control.left(id);
        break;
      case "who":
        this.#answerWho();
        break;
      case "ask":
        void this.#control.answer(id, note.request, note.ask);
        break;
      case "answer":
        if (note.to === this.id) this.#control.take(id, note.request, note.numbers, note.listed);
        break;
      case "use":
        this.#usage?.hear(id, note.use);
        break;
      default:
        note satisfies never;
    }
  }

  /** One answer for all who ask within the same moment. */
  #answerWho(): void {
    if (this.#options.actions === undefined || this.#answering !== undefined) return;
    const answer = () => {
      this.#answering = undefined;
      this.announce();
    };
    this.#answering = setTimeout(answer, Math.random() * ANSWER_SPREAD_MS).unref();
  }

  #tellOdd(event: RoomEvent): void {
    const now = performance.now();
    if (now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    const fields = { event: event.event, bytes: event.data.size };
    this.#options.log.warn("passed over what another node said: not in a form that this version knows", fields);
  }

  /** The nodes that are there, this one first, then by name. */
  nodes(): readonly NodeInfo[] {
    const facts = this.#closed ? undefined : this.#facts();
    const own = facts === undefined ? [] : [{ ...facts, id: this.id, self: true, ageMs: 0 }];
    const others = this.#closed ? [] : [...this.#list.others()];
    others.sort((a, b) => (a.name === b.name ? a.startedAt - b.startedAt : a.name < b.name ? -1 : 1));
    return [...own, ...others];
  }

  /**
   * Closes every session of the user, on all nodes, with close code 4201: the SDK does not come back by itself. Whether
   * the user may come back is for the application's own hooks to say. Rejects with `ProtocolError` for what cannot be a
   * user, and with `EngineError` where the other nodes cannot be asked; it is done on this one then too.
   */
  async disconnect(user: string, tenant = ""): Promise<Count> {
    checkUser(user);
    checkTenant(tenant);
    return countOf(await this.ask({ what: "disconnect", user, tenant }));
  }

  /**
   * Takes the user's sessions out of the room, on all nodes, and tells each by a `removed` frame; they may join again
   * where the application lets them. Rejects as `disconnect` does.
   */
  async remove(user: string, room: string, tenant = ""): Promise<Count> {
    checkUser(user);
    checkTenant(tenant);
    checkRoom(room);
    return countOf(await this.ask({ what: "remove", user, tenant, room }));
  }

  /**
   * Has all nodes take back what `revocation` says, and write it into their log. Resolves with how many have; rejects as
   * `counts` does.
   */
  async revoke(revocation: object): Promise<Count> {
    return countOf(await this.ask({ what: "revoke", revocation }));
  }

  /**
   * What a node knows to be taken back, as it is written, from so many on: a part, and of how many. `undefined` where that
   * node has not answered. Rejects as `counts` does.
   */
  async revocations(of: string, from: number): Promise<{ listed: readonly unknown[]; count: number } | undefined> {
    const { listed = [], numbers, nodes } = await this.ask({ what: "revocations", of, from });
    return nodes === 0 ? undefined : { listed, count: numbers["count"] ?? 0 };
  }

  /** How many clients there are, on all nodes. Rejects with `EngineError` where the others cannot be asked. */
  async counts(): Promise<Counts> {
    const { numbers, nodes, missing } = await this.ask({ what: "counts" });
    const { connections = 0, sessions = 0, rooms = 0 } = numbers;
    return { connections, sessions, rooms, nodes, missing };
  }

  /** How many clients are in the room, on all nodes. Rejects as `counts` does, and with `ProtocolError`. */
  async count(room: string, tenant = ""): Promise<Count> {
    checkRoom(room);
    checkTenant(tenant);
    return countOf(await this.ask({ what: "count", tenant, room }));
  }

  /**
   * Asks all nodes, this one among them; `withinMs`: how long the answers are waited for, in milliseconds. Rejects with
   * `EngineError` where the others cannot be asked; it is done on this one then too. See `everywhere.ts` for what to ask.
   */
  ask(ask: Ask, withinMs?: number): Promise<Collected> {
    if (this.#closed) return Promise.reject(new EngineError("unavailable", "this node is closed", 0));
    return this.#control.ask(ask, this.#settledAt - performance.now(), withinMs);
  }

  /** Says goodbye, and ends what waits. Before the broker is closed. Resolves within what the broker takes; never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#answering);
    this.#usage?.close();
    this.#ending.abort();
    this.#control.close();
    if (this.#options.actions !== undefined && this.#sequence > 0) {
      await this.#send({ type: "left" }).catch(() => undefined);
    }
    await this.#options.broker.unsubscribe(NODES_ROOM).catch(() => undefined);
  }
}

const countOf = ({ numbers, nodes, missing }: Collected): Count => ({ count: numbers["count"] ?? 0, nodes, missing });
