/** A ledger in JetStream: a stream that keeps the last entry of each subject, one for each room. */
import { EngineError } from "../engine.js";
import type { Ledger, Noted, Swap } from "../ledger.js";
import { parseNatsServer } from "./address.js";
import type { Incoming } from "./incoming.js";
import { type JetStream, JetStreamError } from "./jetstream.js";
import { ensureStream, type NatsQueueOptions, NS_PER_MS, QueueLink } from "./queue-link.js";
import { tokenOf } from "./subjects.js";

/** An entry, and its number in the stream. */
type Placed = { readonly seq: number; readonly entry: string | undefined };

const NONE: Placed = { seq: 0, entry: undefined };
/** Of so many rooms it is remembered where the entry is that this node wrote last, so that it need not be asked. */
const MAX_REMEMBERED = 50_000;
const PAGE = 500;
/** A consumer that nobody asks is removed by the server after this time, in milliseconds. */
const INACTIVE_MS = 10_000;

export class NatsLedger implements Ledger {
  readonly #link: QueueLink;
  readonly #stream: string;
  readonly #direct: boolean;
  readonly #waitMs: number;
  readonly #remembered = new Map<string, Placed>();

  /** Connects in the background and for ever. Throws a `TypeError` for an address that cannot be. */
  constructor(options: NatsQueueOptions) {
    const { replicas, storage, timeoutMs } = options;
    const name = `${options.namespace}-ledger`;
    this.#stream = name;
    this.#direct = replicas === 1;
    this.#waitMs = timeoutMs * 0.8;
    const stream = {
      ...{ name, subjects: [`${name}.*`], description: "Roomcast: what was told of rooms" },
      ...{ retention: "limits", discard: "old", storage, num_replicas: replicas, allow_direct: true },
      max_msgs_per_subject: 1,
    };
    const setUp = ({ jetstream }: QueueLink) => ensureStream(jetstream, stream);
    const nothing = () => undefined;
    const servers = options.servers.map(parseNatsServer);
    this.#link = new QueueLink("ledger", servers, options, { setUp, ready: nothing, lost: nothing });
  }

  async swap(swaps: readonly Swap[]): Promise<readonly (string | undefined)[]> {
    return this.#link.ask((jetstream) => Promise.all(swaps.map((swap) => this.#swap(jetstream, swap))));
  }

  async #swap(jetstream: JetStream, { room, from, to }: Swap): Promise<string | undefined> {
    const remembered = this.#remembered.get(room);
    this.#remembered.delete(room);
    let last = from === undefined ? NONE : remembered?.entry === from ? remembered : await this.#read(jetstream, room);
    if (from === to) return (from === undefined ? await this.#read(jetstream, room) : last).entry;
    // Twice: it may be another entry with the same text, and in between there may have been none.
    for (let tries = 0; tries < 2 && last.entry === from; tries++) {
      const changed = await this.#change(jetstream, room, last, to);
      if (changed !== undefined) return this.#remember(room, changed);
      last = await this.#read(jetstream, room);
    }
    return last.entry;
  }

  /** `undefined` where the entry is another one. */
  async #change(jetstream: JetStream, room: string, last: Placed, to: string | undefined): Promise<Placed | undefined> {
    if (to === undefined) return (await deleted(jetstream, this.#stream, last.seq)) ? NONE : undefined;
    const data = Buffer.from(JSON.stringify([room, to]));
    const ack = await jetstream.publishAfter(`${this.#stream}.${tokenOf(room)}`, data, last.seq);
    return ack && { seq: ack.seq, entry: to };
  }

  #remember(room: string, placed: Placed): string | undefined {
    if (placed.entry === undefined) return undefined;
    this.#remembered.set(room, placed);
    if (this.#remembered.size > MAX_REMEMBERED) {
      const [oldest = room] = this.#remembered.keys();
      this.#remembered.delete(oldest);
    }
    return placed.entry;
  }

  async #read(jetstream: JetStream, room: string): Promise<Placed> {
    const stored = await jetstream.message(this.#stream, `${this.#stream}.${tokenOf(room)}`, this.#direct);
    return stored === undefined ? NONE : { seq: stored.seq, entry: notedIn(stored.data)?.[1] };
  }

  async *scan(): AsyncGenerator<readonly Noted[]> {
    type Created = { readonly name: string; readonly num_pending: number };
    const config = {
      ...{ deliver_policy: "all", ack_policy: "none", replay_policy: "instant" },
      ...{ inactive_threshold: INACTIVE_MS * NS_PER_MS, num_replicas: 1, mem_storage: true },
    };
    const body = { stream_name: this.#stream, config };
    const create = `CONSUMER.CREATE.${this.#stream}`;
    const { name, num_pending } = await this.#link.ask((jetstream) => jetstream.call<Created>(create, body));
    try {
      let more = num_pending > 0;
      while (more) {
        const page: Noted[] = [];
        more = await this.#page(name, page);
        if (page.length > 0) yield page;
      }
    } finally {
      this.#remove(name);
    }
  }

  /** Whether there are more. */
  #page(consumer: string, page: Noted[]): Promise<boolean> {
    this.#link.check();
    const body = Buffer.from(JSON.stringify({ batch: PAGE, expires: this.#waitMs * NS_PER_MS }));
    return new Promise((resolve, reject) => {
      let count = 0;
      const receive = (message: Incoming): boolean => {
        if (message.status === NO_RESPONDERS) reject(new EngineError("unavailable", "NATS: a consumer is gone"));
        // What there was to come was removed meanwhile.
        if (message.status !== 0) resolve(false);
        if (message.status !== 0) return true;
        const noted = notedIn(message.data);
        if (noted !== undefined) page.push(noted);
        const isLast = pendingIn(message.reply) === 0;
        if (isLast || ++count === PAGE) resolve(!isLast);
        return isLast || count === PAGE;
      };
      const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${consumer}`;
      this.#link.connection.requestMany(subject, body, receive, reject);
    });
  }

  #remove(consumer: string): void {
    try {
      this.#link.connection.publish(`$JS.API.CONSUMER.DELETE.${this.#stream}.${consumer}`, Buffer.alloc(0));
    } catch {
      // Nobody asks it any more: the server removes it by itself.
    }
  }

  problems(): readonly string[] {
    return this.#link.problems;
  }

  close(): Promise<void> {
    return this.#link.close();
  }
}

const NO_RESPONDERS = 503;

/** `undefined` for what somebody else has written. */
function notedIn(data: Buffer): Noted | undefined {
  try {
    const [room, entry] = JSON.parse(data.toString()) as unknown[];
    return typeof room === "string" && typeof entry === "string" ? [room, entry] : undefined;
  } catch {
    return undefined;
  }
}

/** How many more a consumer has, out of where the message's acknowledgement would go. */
function pendingIn(reply: string): number {
  const fields = reply.split(".");
  // $JS.ACK.[domain.account.]stream.consumer.delivered.seq.consumerSeq.time.pending[.random]
  return Number(fields[fields.length > 9 ? 10 : 8]);
}

/** Deletes a message; whether it was there. */
async function deleted(jetstream: JetStream, stream: string, seq: number): Promise<boolean> {
  try {
    await jetstream.call(`STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true });
    return true;
  } catch (error) {
    // Another entry has taken its place, or somebody has removed it.
    if (error instanceof JetStreamError) return false;
    throw error;
  }
}
