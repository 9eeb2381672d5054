import { strict as assert } from "node:assert";
import {
  bytes,
  ending,
  LONG_MS,
  leaseOf,
  type PresenceCases,
  type PresenceGround,
  pause,
  texts,
} from "./conformance-presence-ground.js";
import type { Presence } from "./presence.js";

/** Two nodes that have beaten, of which the first has written of the room. */
async function written(ground: PresenceGround) {
  const [presence, other] = [await ground.node(), await ground.node()];
  const [room, name, second] = [ground.room(), ground.name(), ground.name()];
  await presence.beat(name, LONG_MS);
  await other.beat(second, LONG_MS);
  await presence.write(room, name, 0, bytes("before"));
  return { presence, other, room, name, second };
}

/** Calls over and over, until it is done. */
async function atLast<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const result: { value?: T } = {};
    const end = await ending(
      call().then((value) => {
        result.value = value;
      }),
    );
    if (end === "done") return result.value as T;
    assert.ok(attempt < 1000, `still ${end}`);
    await pause(20);
  }
}

const endings = (presence: Presence, room: string, name: string): Promise<string[]> =>
  Promise.all(
    [
      presence.write(room, name, 7, bytes("away")),
      presence.read(room),
      presence.beat(name, LONG_MS),
      presence.clear("conformance-nobody"),
    ].map(ending),
  );

/** What holds while an engine is away, and once it is back. */
export const presenceOutageCases: PresenceCases = {
  "in an outage every call settles, and once it is noticed calls are refused": async (ground) => {
    const { presence, room, name } = await written(ground);
    await ground.outage(async () => {
      const early = await endings(presence, room, name);
      assert.ok(!early.includes("done"), `nobody was there to do it: ${early}`);
      await ground.noticed(presence);
      const late = await endings(presence, room, name);
      assert.deepEqual(late, ["unavailable", "unavailable", "unavailable", "unavailable"]);
    });
  },

  "an outage is a problem while it lasts, and after it all that was written is there": async (ground) => {
    const { presence, other, room, name, second } = await written(ground);
    assert.deepEqual(presence.problems(), []);
    await ground.outage(async () => {
      await Promise.all([ground.noticed(presence), ground.noticed(other)]);
      for (const problem of presence.problems()) assert.match(problem, /^[a-z]+ \S.*: \S/);
    });
    await Promise.all([ground.whole(presence), ground.whole(other)]);
    assert.deepEqual(texts(await atLast(() => other.read(room))), [`${name} 0 before`]);
    const { isNew, leases } = await atLast(() => presence.beat(name, LONG_MS));
    assert.equal(isNew, false);
    assert.ok(leaseOf(leases, second).leftMs > 0);
  },

  "a register that is written over and over through an outage has the last value in the end": async (ground) => {
    const { presence, other, room, name } = await written(ground);
    let [count, isOver] = [0, false];
    const writing = (async () => {
      while (!isOver) {
        const value = bytes(String(++count));
        await atLast(() => presence.write(room, name, 0, value));
        await pause(1);
      }
    })();
    await ground.outage(() => ground.noticed(presence));
    await ground.whole(presence);
    isOver = true;
    await writing;
    await ground.whole(other);
    assert.deepEqual(texts(await atLast(() => other.read(room))), [`${name} 0 ${count}`]);
  },

  "after the engine has lost everything beats are new, and what is written again is read": async (ground) => {
    const { presence, other, room, name, second } = await written(ground);
    await ground.outage(
      () => Promise.all([ground.noticed(presence), ground.noticed(other)]).then(() => undefined),
      "loss",
    );
    await Promise.all([ground.whole(presence), ground.whole(other)]);
    assert.deepEqual(await atLast(() => other.read(room)), []);
    assert.equal((await atLast(() => presence.beat(name, LONG_MS))).isNew, true);
    assert.equal((await atLast(() => other.beat(second, LONG_MS))).isNew, true);
    await presence.write(room, name, 0, bytes("after"));
    assert.deepEqual(texts(await other.read(room)), [`${name} 0 after`]);
    assert.equal((await presence.beat(name, LONG_MS)).isNew, false);
  },
};
