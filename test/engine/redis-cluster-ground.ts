import { setTimeout as pause } from "node:timers/promises";
import type { Position } from "../../protocol/positions.js";
import type { Cluster } from "../../server/engine/conformance.js";
import { event, rules } from "../../server/engine/conformance-ground.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import type { RedisOptions } from "../../server/engine/redis/redis.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";
import type { RedisCluster } from "../support/services/redis-cluster.js";
import { openNode, redisOptions } from "./redis-ground.js";

/** The address of a Cluster, of which these servers are asked first. */
export const urlOf = (nodes: readonly Redis[]): string =>
  `redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join("+")}?name=c`;

/** A Redis Cluster for the conformance suite. In an outage all of its servers are killed and started again. */
export function clusterOf({ nodes }: RedisCluster): Cluster {
  const options = redisOptions([urlOf(nodes)]);
  return {
    node: (deliver, suspect) => openNode(options, deliver, suspect),
    advance: (ms) => pause(ms),
    async outage(during) {
      await Promise.all(nodes.map((node) => node.kill()));
      try {
        await during();
      } finally {
        await Promise.all(nodes.map((node) => node.start()));
        await Promise.all(nodes.map(untilOk));
      }
    },
    async close() {},
  };
}

/** Resolves once the server says that its Cluster works, which after a start takes it some seconds. */
export const untilOk = (node: Redis): Promise<void> =>
  eventually(
    async () => String(await node.command("CLUSTER", "INFO")).includes("cluster_state:ok"),
    "the cluster never worked again",
  );

export const idOf = async (node: Redis): Promise<string> => String(await node.command("CLUSTER", "MYID"));

/** The slot of a room, as a server says it. */
export const slotAt = async (node: Redis, options: RedisOptions, room: string): Promise<number> =>
  Number(await node.command("CLUSTER", "KEYSLOT", `${options.namespace}:{${room}}`));

/** Which of the servers holds the slot of a room. */
export async function ownerOf(nodes: readonly Redis[], options: RedisOptions, room: string): Promise<Redis> {
  const [first] = nodes as [Redis];
  const slot = await slotAt(first, options, room);
  const ranges = (await first.command("CLUSTER", "SLOTS")) as unknown as [number, number, [string, number]][];
  const range = ranges.find(([from, to]) => from <= slot && slot <= to);
  return nodes.find(({ port }) => port === range?.[2][1]) as Redis;
}

/** Begins to move a slot from one server to the other: new keys are made there. */
export async function beginMove(slot: number, from: Redis, to: Redis): Promise<void> {
  await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", await idOf(from));
  await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", await idOf(to));
}

/** Moves a slot's keys, a few at a time, so that a room's come apart. */
export async function moveKeys(slot: number, from: Redis, to: Redis): Promise<void> {
  for (;;) {
    const keys = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, 7)) as string[];
    if (keys.length === 0) return;
    await from.command("MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", ...keys);
  }
}

export async function endMove(slot: number, from: Redis, to: Redis): Promise<void> {
  const id = await idOf(to);
  await to.command("CLUSTER", "SETSLOT", slot, "NODE", id);
  await from.command("CLUSTER", "SETSLOT", slot, "NODE", id);
}

/** Moves a slot while it is in use, as redis-cli does. */
export async function moveSlot(slot: number, from: Redis, to: Redis): Promise<void> {
  await beginMove(slot, from, to);
  await moveKeys(slot, from, to);
  await endMove(slot, from, to);
}

/** How a call ended: "done", or the code of its `EngineError`. */
export const ending = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "done",
    (error: unknown) => (error instanceof EngineError ? error.code : `not an EngineError: ${String(error)}`),
  );

const KEPT = rules(10_000);

/** Publishes until it is taken, as a client with a key does. Returns how often it was refused. */
export async function publishAtLast(broker: Broker, room: string, value: number): Promise<number> {
  for (let refusals = 0; ; refusals++) {
    const end = await ending(broker.publish(room, event(value, { key: `k${value}` }), KEPT));
    if (end === "done") return refusals;
    if (end !== "unavailable" && end !== "timeout") throw new Error(end);
    await pause(10);
  }
}

/** What a node's rooms do: what follows is taken; where something is missing, or may be, the log is read. */
export class Follower {
  readonly broker: Broker;
  readonly seen = new Map<string, number[]>();
  /** Everything that was delivered, whether it followed or not: room and value. */
  readonly told: string[];
  readonly suspected: string[];
  readonly #ends = new Map<string, Position>();
  readonly #reading = new Set<string>();
  #isClosed = false;

  private constructor(broker: Broker, told: string[], suspected: string[]) {
    this.broker = broker;
    this.told = told;
    this.suspected = suspected;
  }

  static async open(t: { after(end: () => Promise<void>): void }, options: RedisOptions): Promise<Follower> {
    const told: string[] = [];
    const suspected: string[] = [];
    const broker = await openNode(
      options,
      (room, epoch, events, previous) => {
        told.push(...events.map(({ data }) => `${room} ${String(data.value)}`));
        const end = follower.#ends.get(room);
        if (end === undefined) return;
        if (end.epoch !== epoch || previous !== end.offset || follower.#reading.has(room))
          return follower.#repair(room);
        for (const { offset, data } of events) follower.#take(room, offset, data.value as number);
      },
      (room) => {
        suspected.push(room);
        follower.#repair(room);
      },
    );
    const follower: Follower = new Follower(broker, told, suspected);
    t.after(() => {
      follower.#close();
      return broker.close();
    });
    return follower;
  }

  #close(): void {
    this.#isClosed = true;
  }

  /** What rooms do now and then: an event that is lost before a silence shows by nothing else. */
  check(room: string): void {
    this.#repair(room);
  }

  async join(room: string): Promise<void> {
    await this.broker.subscribe(room, KEPT);
    const { position } = await this.broker.history(room, {}, 0, KEPT);
    this.#ends.set(room, position);
    this.seen.set(room, []);
  }

  #take(room: string, offset: number, value: number): void {
    const end = this.#ends.get(room) as Position;
    if (offset <= end.offset) return;
    this.#ends.set(room, { ...end, offset });
    this.seen.get(room)?.push(value);
  }

  #repair(room: string): void {
    if (this.#reading.has(room) || !this.#ends.has(room)) return;
    this.#reading.add(room);
    void this.#read(room).finally(() => this.#reading.delete(room));
  }

  async #read(room: string): Promise<void> {
    while (!this.#isClosed) {
      const since = this.#ends.get(room) as Position;
      try {
        const { events, more, position } = await this.broker.history(room, { since }, 500, KEPT);
        if (events === undefined) throw new RangeError(`${room}: a reset that nobody expected`);
        for (const { offset, data } of events) this.#take(room, offset, data.value as number);
        if (!more && this.#ends.get(room)?.offset === position.offset) return;
        if (!more) this.#ends.set(room, position);
      } catch (error) {
        if (error instanceof RangeError) throw error;
        await pause(20);
      }
    }
  }
}
