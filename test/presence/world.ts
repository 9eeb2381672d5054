/** A cluster of nodes that know a room's members, and clients that come, go and are cut off; in virtual time. */
import assert from "node:assert/strict";
import type { ServerCodec } from "../../protocol/codec.js";
import { json } from "../../protocol/json.js";
import { jsonServer } from "../../protocol/json-server.js";
import { msgpack } from "../../protocol/msgpack.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";
import type { MembersList, Roster, Seat } from "../../server/session/presence.js";
import type { Random } from "../support/random.js";
import { VirtualTime } from "../support/virtual-time.js";
import { Reader } from "./reader.js";
import { SimulatedEngine } from "./simulated-engine.js";
import { SimulatedNode } from "./simulated-node.js";
import { NEWS_MS, type Stay, type Times, Truth } from "./truth.js";

/** A client in a room. */
type Place = {
  readonly client: Client;
  readonly room: string;
  readonly node: SimulatedNode;
  readonly codec: ServerCodec;
  roster: Roster | undefined;
  seat: Seat | undefined;
  reader: Reader | undefined;
  stay: Stay | undefined;
  gone: boolean;
};

/** A client: one session, that may be open on two connections while it moves. */
export type Client = {
  readonly index: number;
  session: string;
  generation: number;
  readonly user: string | undefined;
  info: unknown;
  /** Whether it asks to be told who is there; else it is only seen. */
  readonly reads: boolean;
  readonly rooms: Set<string>;
  /** By room, the newest one. */
  readonly places: Map<string, Place>;
  node: SimulatedNode | undefined;
};

export type WorldOptions = {
  readonly random: Random;
  readonly times: Times;
  readonly maxListed: number;
  readonly users: readonly (string | undefined)[];
  readonly mostDelayMs?: number;
};

/** How long after it was cut off a node may take to hear of who came: what was under way fails, and is tried again. */
const CATCH_UP_MS = 4000;
const NEVER = Number.POSITIVE_INFINITY;

export class World {
  readonly time = new VirtualTime();
  readonly engine: SimulatedEngine;
  readonly truth = new Truth();
  readonly nodes: SimulatedNode[] = [];
  readonly clients: readonly Client[];
  readonly random: Random;
  readonly options: WorldOptions;
  /** How much was seen, so that a test can hold that there was something to see. */
  readonly tally = { frames: 0, left: 0, checks: 0, steady: 0, counted: 0, resumed: 0, upset: 0 };
  readonly #clock = this.time.clock();
  readonly #places = new Set<Place>();
  /** From when on everything works again that may keep news back; `NEVER` while it does not. */
  #upsetUntil = Number.NEGATIVE_INFINITY;
  /** When the engine lost what it had last. */
  #forgotAt = Number.NEGATIVE_INFINITY;
  /** Since when something has been wrong without a break. */
  #upsetSince = 0;
  /** Whether one node was cut off from the others so long that they took it to be dead. */
  #wasApart = false;
  #failure: unknown;
  #started = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = options.random;
    this.engine = new SimulatedEngine(this.time, options.random);
    this.engine.mostDelayMs = options.mostDelayMs ?? this.engine.mostDelayMs;
    this.clients = options.users.map((user, index) => ({
      index,
      session: `s${index}.0`,
      generation: 0,
      user,
      info: undefined,
      reads: index % 3 !== 2,
      rooms: new Set<string>(),
      places: new Map<string, Place>(),
      node: undefined,
    }));
  }

  /** The nodes that clients can be on. */
  get live(): SimulatedNode[] {
    return this.nodes.filter((node) => node.state === "up");
  }

  /** How long after a fault everybody knows everything again. */
  get settleMs(): number {
    const { leaseMs, beatMs, intervalMs, checkMs } = this.options.times;
    // What was lost without a trace is found by the next comparison.
    return checkMs + leaseMs + 2 * beatMs + intervalMs + 2 * NEWS_MS;
  }

  /** How long a node may be cut off so that nobody thinks it dead. */
  get shortMs(): number {
    const { leaseMs, beatMs } = this.options.times;
    return leaseMs - 2 * beatMs - NEWS_MS;
  }

  startNode(): SimulatedNode {
    const node = new SimulatedNode(
      `n${++this.#started}`,
      this.time,
      this.engine,
      this.options,
      (topic, codec, frame) => {
        this.#attempt(() => this.#published(node, topic, codec, frame));
      },
    );
    this.nodes.push(node);
    return node;
  }

  #attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #published(node: SimulatedNode, topic: string, codec: ServerCodec, frame: string | Uint8Array): void {
    const parsed = (codec === jsonServer ? json : msgpack).decode(frame);
    assert.equal(parsed?.type, "presence");
    node.holdApart(topic, codec.name, this.time.now, this.options.times.intervalMs);
    const { left } = parsed;
    this.tally.left += left.length;
    for (const place of this.#places) {
      if (place.node !== node || place.codec !== codec || place.reader === undefined) continue;
      if (place.roster?.topic !== topic) continue;
      this.tally.frames++;
      if (parsed.countOnly === true) this.tally.counted++;
      place.reader.receive(parsed);
      this.#check(place);
    }
  }

  /** From now on, until so long after `calm`, nobody is held to know anything. */
  upset(): void {
    if (this.#upsetUntil + NEWS_MS + this.options.times.intervalMs < this.time.now) this.#upsetSince = this.time.now;
    this.#upsetUntil = NEVER;
  }

  /** Where nothing is wrong any more. */
  calm(): void {
    const isCut = this.nodes.some((node) => node.state !== "gone" && node.cutAt !== undefined);
    if (!isCut && this.engine.loss === 0) this.#upsetUntil = this.time.now + this.settleMs;
  }

  /** What the client is shown; `undefined`: it is not told. */
  readerOf(client: Client, room: string): Reader | undefined {
    return client.places.get(room)?.reader;
  }

  /** Everything is held against what must be known, and what may. */
  check(): void {
    this.#attempt(() => {
      for (const place of this.#places) if (place.reader !== undefined) this.#check(place);
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  #check(place: Place): void {
    const { reader, node, room, client } = place;
    if (reader === undefined || node.state !== "up") return;
    const { now } = this.time;
    const lag = this.options.times.intervalMs + NEWS_MS;
    if (now - lag < this.#upsetUntil) {
      this.#checkUpset(place);
      return;
    }
    this.tally.checks++;
    if (!reader.isListed) return;
    const cut = node.blindSince(now, CATCH_UP_MS);
    // A node that knows nothing new keeps what it knew.
    const which = cut === undefined ? () => true : (stay: Stay) => stay.from <= cut - NEWS_MS;
    for (const key of this.truth.steady(room, now - lag, now, which)) {
      if (key.startsWith(":")) continue;
      this.tally.steady++;
      if (!reader.members.has(key)) {
        throw new Error(
          `at ${Math.round(now)} on ${node.name} in ${room}: ${client.session} is not shown ${key}, who is there`,
        );
      }
    }
    // Who was away for a while waits a lease long until it believes that others have gone: they may have been away as well.
    const { leaseMs, beatMs, intervalMs } = this.options.times;
    if (node.blindSince(now, leaseMs + 2 * beatMs + intervalMs + CATCH_UP_MS) !== undefined) return;
    const possible = this.truth.possible(room, now);
    for (const user of reader.members.keys()) {
      if (!possible.has(user)) {
        throw new Error(
          `at ${Math.round(now)} on ${node.name} in ${room}: ${client.session} is shown ${user}, who has gone`,
        );
      }
    }
  }

  /** Whatever becomes of the engine: who was shown when it went wrong, and is connected all the time, is shown on. */
  #checkUpset({ reader, node, room, client, stay: own }: Place): void {
    const known = this.#upsetSince - this.options.times.intervalMs - NEWS_MS;
    if (this.#wasApart || !reader?.isListed || (own?.from ?? NEVER) > known) return;
    for (const { room: itsRoom, user, held, from, node: at } of this.truth.stays) {
      if (user === undefined || itsRoom !== room || !held || from > known || reader.members.has(user)) continue;
      const where = `at ${Math.round(this.time.now)} on ${node.name} in ${room}`;
      throw new Error(`${where}: ${client.session} is not shown ${user} any more, who is on ${at} all the time`);
    }
    this.tally.upset++;
  }

  /** Joins one room, as a session does it. */
  async #join(client: Client, room: string): Promise<void> {
    const { node } = client;
    if (node === undefined) return;
    const codec = client.index % 2 === 0 ? jsonServer : msgpackServer;
    const place: Place = {
      client,
      room,
      node,
      codec,
      roster: undefined,
      seat: undefined,
      reader: undefined,
      stay: undefined,
      gone: false,
    };
    client.places.set(room, place);
    this.#places.add(place);
    const roster = node.rosters.hold(room, node.rules);
    place.roster = roster;
    await roster.ready();
    // Whoever left meanwhile has given it back.
    if (place.gone) {
      if (node.state !== "gone") roster.release();
      return;
    }
    const { session, user, info } = client;
    place.seat = roster.enter({ session, user, info });
    this.#begin(place);
    if (!client.reads) return;
    roster.addReader(codec);
    place.reader = new Reader(roster.view());
    this.#check(place);
  }

  #begin(place: Place): void {
    const { client, room, node } = place;
    const { session, user, info } = client;
    const { now } = this.time;
    for (const old of this.truth.stays) {
      // A session that is somewhere else now is not waited for where it was.
      if (old.session === session && old.room === room && !old.held) old.until = Math.min(old.until, now + 2 * NEWS_MS);
    }
    const from = node.cutAt === undefined ? now + NEWS_MS : NEVER;
    place.stay = { room, session, user, info, node: node.name, from, until: NEVER, mayUntil: NEVER, held: true };
    this.truth.stays.add(place.stay);
  }

  enter(client: Client, room: string): void {
    client.rooms.add(room);
    if (client.node !== undefined && !client.places.has(room)) this.#go(this.#join(client, room));
  }

  #go(promise: Promise<void>): void {
    promise.catch((error: unknown) => {
      this.#failure ??= error;
    });
  }

  /** The client leaves the room for good. */
  leave(client: Client, room: string): void {
    client.rooms.delete(room);
    const place = client.places.get(room);
    if (place !== undefined) this.#end(place, true);
    // Whatever still stands of it elsewhere, as after a lost connection, may go or stay for its time.
    for (const stay of this.truth.stays) {
      if (stay.session === client.session && stay.room === room && !stay.held)
        stay.until = Math.min(stay.until, this.time.now);
    }
  }

  #end(place: Place, isForGood: boolean): void {
    const { client, room, node, roster, seat, codec, stay } = place;
    this.#places.delete(place);
    place.gone = true;
    if (client.places.get(room) === place) client.places.delete(room);
    if (seat === undefined) return;
    if (isForGood) seat.leave();
    else seat.lose();
    if (place.reader !== undefined) roster?.removeReader(codec);
    roster?.release();
    if (stay !== undefined) this.#ended(stay, node, isForGood);
  }

  #ended(stay: Stay, node: SimulatedNode, isForGood: boolean): void {
    const { graceMs, intervalMs } = this.options.times;
    const { now } = this.time;
    stay.held = false;
    // Of a session on two connections the newer one's end counts.
    stay.until = isForGood ? now : now + graceMs - 1;
    let isOlder = true;
    for (const other of this.truth.stays) {
      if (other === stay) isOlder = false;
      if (isOlder || other === stay || other.session !== stay.session || other.room !== stay.room) continue;
      // Where it is now may be known to some, who give up its place, and not yet to others: if that node is cut off.
      const known = other.from === NEVER ? now : now + 2 * NEWS_MS;
      const until = other.held ? known : other.until;
      stay.until = Math.min(stay.until, until);
    }
    stay.mayUntil = now + (isForGood ? 0 : graceMs) + 2 * intervalMs + NEWS_MS;
    if (node.cutAt !== undefined) {
      stay.mayUntil = NEVER;
      node.endedWhileCut.add(stay);
    }
  }

  /** The client's connection is lost. */
  lose(client: Client): void {
    for (const place of [...client.places.values()]) this.#end(place, false);
    client.node = undefined;
  }

  /** It connects, as the session it was, and joins the rooms it was in. Where it is connected already it moves. */
  connect(client: Client, node: SimulatedNode): void {
    if (node.state !== "up" || client.node === node) return;
    const before = [...client.places.values()];
    client.places.clear();
    client.node = node;
    if (client.rooms.size > 0) this.tally.resumed++;
    for (const room of client.rooms) this.#go(this.#join(client, room));
    // The old connection is let go of once the new one has everything.
    if (before.length > 0) this.#letGo(before, client);
  }

  #letGo(before: readonly Place[], client: Client): void {
    this.#clock.after(20 + this.random.next() * 200, () => {
      const isThere =
        client.node === undefined || [...client.places.values()].every((place) => place.seat !== undefined);
      const isHere = before.some((place) => place.node.state === "up");
      if (!isThere && isHere) {
        this.#letGo(before, client);
        return;
      }
      for (const place of before) if (!place.gone) this.#end(place, false);
    });
  }

  /** The client is started anew: another session of the same user. */
  renew(client: Client, node: SimulatedNode): void {
    this.lose(client);
    client.generation++;
    client.session = `s${client.index}.${client.generation}`;
    this.connect(client, node);
  }

  inform(client: Client, info: unknown): void {
    client.info = info;
    for (const place of this.#places) {
      if (place.client !== client) continue;
      place.seat?.update(info);
      if (place.stay !== undefined) place.stay.info = info;
    }
  }

  /** The process is killed. */
  crash(node: SimulatedNode): void {
    const { leaseMs, beatMs, intervalMs } = this.options.times;
    const { now } = this.time;
    // Its lease is that of its last renewal, which was before it was cut off, or has just been.
    const known = (node.blindSince(now, CATCH_UP_MS) ?? now) + leaseMs - beatMs - NEWS_MS;
    for (const stay of this.truth.stays) {
      if (stay.node !== node.name) continue;
      // What it had not told yet nobody has heard; what it had given up may not have been told.
      if (stay.held || stay.until > now) stay.until = Math.min(stay.until, known);
      if (stay.from > now) stay.from = NEVER;
      // Of what it wrote when the engine had lost its lease nobody is told that it has lapsed, who comes later.
      const isUnleased = now < this.#forgotAt + beatMs + NEWS_MS;
      if (isUnleased) stay.mayUntil = NEVER;
      else if (stay.mayUntil > now) stay.mayUntil = now + leaseMs + beatMs + 2 * intervalMs + NEWS_MS;
      stay.held = false;
      // Where the session was before, it is not waited for any more.
      for (const other of this.truth.stays) {
        if (other.session !== stay.session || other.room !== stay.room || other.held) continue;
        if (other.node !== node.name) other.until = Math.min(other.until, stay.until);
      }
    }
    node.kill();
    if (this.#upsetUntil === NEVER) this.calm();
    for (const place of [...this.#places]) {
      if (place.node !== node) continue;
      place.gone = true;
      this.#places.delete(place);
      if (place.client.places.get(place.room) === place) place.client.places.delete(place.room);
    }
    this.#comeBack(node, 6000);
  }

  /** Most of a node's clients come back by themselves, within so much time. */
  #comeBack(node: SimulatedNode, withinMs: number): void {
    for (const client of this.clients) {
      if (client.node !== node) continue;
      client.node = undefined;
      if (!this.random.chance(0.8)) continue;
      this.#clock.after(this.random.next() * withinMs, () => {
        const { live } = this;
        if (client.node === undefined && live.length > 0) this.connect(client, this.random.pick(live));
      });
    }
  }

  /** The node ends: its clients are told to move, those who do not are closed, then it gives back what it has. */
  async drain(node: SimulatedNode): Promise<void> {
    const others = this.live.filter((other) => other !== node);
    if (node.cutAt !== undefined) this.upset();
    for (const client of this.clients) {
      if (client.node !== node || others.length === 0 || !this.random.chance(0.7)) continue;
      this.#clock.after(this.random.next() * 1500, () => {
        const to = others.filter((other) => other.state === "up");
        if (client.node === node && to.length > 0) this.connect(client, this.random.pick(to));
      });
    }
    this.#clock.after(2000, () => {
      if (node.state !== "up") return;
      node.state = "closing";
      for (const place of [...this.#places]) if (place.node === node) this.#end(place, false);
      // All that it still says stands for as long as the last of its members may take to come back.
      const { graceMs, beatMs, intervalMs } = this.options.times;
      for (const stay of this.truth.stays) {
        if (stay.node !== node.name || stay.mayUntil < this.time.now) continue;
        stay.mayUntil = Math.max(stay.mayUntil, this.time.now + graceMs + beatMs + 2 * intervalMs + NEWS_MS);
      }
      this.#comeBack(node, 2000);
      // It cannot ask anybody to wait for its members.
      const wasCut = node.cutAt !== undefined;
      if (wasCut) this.upset();
      this.#go(
        node.close().then(() => {
          if (wasCut || node.cutAt !== undefined) this.calm();
        }),
      );
    });
  }

  /** Cuts the node off from the engine, for so long; `isAll`: as all others. */
  cut(node: SimulatedNode, ms: number, isAll = false): void {
    // It will be back before the others are.
    if (node.cutAt !== undefined && isAll) this.#wasApart = true;
    if (node.cutAt !== undefined || node.state !== "up") return;
    const isLong = ms > this.shortMs;
    if (isLong) this.upset();
    if (isLong && !isAll) this.#wasApart = true;
    node.cut();
    for (const stay of this.truth.stays) {
      // News that is under way may not come through.
      if (stay.node === node.name && stay.from > this.time.now) this.#unheard(stay);
      if (stay.node === node.name && !stay.held && stay.mayUntil > this.time.now) {
        stay.mayUntil = NEVER;
        node.endedWhileCut.add(stay);
      }
    }
    this.#clock.after(ms, () => this.heal(node));
  }

  /** Some may have heard of it, and given up the place that the session had elsewhere; others have not. */
  #unheard(stay: Stay): void {
    stay.from = NEVER;
    for (const other of this.truth.stays) {
      if (other.session !== stay.session || other.room !== stay.room || other.held) continue;
      other.until = Math.min(other.until, this.time.now);
    }
  }

  heal(node: SimulatedNode): void {
    if (node.cutAt === undefined || node.state === "gone") return;
    node.heal();
    const { now } = this.time;
    const known = now + this.settleMs;
    for (const stay of this.truth.stays) {
      if (stay.node === node.name && stay.held && stay.from === NEVER) stay.from = known;
    }
    const { graceMs } = this.options.times;
    for (const stay of node.endedWhileCut) stay.mayUntil = known + graceMs;
    node.endedWhileCut.clear();
    if (this.#upsetUntil === NEVER) this.calm();
  }

  /** All of what the engine kept is gone. */
  loseData(): void {
    this.engine.loseData();
    this.#forgotAt = this.time.now;
    this.upset();
    this.calm();
  }

  /** News gets lost on its way, for so long. */
  lossy(share: number, ms: number): void {
    this.upset();
    this.engine.loss = share;
    this.#clock.after(ms, () => {
      this.engine.loss = 0;
      this.calm();
    });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 250) {
      await this.time.pass(Math.min(250, left));
      this.check();
    }
    this.truth.prune(this.time.now);
  }

  /** Everything works again, and so much time passes that everybody knows everything. */
  async rest(): Promise<void> {
    this.engine.loss = 0;
    for (const node of this.nodes) this.heal(node);
    this.calm();
    // Nodes that are about to end do so first.
    await this.pass(2500);
    if (this.live.length === 0) this.startNode();
    this.calm();
    this.engine.sweep();
    await this.pass(this.settleMs + this.options.times.graceMs + this.options.times.leaseMs);
  }

  /** Holds that every node and every reader knows the truth, and nothing else. */
  async assertTruth(rooms: readonly string[]): Promise<void> {
    for (const room of rooms) {
      const held = this.truth.held(room);
      const users = [...new Set(held.flatMap(({ user }) => user ?? []))].sort();
      const anonymous = new Set(held.filter(({ user }) => user === undefined).map(({ session }) => session)).size;
      const count = users.length + anonymous;
      const infos = new Map<string, unknown>();
      for (const node of this.live) {
        const list = await this.#page(node, room);
        assert.deepEqual(
          list.members.map(({ user }) => user),
          users,
          `${node.name} lists who is in ${room}`,
        );
        assert.deepEqual([list.count, list.anonymous], [count, anonymous], `${node.name} counts ${room}`);
        for (const { user, sessions, info } of list.members) {
          const own = held.filter((stay) => stay.user === user);
          assert.equal(sessions, new Set(own.map(({ session }) => session)).size, `the sessions of ${user}`);
          this.#holdInfo(infos, user, info, own);
        }
      }
      for (const { room: itsRoom, reader, node, client } of this.#places) {
        if (itsRoom !== room || reader === undefined) continue;
        const where = `${client.session} on ${node.name} in ${room}`;
        assert.equal(reader.count, count, `${where} knows how many`);
        if (users.length > this.options.maxListed)
          assert.equal(reader.isListed, false, `${where}: too many to be listed`);
        else if (users.length <= this.options.maxListed * 0.8 && this.options.maxListed > 0)
          assert.ok(reader.isListed, `${where}: so few are listed`);
        if (!reader.isListed) continue;
        assert.deepEqual([...reader.members.keys()].sort(), users, `${where} knows who`);
        for (const [user, info] of reader.members)
          this.#holdInfo(
            infos,
            user,
            info,
            held.filter((stay) => stay.user === user),
          );
      }
    }
  }

  #holdInfo(infos: Map<string, unknown>, user: string, info: unknown, own: readonly Stay[]): void {
    if (infos.has(user)) assert.deepEqual(info, infos.get(user), `all are shown the same of ${user}`);
    infos.set(user, info);
    const given = own.map((stay) => JSON.stringify(stay.info));
    assert.ok(
      given.includes(JSON.stringify(info)),
      `of ${user} is shown what one of its sessions gave: ${JSON.stringify(info)} of ${given}`,
    );
  }

  async #page(node: SimulatedNode, room: string): Promise<MembersList> {
    let list: MembersList | undefined;
    let failure: unknown;
    node.rosters.page(room, node.rules, { limit: 1000 }).then(
      (value) => {
        list = value;
      },
      (error: unknown) => {
        failure = error;
      },
    );
    for (let turns = 0; list === undefined && failure === undefined; turns++) {
      assert.ok(turns < 1000, "a page comes");
      await this.time.pass(10);
    }
    if (list === undefined) throw failure;
    return list;
  }

  /** Everyone goes and every node ends; holds that nothing is left of anything. */
  async end(): Promise<void> {
    for (const client of this.clients) {
      for (const room of [...client.rooms]) this.leave(client, room);
      client.node = undefined;
    }
    await this.pass(this.settleMs + this.options.times.graceMs + this.options.times.leaseMs);
    assert.equal(this.engine.registers.size, 0, `no room is left in the registers: ${this.engine.left()}`);
    for (const node of this.live) node.assertEmpty();
    for (const node of this.live) this.#go(node.close());
    await this.pass(this.options.times.graceMs + 20_000);
    for (const node of this.nodes) node.hasEnded();
    await this.time.pass(20_000);
    for (const node of this.nodes) node.assertEnded();
    if (this.#failure !== undefined) throw this.#failure;
    assert.equal(this.engine.registers.size, 0, "no room is left in the registers after the end");
  }

  /** Nothing of it happens any more. */
  stop(): void {
    for (const node of this.nodes) node.kill();
    this.#clock.stop();
  }
}
