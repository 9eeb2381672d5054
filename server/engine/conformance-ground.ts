/** What the cases of the conformance suite stand on: nodes that note what they are told, rooms, events, time. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import type { NewEvent, RoomEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, Deliver, LogRules, Range, Suspect } from "./engine.js";

/** A cluster of the engine under test. Its log may hold other rooms, never those that the suite uses. */
export type Cluster = {
  /** A further node, which is told of events through `deliver`, and of rooms in doubt through `suspect`. Its engine is there. */
  node(deliver: Deliver, suspect: Suspect): Promise<Broker>;
  /** Lets this much time pass for the log, in milliseconds. An engine without it skips the cases on time by name. */
  advance?(ms: number): Promise<void>;
  /**
   * Takes the engine away from all nodes, cuts what they have under way, and brings the engine back, with its log, once
   * `during` has settled. An engine without it skips the cases on outages by name.
   */
  outage?(during: () => Promise<void>): Promise<void>;
  /** Called after every node made here has been closed. */
  close(): Promise<void>;
};

/** One sentence about the contract, and the check of it. */
export type Cases = { readonly [sentence: string]: (ground: Ground) => Promise<void> };

/** How long a case waits for an event before it fails, in milliseconds. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 10;

/** The window of keys and the age of events in the cases on time, in milliseconds. */
export const WINDOW_MS = 2000;

const LONG_MS = 600_000;

type Delivery = {
  readonly room: string;
  readonly epoch: string;
  readonly events: readonly RoomEvent[];
  readonly previous: number;
};

export const rules = (size = 100, ageMs = LONG_MS, keyWindowMs = LONG_MS): LogRules => ({
  history: { size, ageMs },
  keyWindowMs,
});

/** An event whose data is `value`, as text that a JSON client sent. */
export const event = (value: unknown, more: Partial<NewEvent> = {}): NewEvent => ({
  event: "test",
  data: Payload.ofJson(JSON.stringify(value)),
  at: 1_790_000_000_000,
  ...more,
});

export const values = (events: readonly RoomEvent[] | undefined): unknown[] | undefined =>
  events?.map(({ data }) => data.value);

/** The position of the event in the log that `end` is the end of. */
export const at = (end: Position, { offset }: RoomEvent): Position => ({ epoch: end.epoch, offset });

/** The position that a publish in a room with history must have. */
export function placed(position: Position | undefined): Position {
  assert.ok(position !== undefined, "a publish in a room with history resolves with a position");
  return position;
}

/** Fails where the promise fulfils, or rejects with anything but an `EngineError` that says "unavailable". */
export const rejectsUnavailable = (promise: Promise<unknown>): Promise<void> =>
  assert.rejects(promise, { name: "EngineError", code: "unavailable" });

/** One node: its broker, and everything that it was told. */
export class GroundNode {
  readonly broker: Broker;
  readonly deliveries: readonly Delivery[];
  /** The rooms that the engine had doubts about. */
  readonly suspected: readonly string[];
  /** Called after every delivery. */
  readonly #checks: Set<() => void>;

  private constructor(
    broker: Broker,
    deliveries: readonly Delivery[],
    suspected: readonly string[],
    checks: Set<() => void>,
  ) {
    this.broker = broker;
    this.deliveries = deliveries;
    this.suspected = suspected;
    this.#checks = checks;
  }

  static async open(cluster: Cluster): Promise<GroundNode> {
    const deliveries: Delivery[] = [];
    const suspected: string[] = [];
    const checks = new Set<() => void>();
    const deliver: Deliver = (room, epoch, events, previous) => {
      deliveries.push({ room, epoch, events, previous });
      for (const check of checks) check();
    };
    const suspect: Suspect = (room) => {
      suspected.push(room);
      for (const check of checks) check();
    };
    const broker = await cluster.node(deliver, suspect);
    return new GroundNode(broker, deliveries, suspected, checks);
  }

  publish(room: string, value: unknown, kept = rules(), more: Partial<NewEvent> = {}): Promise<Position | undefined> {
    return this.broker.publish(room, event(value, more), kept);
  }

  /** Publishes the values one after the other, and resolves with their positions. */
  async publishAll(room: string, list: readonly unknown[], kept = rules()): Promise<Position[]> {
    const positions: Position[] = [];
    for (const value of list) positions.push(placed(await this.publish(room, value, kept)));
    return positions;
  }

  async read(room: string, range: Range = {}, limit = 1000, kept = rules()) {
    const history = await this.broker.history(room, range, limit, kept);
    return { ...history, values: values(history.events) };
  }

  /** What it was told of the room, in the order it was told. */
  told(room: string): RoomEvent[] {
    return this.deliveries.filter((delivery) => delivery.room === room).flatMap(({ events }) => events);
  }

  /** Resolves once it was told of an event of the room with this value. */
  async until(room: string, value: unknown): Promise<void> {
    const came = () => this.told(room).some(({ data }) => data.value === value);
    await this.#when(came, () => `${room}: waited for ${value}, was told ${values(this.told(room))}`);
  }

  /** Resolves once so many events of the room were told. */
  async untilTold(room: string, count: number): Promise<void> {
    await this.#when(
      () => this.told(room).length >= count,
      () => `${room}: waited for ${count} events, was told ${this.told(room).length}`,
    );
  }

  /** Resolves once the engine has had doubts about the room. */
  async untilSuspected(room: string): Promise<void> {
    await this.#when(
      () => this.suspected.includes(room),
      () => `${room}: waited for the engine to doubt it`,
    );
  }

  async #when(came: () => boolean, missing: () => string): Promise<void> {
    if (came()) return;
    await new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#checks.delete(check);
        settle();
      };
      const check = () => {
        if (came()) finish(resolve);
      };
      const timer = setTimeout(() => finish(() => reject(new Error(missing()))), PATIENCE_MS);
      this.#checks.add(check);
    });
  }
}

/** One case's cluster, and the nodes that it has asked for. */
export class Ground {
  readonly #cluster: Cluster;
  readonly #nodes: GroundNode[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async node(): Promise<GroundNode> {
    const node = await GroundNode.open(this.#cluster);
    this.#nodes.push(node);
    return node;
  }

  /** A node that has the room subscribed. */
  async subscriber(room: string, kept = rules()): Promise<GroundNode> {
    const node = await this.node();
    await node.broker.subscribe(room, kept);
    return node;
  }

  /** The name of a room that nobody has used. */
  room(): string {
    return `conformance:${randomBytes(9).toString("base64url")}`;
  }

  /** Resolves once nothing of the engine is away for this node. */
  async whole(node: GroundNode): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (node.broker.problems().length > 0) {
      if (performance.now() > until) throw new Error(`still away: ${node.broker.problems().join("; ")}`);
      await new Promise((next) => setTimeout(next, LOOK_MS));
    }
  }

  async outage(during: () => Promise<void>): Promise<void> {
    if (this.#cluster.outage === undefined) {
      throw new Error("the cluster has no outage(during): give it one, or skip this case by its name");
    }
    await this.#cluster.outage(during);
  }

  async advance(ms: number): Promise<void> {
    if (this.#cluster.advance === undefined) {
      throw new Error("the cluster has no advance(ms): give it one, or skip this case by its name");
    }
    await this.#cluster.advance(ms);
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map(({ broker }) => broker.close()));
    await this.#cluster.close();
  }
}
