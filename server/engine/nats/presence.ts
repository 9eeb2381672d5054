/**
 * Presence in JetStream: one stream that keeps the last message of each subject. A node's part 0 of a room is in its first
 * subject there, its root, which names its other parts: so who reads a room asks for exact subjects alone, and the server
 * never has to go through those of other rooms.
 */
import { EngineError } from "../engine.js";
import type { Beat, OpenPresence, Presence, Register } from "../presence.js";
import { type NatsServer, parseNatsServer } from "./address.js";
import {
  type JetStream,
  JetStreamError,
  NobodyAnswers,
  NobodyTookIt,
  STREAM_NOT_FOUND,
  type StreamConfig,
} from "./jetstream.js";
import { decodePart, decodeRoot, PresenceSubjects } from "./presence-layout.js";
import { PresenceNodes } from "./presence-nodes.js";
import { deleteAt, type Grave, type PresenceGround, PresenceRoom, type RoomEvents } from "./presence-room.js";
import { ensureStream, type NatsQueueOptions, QueueLink } from "./queue-link.js";
import { Turns } from "./turns.js";

/** How many rooms are read at once; and how many calls may wait, for that or for writes before them. */
const READS_AT_ONCE = 64;
const MAX_WAITING = 50_000;
/** So many calls in a row without an answer, and the stream is looked at before anything else is asked. */
const MOST_SILENT = 5;
/** How many graves may wait to be deleted; beyond it they stay until the node is cleared. */
const MAX_GRAVES = 10_000;

/** How late something may arrive, and how long the marks of cleared nodes stay, in milliseconds. */
const STRAY_MS = 60_000;
const MARK_MS = 900_000;

/** Those that tests set are the constants of the same names. */
export type NatsPresenceOptions = NatsQueueOptions & { readonly strayMs?: number; readonly markMs?: number };

/** Throws a `TypeError` for an address that cannot be. */
export function openNatsPresence(options: NatsPresenceOptions): OpenPresence {
  const servers = options.servers.map(parseNatsServer);
  return () => new NatsPresence(servers, options);
}

const isGone = (error: unknown): boolean =>
  error instanceof NobodyAnswers ||
  error instanceof NobodyTookIt ||
  (error instanceof JetStreamError && error.code === STREAM_NOT_FOUND);

class NatsPresence implements Presence {
  readonly #link: QueueLink;
  readonly #subjects: PresenceSubjects;
  readonly #ground: PresenceGround;
  readonly #nodes: PresenceNodes;
  readonly #timeoutMs: number;
  /** What this process has written: by node, and by room. */
  readonly #rooms = new Map<string, Map<string, PresenceRoom>>();
  readonly #turns = new Turns(READS_AT_ONCE);
  readonly #graves: (Grave & { readonly of: PresenceRoom })[] = [];
  readonly #events: RoomEvents = {
    note: (node) => this.#nodes.note(node),
    bury: (grave, of) => {
      if (this.#graves.length < MAX_GRAVES) this.#graves.push({ ...grave, of });
    },
  };
  #waiting = 0;
  #silent = 0;

  constructor(servers: readonly NatsServer[], options: NatsPresenceOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#subjects = new PresenceSubjects(options.namespace);
    this.#link = new QueueLink("presence", servers, options, {
      setUp: ({ jetstream }) => this.#setUp(jetstream, options),
      ready: () => undefined,
      lost: () => undefined,
    });
    const { connection, jetstream } = this.#link;
    this.#ground = {
      ...{ jetstream, subjects: this.#subjects, direct: options.replicas === 1 },
      ...{ check: () => this.#link.check(), strayMs: options.strayMs ?? STRAY_MS },
    };
    this.#nodes = new PresenceNodes(this.#ground, options.markMs ?? MARK_MS);
    connection.watch(this.#subjects.heard, (message) => this.#nodes.hear(message));
    jetstream.watched = (problem) => this.#watched(problem);
  }

  async #setUp(jetstream: JetStream, { replicas, storage }: NatsPresenceOptions): Promise<void> {
    const since = performance.now();
    const config: StreamConfig = {
      ...{ name: this.#subjects.stream, subjects: [this.#subjects.all], description: "Roomcast: who is in which room" },
      ...{ retention: "limits", discard: "old", storage, num_replicas: replicas },
      ...{ max_msgs_per_subject: 1, allow_direct: true, republish: this.#subjects.republish },
    };
    await ensureStream(jetstream, config);
    await this.#nodes.list(since);
  }

  #watched(problem: string | undefined): void {
    this.#silent = problem === undefined ? 0 : this.#silent + 1;
    if (problem !== undefined && this.#silent >= MOST_SILENT) this.#link.remake(problem);
  }

  /** Where the stream is gone it is made again, and calls are refused until it is there. */
  #ask<T>(call: () => Promise<T>): Promise<T> {
    return this.#link.ask(async () => {
      try {
        return await call();
      } catch (error) {
        if (isGone(error)) this.#link.remake(`stream ${this.#subjects.stream} does not answer`);
        throw error;
      }
    });
  }

  async write(room: string, node: string, part: number, value: Buffer | undefined): Promise<void> {
    const written = this.#roomOf(room, node);
    try {
      await this.#counted(() => this.#ask(() => written.write(part, value, this.#timeoutMs)));
    } finally {
      this.#drop(written);
    }
  }

  #roomOf(room: string, node: string): PresenceRoom {
    const rooms = this.#rooms.get(node) ?? new Map<string, PresenceRoom>();
    this.#rooms.set(node, rooms);
    const known = rooms.get(room);
    if (known !== undefined) return known;
    const made = new PresenceRoom(this.#ground, { room, node }, this.#events);
    rooms.set(room, made);
    return made;
  }

  #drop(of: PresenceRoom): void {
    const rooms = this.#rooms.get(of.node);
    if (!of.isOver || rooms?.get(of.room) !== of) return;
    rooms.delete(of.room);
    if (rooms.size === 0) this.#rooms.delete(of.node);
  }

  async read(room: string): Promise<readonly Register[]> {
    return this.#counted(() => this.#turns.run(() => this.#ask(() => this.#read(room))));
  }

  async #read(room: string): Promise<Register[]> {
    const registers: Register[] = [];
    const asked = new Set<string>();
    // Of a node that beat before this call it may be heard only before the first answers: it is asked for then.
    for (let left = this.#unasked(asked); left.length > 0; left = this.#unasked(asked)) {
      await Promise.all(left.map((node) => this.#readOf(room, node, registers)));
    }
    return registers;
  }

  #unasked(asked: Set<string>): string[] {
    const left = this.#nodes.names.filter((node) => !asked.has(node));
    for (const node of left) asked.add(node);
    return left;
  }

  async #readOf(room: string, node: string, registers: Register[]): Promise<void> {
    const stored = await this.#message(this.#subjects.root(room, node));
    const root = stored && decodeRoot(stored.data);
    if (root === undefined) return;
    if (root.value !== undefined) registers.push({ node, part: 0, value: root.value });
    const read = async (part: number): Promise<void> => {
      const message = await this.#message(this.#subjects.part(room, node, part));
      const value = message && decodePart(message.data);
      if (value !== undefined) registers.push({ node, part, value });
    };
    await Promise.all(root.parts.map(read));
  }

  #message(subject: string) {
    return this.#ground.jetstream.message(this.#subjects.stream, subject, this.#ground.direct);
  }

  async beat(node: string, leaseMs: number): Promise<Beat> {
    const beat = await this.#ask(() => this.#nodes.beat(node, leaseMs));
    // Names that this process does not write under any more.
    for (const name of this.#rooms.keys()) if (!this.#nodes.isNoted(name)) this.#rooms.delete(name);
    this.#buryDue().catch(() => undefined);
    return beat;
  }

  clear(node: string): Promise<boolean> {
    return this.#ask(() => this.#nodes.clear(node));
  }

  /** Deletes the graves that are due. */
  async #buryDue(): Promise<void> {
    const now = performance.now();
    while ((this.#graves[0]?.dueAt ?? Number.POSITIVE_INFINITY) <= now) {
      const grave = this.#graves.shift();
      if (grave === undefined) return;
      await deleteAt(this.#ground.jetstream, this.#subjects.stream, grave.seq);
      grave.of.buried(grave.seq);
      this.#drop(grave.of);
    }
  }

  async #counted<T>(call: () => Promise<T>): Promise<T> {
    this.#link.check();
    if (this.#waiting >= MAX_WAITING) throw new EngineError("unavailable", "NATS: too many calls of presence wait");
    this.#waiting++;
    try {
      return await call();
    } finally {
      this.#waiting--;
    }
  }

  problems(): readonly string[] {
    return this.#link.problems;
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}
