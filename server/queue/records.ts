/** The stream of what happened: what a node tells of its clients, and of what is published in kinds that ask for it. */
import type { NewEvent } from "../../protocol/event.js";
import { type Broker, EngineError, type LogRules } from "../engine/engine.js";
import type { Mark, RecordKind, RecordLog } from "../engine/queue.js";
import type { Log } from "../log.js";
import { CatchUp } from "./catch-up.js";
import { Connections } from "./connections.js";
import { lost, type NodeName, nodeBack, nodeGone, published, type RoomName } from "./entries.js";
import { Marks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { type RecordedFrom, Recording } from "./recording.js";
import { Sweep } from "./sweep.js";

export type RecordsOptions = {
  readonly log: RecordLog;
  readonly node: NodeName;
  /** What is told of clients. */
  readonly tells: readonly RecordKind[];
  readonly recordedFrom: RecordedFrom;
  /** Whether any room is. */
  readonly recordsRooms: boolean;
  readonly rulesFor: (room: string) => LogRules;
  readonly nameOf: (room: string) => RoomName;
  /** After how long without a sign of life a node is taken to be gone, in milliseconds. */
  readonly leaseMs: number;
  /** How long the engines may take to answer, in milliseconds. */
  readonly engineTimeoutMs: number;
  readonly nodes: () => number;
  readonly words: Log;
};

export type RecordNumbers = {
  /** Totals since the start: entries written by this node, those lost, and gaps that were told. */
  readonly written: number;
  readonly lost: number;
  readonly gaps: number;
  /** Entries that wait to be written, and rooms whose log is ahead of the records. */
  readonly waiting: number;
  readonly behind: number;
};

/** What a node's mark begins with: no client can give a room such a name. */
const NODE_MARK = "$node:";
/** The pause before a node's mark is tried again, in milliseconds. */
const MARK_AGAIN_MS = 300;
/** The least time that nodes are given after an outage to say that they are there, in milliseconds. */
const SETTLE_MS = 3000;
/** The least time that a publish is given to come to its effect, in milliseconds. */
const PUBLISH_MS = 30_000;
/** How often it is looked whether everything has been written, in milliseconds. */
const LOOK_MS = 10;
/** How often failures are told, in milliseconds. */
const TELL_AGAIN_MS = 60_000;

export class Records {
  readonly #options: RecordsOptions;
  readonly #outbox: Outbox;
  readonly #connections: Connections | undefined;
  #catchUp: CatchUp | undefined;
  #sweep: Sweep | undefined;
  #count = 0;
  /** This node's own mark, and when it was last made. */
  #mark: Mark | undefined;
  #markedAt = 0;
  /** Since when the engine has been there whenever this node's mark was made. */
  #steadySince = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: RecordsOptions) {
    this.#options = options;
    const { log, node, tells } = options;
    this.#outbox = new Outbox({
      log,
      lost: (count) => {
        const id = this.#newId();
        return { kind: "lost", about: undefined, id, bytes: lost(node, id, count) };
      },
      failed: (error) => this.#failed(error),
    });
    const newId = () => this.#newId();
    if (tells.length > 0)
      this.#connections = new Connections({ node, outbox: this.#outbox, tells: new Set(tells), newId });
  }

  /** Entries of a node have rising numbers: what is missing among them shows, and what is swapped. */
  #newId(): string {
    return `${this.#options.node.instance}-${++this.#count}`;
  }

  /** Who is to be told of sessions; nobody where nothing of them is told. */
  get connections(): Connections | undefined {
    return this.#connections;
  }

  get numbers(): RecordNumbers {
    return {
      written: this.#outbox.written + (this.#catchUp?.recorded ?? 0),
      lost: this.#outbox.lost,
      gaps: this.#catchUp?.gaps ?? 0,
      waiting: this.#outbox.waiting,
      behind: this.#catchUp?.behind ?? 0,
    };
  }

  /** The broker, so that what is published by it is recorded; itself where nothing is. Called once. */
  over(broker: Broker): Broker {
    const { log, recordedFrom, recordsRooms, rulesFor, nameOf, leaseMs, engineTimeoutMs, nodes } = this.#options;
    const failed = (error: unknown) => this.#failed(error);
    const catchUp = new CatchUp({ broker, log, rulesFor, nameOf, failed });
    this.#catchUp = catchUp;
    const isNode = ({ room }: Mark) => room.startsWith(NODE_MARK);
    const publishMs = Math.max(PUBLISH_MS, engineTimeoutMs * 4);
    const gone = (mark: Mark) => this.#tellGone(mark);
    // After an outage the marks of all nodes are old: each has the time of a lease to make its own anew.
    const isSteady = () => performance.now() - this.#steadySince >= Math.max(leaseMs, SETTLE_MS);
    this.#sweep = new Sweep({ log, catchUp, publishMs, leaseMs, isNode, isSteady, gone, nodes, failed });
    if (!recordsRooms) return broker;
    const tell = (room: string, event: NewEvent) => this.#tell(room, event);
    return new Recording({ broker, log, recordedFrom, marks: new Marks(log), catchUp, tell });
  }

  start(): void {
    this.#sweep?.start();
    if (this.#connections === undefined) this.#outbox.release();
    else void this.#markNode();
  }

  #tell(room: string, event: NewEvent): void {
    const id = this.#newId();
    const bytes = published(this.#options.nameOf(room), event, { id });
    this.#outbox.put({ kind: "published", about: room, id, bytes });
  }

  /** Says that this node is there, three times a lease. Never rejects. */
  async #markNode(): Promise<void> {
    const { log, node, leaseMs } = this.#options;
    let pauseMs = Number.POSITIVE_INFINITY;
    try {
      const isFirst = this.#mark === undefined;
      this.#mark = await log.mark(`${NODE_MARK}${node.instance}:${node.name}`);
      const now = performance.now();
      if (isFirst) this.#outbox.release();
      else if (now - this.#markedAt >= leaseMs) this.#tellBack();
      if (now - this.#markedAt >= leaseMs / 2 || this.#steadySince > now) this.#steadySince = now;
      this.#markedAt = now;
    } catch (error) {
      this.#steadySince = Number.POSITIVE_INFINITY;
      this.#failed(error);
      pauseMs = MARK_AGAIN_MS;
    }
    if (this.#isClosed) return;
    const ms = Math.min(leaseMs / 3, pauseMs) * (0.75 + 0.25 * Math.random());
    this.#timer = setTimeout(() => void this.#markNode(), ms).unref();
  }

  #tellBack(): void {
    const id = this.#newId();
    this.#outbox.put({ kind: "node_back", about: undefined, id, bytes: nodeBack(this.#options.node, id) });
    this.#connections?.tellAgain();
  }

  /** All nodes find it out; the key has it told once. */
  async #tellGone({ room }: Mark): Promise<void> {
    const [instance = "", name = ""] = room.slice(NODE_MARK.length).split(":");
    if (instance === this.#options.node.instance) return;
    await this.#options.log.append("node_gone", undefined, `gone-${instance}`, nodeGone({ name, instance }));
  }

  /** What of the engine cannot be reached passes; the rest is told, now and then. */
  #failed(error: unknown): void {
    const now = performance.now();
    if (error instanceof EngineError || now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    this.#options.words.error("records: something could not be recorded", { error: String(error) });
  }

  /**
   * Writes what waits, until `until` at the latest, as `performance.now()` counts. Before the broker is closed, and after
   * the last session. Never rejects.
   */
  async close(until: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#sweep?.close();
    this.#connections?.stop();
    this.#catchUp?.hurry();
    const isWaiting = () => this.#outbox.waiting + (this.#catchUp?.behind ?? 0) > 0;
    while (isWaiting() && performance.now() < until) await new Promise((next) => setTimeout(next, LOOK_MS));
    const { waiting } = this.#outbox;
    this.#catchUp?.close();
    this.#outbox.close();
    // What could not be told is gone with this node: then the others tell that it is.
    if (this.#mark !== undefined && waiting === 0) {
      await this.#options.log.unmark(this.#mark, undefined).catch(() => undefined);
    }
    if (waiting > 0) this.#options.words.warn("records: some could not be written in time", { count: waiting });
    await this.#options.log.close().catch(() => undefined);
  }
}
