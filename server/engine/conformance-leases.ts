import { strict as assert } from "node:assert";
import {
  bytes,
  LONG_MS,
  leaseOf,
  type PresenceCases,
  type PresenceGround,
  pause,
  SHORT_MS,
  texts,
} from "./conformance-presence-ground.js";
import type { Presence } from "./presence.js";

/** How many registers a node has that is cleared, where it has many. */
const MANY = 3000;
/** How many calls are under way at once where there are many. */
const AT_ONCE = 100;

async function inTurns<T>(list: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < list.length; from += AT_ONCE) await Promise.all(list.slice(from, from + AT_ONCE).map(act));
}

/** Two ways to the engine, and two nodes, of which the first has a lease that has lapsed, and both have written. */
async function oneLapsed(ground: PresenceGround) {
  const [presence, other] = [await ground.node(), await ground.node()];
  const [rooms, stays] = [[ground.room(), ground.room()] as const, ground.name()];
  await other.beat(stays, LONG_MS);
  for (const room of rooms) await other.write(room, stays, 0, bytes("stays"));
  const name = await ground.lapsed(presence, rooms);
  return { presence, other, rooms, name, stays };
}

const lastOf = (presence: Presence, asked: string, of: string): Promise<number> =>
  presence.beat(asked, LONG_MS).then(({ leases }) => leaseOf(leases, of).leftMs);

/** What a lease is worth. */
export const leaseCases: PresenceCases = {
  "a node's first beat is new, its next ones are not, and each tells the leases of all": async (ground) => {
    const [presence, other] = [await ground.node(), await ground.node()];
    const [one, two] = [ground.name(), ground.name()];
    const first = await presence.beat(one, LONG_MS);
    assert.equal(first.isNew, true);
    assert.ok(leaseOf(first.leases, one).leftMs > 0 && leaseOf(first.leases, one).leftMs <= LONG_MS);
    const second = await other.beat(two, LONG_MS);
    assert.equal(second.isNew, true);
    for (const name of [one, two]) assert.ok(leaseOf(second.leases, name).leftMs > 0);
    for (const [name, from] of [
      [one, presence],
      [two, other],
      [one, presence],
    ] as const) {
      const again = await from.beat(name, LONG_MS);
      assert.equal(again.isNew, false);
      for (const each of [one, two]) assert.ok(leaseOf(again.leases, each).leftMs > 0);
    }
  },

  "nodes that beat at once are told of each other by the next beat": async (ground) => {
    const [presence, other] = [await ground.node(), await ground.node()];
    const names = Array.from({ length: 20 }, () => ground.name());
    const beats = () => Promise.all(names.map((name, n) => (n % 2 === 0 ? presence : other).beat(name, LONG_MS)));
    assert.ok((await beats()).every(({ isNew }) => isNew));
    for (const { isNew, leases } of await beats()) {
      assert.equal(isNew, false);
      for (const name of names) assert.ok(leaseOf(leases, name).leftMs > 0);
    }
  },

  "a lease runs down, and a beat renews it from then on, for longer or shorter": async (ground) => {
    const presence = await ground.node();
    const [name, asked] = [ground.name(), ground.name()];
    await presence.beat(name, LONG_MS);
    const before = await lastOf(presence, asked, name);
    await ground.advance(SHORT_MS);
    const after = await lastOf(presence, asked, name);
    assert.ok(after < before && after > 0, `${before} ms were left, then ${after}`);
    await presence.beat(name, LONG_MS * 2);
    assert.ok((await lastOf(presence, asked, name)) > LONG_MS);
    const { isNew, leases } = await presence.beat(name, SHORT_MS);
    assert.equal(isNew, false);
    assert.ok(leaseOf(leases, name).leftMs <= SHORT_MS);
    await ground.advance(SHORT_MS * 1.5);
    assert.ok((await lastOf(presence, asked, name)) <= 0);
  },

  "a lease of no time has lapsed at once: so a node ends its own": async (ground) => {
    const [presence, other] = [await ground.node(), await ground.node()];
    const [room, name, asked] = [ground.room(), ground.name(), ground.name()];
    await presence.beat(name, LONG_MS);
    await presence.write(room, name, 0, bytes("here"));
    const { isNew } = await presence.beat(name, 0);
    assert.equal(isNew, false);
    assert.ok((await lastOf(other, asked, name)) <= 0);
    assert.equal(await presence.clear(name), true);
    assert.deepEqual(await other.read(room), []);
  },

  "a lease that has lapsed is told of until somebody clears it, and the node's next beat is new": async (ground) => {
    const { presence, other, name, stays } = await oneLapsed(ground);
    for (const from of [presence, other]) assert.ok((await lastOf(from, stays, name)) <= 0);
    const back = await presence.beat(name, LONG_MS);
    assert.equal(back.isNew, true);
    assert.ok(leaseOf(back.leases, name).leftMs > 0);
    assert.equal((await presence.beat(name, LONG_MS)).isNew, false);
  },

  "what a node has written is read when its lease has lapsed, until it is cleared": async (ground) => {
    const { presence, other, rooms, name, stays } = await oneLapsed(ground);
    for (const from of [presence, other]) {
      for (const room of rooms) {
        assert.deepEqual(texts(await from.read(room)), [`${name} 0 of the lapsed`, `${stays} 0 stays`].sort());
      }
    }
    assert.equal(await other.clear(name), true);
    for (const from of [presence, other]) {
      for (const room of rooms) assert.deepEqual(texts(await from.read(room)), [`${stays} 0 stays`]);
    }
  },

  "a cleared node is told of no more, and begins anew": async (ground) => {
    const { presence, other, rooms, name, stays } = await oneLapsed(ground);
    assert.equal(await other.clear(name), true);
    const { leases } = await other.beat(stays, LONG_MS);
    assert.ok(!leases.some(({ node }) => node === name));
    assert.equal((await presence.beat(name, LONG_MS)).isNew, true);
    await presence.write(rooms[0], name, 1, bytes("again"));
    assert.deepEqual(texts(await other.read(rooms[0])), [`${name} 1 again`, `${stays} 0 stays`].sort());
  },

  "a node whose lease is good is not cleared, also when it had lapsed": async (ground) => {
    const { presence, other, rooms, name, stays } = await oneLapsed(ground);
    await presence.beat(name, LONG_MS);
    for (const good of [name, stays]) assert.equal(await other.clear(good), false);
    for (const room of rooms) {
      assert.deepEqual(texts(await other.read(room)), [`${name} 0 of the lapsed`, `${stays} 0 stays`].sort());
    }
    assert.equal((await presence.beat(name, LONG_MS)).isNew, false);
  },

  "a node may be cleared again, by several at once, and when nobody knows it": async (ground) => {
    const { presence, other, rooms, name, stays } = await oneLapsed(ground);
    const third = await ground.node();
    const cleared = await Promise.all([presence, other, third, other].map((each) => each.clear(name)));
    assert.deepEqual(cleared, [true, true, true, true]);
    for (const room of rooms) assert.deepEqual(texts(await third.read(room)), [`${stays} 0 stays`]);
    assert.equal(await other.clear(name), true);
    assert.equal(await other.clear(ground.name()), true);
  },

  "a node whose name begins another's is cleared alone": async (ground) => {
    const presence = await ground.node();
    const [room, name] = [ground.room(), ground.name()];
    const others = [`${name}0`, `${name}.1`, `${name}-`, name.toUpperCase()];
    for (const each of [name, ...others]) {
      await presence.beat(each, each === name ? SHORT_MS : LONG_MS);
      await presence.write(room, each, 0, bytes("here"));
    }
    await ground.advance(SHORT_MS * 1.5);
    assert.equal(await presence.clear(name), true);
    assert.deepEqual(texts(await presence.read(room)), others.map((each) => `${each} 0 here`).sort());
  },

  "a node that has written of many rooms is cleared of all of them": async (ground) => {
    const [presence, other] = [await ground.node(), await ground.node()];
    const [name, stays] = [ground.name(), ground.name()];
    const rooms = Array.from({ length: MANY / 2 }, () => ground.room());
    await presence.beat(name, LONG_MS);
    await other.beat(stays, LONG_MS);
    await inTurns(rooms, (room) => presence.write(room, name, 0, bytes("a")));
    await inTurns(rooms, (room) => presence.write(room, name, 1, bytes("b")));
    const looked = rooms.filter((_, n) => n % 30 === 0);
    await inTurns(looked, (room) => other.write(room, stays, 0, bytes("stays")));
    await presence.beat(name, SHORT_MS);
    await ground.advance(SHORT_MS * 1.5);
    assert.equal(await other.clear(name), true);
    await inTurns(looked, async (room) => assert.deepEqual(texts(await other.read(room)), [`${stays} 0 stays`]));
    const rest = rooms.filter((_, n) => n % 30 === 7);
    await inTurns(rest, async (room) => assert.deepEqual(await other.read(room), []));
  },

  "while a node with many rooms is cleared others write and read": async (ground) => {
    const [presence, other] = [await ground.node(), await ground.node()];
    const [name, stays, own] = [ground.name(), ground.name(), ground.room()];
    const rooms = Array.from({ length: MANY / 5 }, () => ground.room());
    await presence.beat(name, LONG_MS);
    await other.beat(stays, LONG_MS);
    await inTurns(rooms, (room) => presence.write(room, name, 0, bytes("a")));
    await presence.beat(name, SHORT_MS);
    await ground.advance(SHORT_MS * 1.5);
    let isCleared = false;
    const clearing = presence.clear(name).finally(() => {
      isCleared = true;
    });
    for (let n = 0; n < 5 || !isCleared; n++) {
      await other.write(own, stays, 0, bytes(String(n)));
      assert.deepEqual(texts(await other.read(own)), [`${stays} 0 ${n}`]);
      await pause(0);
    }
    assert.equal(await clearing, true);
  },

  "a beat is one write, however much its node has written": async (ground) => {
    const presence = await ground.node();
    const name = ground.name();
    await presence.beat(name, LONG_MS);
    const rooms = Array.from({ length: 100 }, () => ground.room());
    await inTurns(rooms, (room) => presence.write(room, name, 0, bytes("member")));
    const wrote = await ground.writesOf(async () => {
      for (let n = 0; n < 10; n++) await presence.beat(name, LONG_MS);
    });
    assert.ok(wrote <= 10, `10 beats took ${wrote} writes`);
  },
};
