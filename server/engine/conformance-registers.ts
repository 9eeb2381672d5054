import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { bytes, LONG_MS, type PresenceCases, type PresenceGround, texts } from "./conformance-presence-ground.js";
import type { Presence } from "./presence.js";

/** A way to the engine, and a node with a good lease. */
async function alive(ground: PresenceGround): Promise<{ presence: Presence; name: string }> {
  const presence = await ground.node();
  const name = ground.name();
  await presence.beat(name, LONG_MS);
  return { presence, name };
}

/** All that rooms, tenants and the server itself put into names of rooms. */
const ODD_ROOMS = [
  "acme|chat:42",
  "Acme.corp_1-x|doc:a/b/c",
  "|own",
  "|members|acme|chat:42",
  "/",
  "//",
  "@",
  ".",
  "..",
  "-",
  "_",
  ":",
  "a.b.c",
  "a/b@c:d-e_f.g",
  "chat:42",
  "chat:4",
  "chat",
  "Chat",
  "x".repeat(128),
  `${"t".repeat(32)}|${"x".repeat(128)}`,
];

/** What a register keeps. */
export const registerCases: PresenceCases = {
  "what a node has written of a room all nodes read": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const other = await ground.node();
    assert.deepEqual(await other.read(room), []);
    await presence.write(room, name, 0, bytes("first"));
    for (const each of [presence, other]) assert.deepEqual(texts(await each.read(room)), [`${name} 0 first`]);
  },

  "a register that is written again has the last value, and one that is erased is gone": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    await presence.write(room, name, 3, bytes("first"));
    await presence.write(room, name, 3, bytes("second"));
    assert.deepEqual(texts(await presence.read(room)), [`${name} 3 second`]);
    await presence.write(room, name, 3, undefined);
    assert.deepEqual(await presence.read(room), []);
    await presence.write(room, name, 3, bytes("third"));
    assert.deepEqual(texts(await presence.read(room)), [`${name} 3 third`]);
  },

  "erasing what is not there is done, and changes nothing": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    await presence.write(room, name, 0, undefined);
    await presence.write(room, name, 1, bytes("stays"));
    await presence.write(room, name, 0, undefined);
    await presence.write(ground.room(), name, 1, undefined);
    assert.deepEqual(texts(await presence.read(room)), [`${name} 1 stays`]);
  },

  "registers of several nodes, parts and rooms stand side by side": async (ground) => {
    const rooms = [ground.room(), ground.room()] as const;
    const [one, two] = [await alive(ground), await alive(ground)];
    const parts = [0, 1, 2, 10, 77];
    for (const { presence, name } of [one, two]) {
      for (const room of rooms) {
        await Promise.all(parts.map((part) => presence.write(room, name, part, bytes(`${room} ${part}`))));
      }
    }
    const expected = (room: string, without?: string) =>
      [one, two]
        .flatMap(({ name }) => parts.map((part) => `${name} ${part} ${room} ${part}`))
        .filter((text) => without === undefined || !text.startsWith(without))
        .sort();
    for (const room of rooms) assert.deepEqual(texts(await one.presence.read(room)), expected(room));
    await one.presence.write(rooms[0], one.name, 1, undefined);
    assert.deepEqual(texts(await two.presence.read(rooms[0])), expected(rooms[0], `${one.name} 1 `));
    assert.deepEqual(texts(await two.presence.read(rooms[1])), expected(rooms[1]));
  },

  "nodes whose names begin alike are apart": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const names = [name, `${name}0`, `${name}.1`, `${name}-`, `${name}_`, name.toUpperCase()];
    for (const each of names) await presence.write(room, each, 1, bytes(each));
    await presence.write(room, name, 1, undefined);
    const left = names.slice(1).map((each) => `${each} 1 ${each}`);
    assert.deepEqual(texts(await presence.read(room)), left.sort());
  },

  "calls for one room take effect in the order they were made": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const calls: Promise<void>[] = [];
    for (let n = 0; n < 300; n++) {
      const part = n % 3;
      // Parts 0 and 1 are erased every second time: the last call of the first is a write, and that of the other is not.
      const value = part < 2 && n % 2 === 0 ? undefined : bytes(String(n));
      calls.push(presence.write(room, name, part, value));
    }
    await Promise.all(calls);
    assert.deepEqual(texts(await presence.read(room)), [`${name} 0 297`, `${name} 2 299`]);
  },

  "a value is any bytes, also none, up to 64 KiB": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const values = [every, Buffer.alloc(0), Buffer.from([0]), Buffer.from("\r\n"), randomBytes(64 * 1024)];
    await Promise.all(values.map((value, part) => presence.write(room, name, part, value)));
    const read = await (await ground.node()).read(room);
    assert.equal(read.length, values.length);
    for (const { part, value } of read) assert.ok(values[part]?.equals(value), `part ${part} is not what was written`);
  },

  "what is done to a buffer after it was written, or read, changes no register": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const written = bytes("as it was");
    await presence.write(room, name, 0, written);
    written.fill(0);
    for (const { value } of await presence.read(room)) value.fill(0);
    assert.deepEqual(texts(await presence.read(room)), [`${name} 0 as it was`]);
  },

  "rooms may be called all that rooms are called, and each is apart": async (ground) => {
    const { presence, name } = await alive(ground);
    for (const room of ODD_ROOMS) await presence.write(room, name, 0, bytes(room));
    for (const room of ODD_ROOMS) {
      const own = (await presence.read(room)).filter(({ node }) => node === name);
      assert.deepEqual(texts(own), [`${name} 0 ${room}`]);
    }
    for (const room of ODD_ROOMS) {
      await presence.write(room, name, 0, undefined);
      assert.deepEqual(
        (await presence.read(room)).filter(({ node }) => node === name),
        [],
      );
    }
  },

  "a register is written and erased by one write, and reading writes nothing": async (ground) => {
    const rooms = Array.from({ length: 10 }, () => ground.room());
    const { presence, name } = await alive(ground);
    const wrote = await ground.writesOf(async () => {
      for (const room of rooms) await presence.write(room, name, 0, bytes("value"));
      for (const room of rooms) await presence.write(room, name, 0, bytes("another"));
      for (const room of rooms) await presence.write(room, name, 0, undefined);
    });
    assert.ok(wrote <= rooms.length * 3, `${rooms.length * 3} calls took ${wrote} writes`);
    const read = await ground.writesOf(() => Promise.all(rooms.map((room) => presence.read(room))));
    assert.equal(read, 0);
  },

  "after close every call is refused, and other nodes go on": async (ground) => {
    const room = ground.room();
    const { presence, name } = await alive(ground);
    const other = await alive(ground);
    await presence.close();
    const refused = { name: "EngineError", code: "unavailable" };
    await assert.rejects(presence.write(room, name, 0, bytes("late")), refused);
    await assert.rejects(presence.read(room), refused);
    await assert.rejects(presence.beat(name, LONG_MS), refused);
    await assert.rejects(presence.clear(name), refused);
    await other.presence.write(room, other.name, 0, bytes("on"));
    assert.deepEqual(texts(await other.presence.read(room)), [`${other.name} 0 on`]);
    await presence.close();
  },
};
