/** A Redis Cluster as one shard: each room is with the primary that holds its slot. */

import { firstOf } from "../by-kind.js";
import { EngineError } from "../engine.js";
import type { Host, RedisShard } from "./address.js";
import { aliasesOf, isReserved, nameOfAlias, roomOfAlias } from "./aliases.js";
import { ClusterMap } from "./cluster-map.js";
import { ClusterRooms } from "./cluster-rooms.js";
import { type ConnectionOptions, Refused, type Word } from "./connection.js";
import { type Member, Members } from "./members.js";
import { Order, type RoomCall } from "./order.js";
import { Primary } from "./primary.js";
import type { Script } from "./scripts.js";
import type { Shard, ShardEvents, ShardOptions } from "./shard.js";
import { bySlot } from "./sharded.js";
import { slotOf } from "./slots.js";
import type { Reply } from "./wire.js";

/** How often a call may be led elsewhere. */
const MOST_REDIRECTS = 8;
/** The pause before a call is sent again that could not be done yet, in milliseconds. */
const PAUSE_MS = 20;
/** How much of its time a node spends on looking for subscriptions that were taken away, at the most: one part in so many. */
const CHECK_SHARE = 10;
/** After so many probes all subscriptions are looked at. */
const CHECK_PROBES = 10;

export class Cluster implements Shard {
  readonly name: string;
  readonly publishes = "SPUBLISH";
  readonly #options: ShardOptions;
  readonly #members: Members;
  readonly #map: ClusterMap;
  readonly #rooms: ClusterRooms;
  readonly #order: Order;
  #checkTimer: NodeJS.Timeout | undefined;
  #checkedAt = performance.now();
  #isClosed = false;

  constructor(shard: RedisShard, options: ShardOptions, events: ShardEvents) {
    this.name = shard.name;
    this.#options = options;
    const { timeoutMs, probeMs, nameOf, log } = options;
    const name = `redis ${shard.name}`;
    const to = ({ host, port }: Host): ConnectionOptions => ({
      name: `${name} ${host}:${port}`,
      target: { ...shard, hosts: [{ host, port }], primary: undefined, db: 0 },
      timeoutMs,
      runsScripts: false,
    });
    const subscribing = bySlot(nameOf);
    const suspect = (room: string): void => events.suspect(roomOfAlias(room));
    this.#members = new Members((host, self) => {
      const { name, target } = to(host);
      return new Primary(
        { name, target, timeoutMs, probeMs, subscribing, log },
        {
          published: (room, bytes) => events.published(nameOfAlias(room), bytes),
          suspect,
          moved: () => this.#doubt(self()),
          refused: (rooms) => this.#rooms.lost(self(), rooms),
        },
      );
    });
    const turned = (slot: number): void => {
      this.#order.turned(slot);
      this.#rooms.turned(slot);
    };
    const members = this.#members;
    this.#order = new Order(timeoutMs, (call, error) => this.#again(call, error));
    this.#map = new ClusterMap({ name, seeds: shard.hosts, timeoutMs, probeMs, log, to, members, turned });
    this.#rooms = new ClusterRooms({ map: this.#map, timeoutMs, nameOf, suspect });
    this.#checkLater(0);
  }

  /** What is published in a room of the server's own is published on all primaries, and done when it is on one. */
  send(room: string, command: string, words: readonly Word[]): Promise<Reply> {
    if (!isReserved(room)) return this.#call(room, (primary) => primary.send(command, words));
    const { nameOf } = this.#options;
    const places = new Map(aliasesOf(room).map((alias) => [this.#map.owner(slotOf(nameOf(alias))), alias]));
    const [, ...others] = words;
    return firstOf(
      [...places.values()].map((alias) =>
        this.#call(alias, (primary) => primary.send(command, [nameOf(alias), ...others])),
      ),
    );
  }

  run(room: string, script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply> {
    return this.#call(room, (primary) => primary.run(script, keys, words));
  }

  #call(room: string, act: (primary: Primary) => Promise<Reply>): Promise<Reply> {
    if (this.#isClosed) return Promise.reject(new EngineError("unavailable", `redis ${this.name}: closed`, 0));
    const slot = slotOf(this.#options.nameOf(room));
    return this.#order.call(room, slot, (call) => {
      const { asked } = call;
      call.asked = undefined;
      call.member = asked ?? this.#map.owner(slot);
      if (call.member === undefined) return Promise.reject(this.#noServer());
      const { primary } = call.member;
      // For the next command on the connection alone.
      if (asked !== undefined) primary.send("asking", []).catch(() => undefined);
      return act(primary);
    });
  }

  #noServer(): EngineError {
    const [problem] = this.#map.problems();
    return new EngineError("unavailable", problem ?? `redis ${this.name}: no server holds the slot`);
  }

  /** In how many milliseconds a call is to be sent again that failed with this; it had no effect then. */
  #again(call: RoomCall, error: Error): number | undefined {
    const { member } = call;
    if (member === undefined || this.#isClosed) return undefined;
    const redirect = this.#map.redirected(error, member);
    if (performance.now() + PAUSE_MS > call.deadline) return undefined;
    if (!(error instanceof Refused)) {
      if (!member.primary.isOpening) return undefined;
      if (this.#map.owner(call.slot) !== member) call.asked = member;
      return PAUSE_MS;
    }
    if (redirect === undefined) return error.reply.startsWith("TRYAGAIN") ? PAUSE_MS : undefined;
    if (++call.redirects > MOST_REDIRECTS) return undefined;
    if (!redirect.isMoved) call.asked = this.#members.at(redirect.to);
    return call.redirects === 1 || !redirect.isMoved ? 0 : PAUSE_MS;
  }

  async subscribe(room: string, isKept: boolean): Promise<void> {
    if (!isReserved(room)) return this.#rooms.subscribe(room, isKept);
    const results = await Promise.allSettled(aliasesOf(room).map((alias) => this.#rooms.subscribe(alias, isKept)));
    const [first] = results;
    if (first?.status === "rejected" && !results.some(({ status }) => status === "fulfilled")) throw first.reason;
  }

  unsubscribe(room: string): void {
    for (const name of isReserved(room) ? aliasesOf(room) : [room]) this.#rooms.unsubscribe(name);
  }

  #doubt(member: Member): void {
    member.isDoubtful = true;
    this.#map.look();
  }

  #checkLater(tookMs: number): void {
    this.#checkTimer = setTimeout(() => void this.#check(), 20 + tookMs * CHECK_SHARE).unref();
  }

  /** A server that takes subscriptions away says so, but not which; now and then all are looked at. Never rejects. */
  async #check(): Promise<void> {
    const from = performance.now();
    if (from - this.#checkedAt > this.#options.probeMs * CHECK_PROBES) {
      this.#checkedAt = from;
      for (const member of this.#members.all) member.isDoubtful = true;
    }
    for (const member of this.#members.all.filter(({ isDoubtful }) => isDoubtful)) {
      member.isDoubtful = false;
      if (!(await this.#rooms.check(member))) member.isDoubtful = true;
    }
    if (!this.#isClosed) this.#checkLater(performance.now() - from);
  }

  problems(): readonly string[] {
    return this.#map.problems();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#checkTimer);
    this.#map.close();
    this.#rooms.close();
    this.#order.close();
    this.#members.close();
  }
}
