/**
 * Random things that clients of several tenants and the application do, one after the other, in rooms and as users of the
 * same names; held against what each tenant by itself would have come to.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Random } from "./random.js";
import type { Server } from "./start-server.js";
import { everyTenant, member, ofTenant, type Recording, type Tenant } from "./tenants.js";
import { clientCodecs, type WsClient } from "./ws-client.js";

const USERS = ["ann", "bob"];
const KEYS = ["k1", "k2", "k3", undefined, undefined];

/** What one tenant has in one room. */
type Room = { readonly log: string[]; readonly keys: Set<string> };

/** What a client saw of a room, what it ought to have seen, and what had been published before it joined. */
type Seen = { readonly seen: string[]; readonly owed: string[]; readonly earlier: readonly string[] };

/**
 * How many of those it saw had been published before it joined: a node may be behind the log as somebody joins there, and what
 * is still on its way comes after the join, by the position that the join was answered with.
 */
function lateOf({ seen, earlier }: Seen): number {
  const first = seen.findIndex((data) => !earlier.includes(data));
  return first < 0 ? seen.length : first;
}

/** A client, and what it saw and ought to have seen of each room since it joined. */
class Player {
  readonly tenant: Tenant;
  readonly user: string;
  readonly client: WsClient;
  readonly rooms = new Map<string, Seen>();
  readonly #stray: unknown[] = [];

  constructor(tenant: Tenant, user: string, client: WsClient) {
    this.tenant = tenant;
    this.user = user;
    this.client = client;
    client.watch((frame) => {
      if (frame.type === "heartbeat") return true;
      if (frame.type === "removed" || frame.type === "reset" || frame.type === "move") this.#stray.push(frame);
      if (frame.type !== "events") return false;
      const room = this.rooms.get(frame.room);
      for (const { data } of frame.events) {
        if (room === undefined) this.#stray.push(frame);
        else room.seen.push(String(data));
      }
      return true;
    });
  }

  /** Holds that it has seen what it is owed, and nothing else: of one room, or of all. */
  async caughtUp(name?: string): Promise<void> {
    for (const [room, one] of this.rooms) {
      if (name !== undefined && name !== room) continue;
      const { seen, owed, earlier } = one;
      if (room.startsWith("live")) {
        await this.#caughtUpLive(room, one);
        continue;
      }
      await this.client.until(`all of ${room}`, () => seen.length - lateOf(one) >= owed.length);
      const late = lateOf(one);
      const expected = [...earlier.slice(earlier.length - late), ...owed];
      assert.deepEqual(seen, expected, `${room} of ${this.user} of ${this.tenant}`);
    }
    assert.deepEqual(this.#stray, []);
  }

  /** Without history events of different publishers come in any order. */
  async #caughtUpLive(room: string, { seen, owed, earlier }: Seen): Promise<void> {
    const fresh = () => seen.filter((data) => !earlier.includes(data));
    await this.client.until(`all of ${room}`, () => fresh().length >= owed.length);
    assert.deepEqual(fresh().sort(), [...owed].sort(), `${room} of ${this.user} of ${this.tenant}`);
  }

  /** The application takes it out of a room. */
  async removed(room: string): Promise<void> {
    await this.client.until(`to be out of ${room}`, () => this.#stray.length > 0);
    assert.deepEqual(this.#stray.splice(0), [{ type: "removed", room, code: "forbidden" }]);
    this.rooms.delete(room);
  }
}

export class TenantsRun {
  readonly #random: Random;
  readonly #servers: readonly Server[];
  readonly #names: readonly string[];
  readonly #players: Player[] = [];
  readonly #rooms = new Map<string, Room>();
  #count = 0;

  /** Rooms of a kind `live` keep no history. */
  constructor(seed: number, servers: readonly Server[], names: readonly string[]) {
    this.#random = new Random(seed);
    this.#servers = servers;
    this.#names = names;
  }

  async start(t: TestContext, recording: Recording): Promise<void> {
    for (const tenant of everyTenant) {
      for (const user of USERS) {
        const codec = this.#random.pick(clientCodecs);
        const client = await member(t, this.#random.pick(this.#servers), recording, { tenant, user, codec });
        this.#players.push(new Player(tenant, user, client));
      }
    }
  }

  #room(tenant: Tenant, name: string): Room {
    const id = `${tenant} ${name}`;
    const room = this.#rooms.get(id) ?? { log: [], keys: new Set() };
    this.#rooms.set(id, room);
    return room;
  }

  /** Does one thing, and holds its answer against what it ought to be. */
  async step(): Promise<void> {
    const player = this.#random.pick(this.#players);
    const name = this.#random.pick(this.#names);
    const act = this.#random.pick([
      "join",
      "join",
      "leave",
      "publish",
      "publish",
      "publish",
      "history",
      "app",
      "remove",
    ]);
    if (act === "join" && !player.rooms.has(name)) {
      player.rooms.set(name, { seen: [], owed: [], earlier: [...this.#room(player.tenant, name).log] });
      await player.client.ask("joined", { type: "join", room: name });
    } else if (act === "leave" && player.rooms.has(name)) {
      await player.caughtUp(name);
      await player.client.ask("left", { type: "leave", room: name });
      player.rooms.delete(name);
    } else if (act === "publish") await this.#publish(player.tenant, name, player);
    else if (act === "app") await this.#publish(player.tenant, name, undefined);
    else if (act === "history") await this.#history(player, name);
    else if (act === "remove") await this.#remove(player, name);
  }

  /** By a client, or by the application. */
  async #publish(tenant: Tenant, name: string, player: Player | undefined): Promise<void> {
    const room = this.#room(tenant, name);
    const key = this.#random.pick(KEYS);
    const data = `${tenant === undefined ? "none" : everyTenant.indexOf(tenant)} ${++this.#count}`;
    const isNew = key === undefined || !room.keys.has(`${player?.user} ${key}`);
    if (key !== undefined) room.keys.add(`${player?.user} ${key}`);
    if (isNew) {
      room.log.push(data);
      for (const one of this.#players) if (one.tenant === tenant) one.rooms.get(name)?.owed.push(data);
    }
    const named = key === undefined ? {} : { key };
    if (player === undefined) {
      await this.#random.pick(this.#servers).publish(name, "n", data, { ...named, ...ofTenant(tenant) });
    } else await player.client.ask("published", { type: "publish", room: name, event: "n", data, ...named });
  }

  async #history(player: Player, name: string): Promise<void> {
    const { events } = await player.client.ask("history", { type: "history", room: name, limit: 1000 });
    const kept = name.startsWith("live") ? [] : this.#room(player.tenant, name).log;
    assert.deepEqual(
      events.map(({ data }) => data),
      kept,
      `the history of ${name} of ${player.tenant}`,
    );
  }

  async #remove({ tenant, user }: Player, name: string): Promise<void> {
    const ones = this.#players.filter((one) => one.tenant === tenant && one.user === user && one.rooms.has(name));
    for (const one of ones) await one.caughtUp(name);
    const { count } = await this.#random.pick(this.#servers).remove(user, name, ofTenant(tenant));
    assert.equal(count, ones.length);
    for (const one of ones) await one.removed(name);
  }

  /** Holds that everybody has seen what they are owed, and that logs and numbers of clients are each tenant's own. */
  async end(): Promise<void> {
    for (const player of this.#players) {
      await player.client.ping();
      await player.caughtUp();
      for (const name of this.#names) await this.#history(player, name);
    }
    for (const tenant of everyTenant) {
      for (const name of this.#names) {
        const here = this.#players.filter((one) => one.tenant === tenant && one.rooms.has(name)).length;
        const { count } = await this.#random.pick(this.#servers).count(name, ofTenant(tenant));
        assert.equal(count, here, `clients in ${name} of ${tenant}`);
      }
    }
  }
}
