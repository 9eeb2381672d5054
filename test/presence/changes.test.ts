/** What readers are told of who came and went between two frames. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerFrame } from "../../protocol/frames.js";
import { Changes } from "../../server/presence/changes.js";
import { Crowd } from "../../server/presence/crowd.js";
import { type Entry, entryOf } from "../../server/presence/register.js";
import { Reader } from "./reader.js";

/** A room's members, and readers of them; as a roster puts them together. */
function room(maxListed: number) {
  const changes: { current: Changes | undefined } = { current: undefined };
  const crowd = new Crowd({
    user: (user, changed) => changes.current?.note(user, changed),
    anonymous: () => undefined,
  });
  const all = new Changes(crowd, maxListed);
  changes.current = all;
  const readers: Reader[] = [];
  const entries = new Map<string, Entry>();
  let at = 0;
  return {
    readers,
    enter(user: string | undefined, info?: unknown, session = `s-${user}`): void {
      const entry = entryOf(session, user, info, ++at);
      entries.set(session, entry);
      crowd.add(entry);
    },
    leave(session: string): void {
      const entry = entries.get(session);
      if (entry !== undefined) crowd.remove(entry);
    },
    read(): Reader {
      if (readers.length === 0) all.begin();
      const reader = new Reader(all.view());
      readers.push(reader);
      return reader;
    },
    tell(): ServerFrame<"presence"> | undefined {
      const frame = all.frame("chat:1");
      if (frame !== undefined) for (const reader of readers) reader.receive(frame);
      return frame;
    },
  };
}

const names = (members: readonly { readonly user: string }[] = []): string[] => members.map(({ user }) => user).sort();

test("many who come and go between two frames are told in one", () => {
  const { enter, leave, read, tell } = room(100);
  enter("ann");
  read();
  for (let n = 0; n < 50; n++) enter(`u${n}`);
  leave("s-ann");
  const frame = tell();
  assert.equal(frame?.entered.length, 50);
  assert.deepEqual(names(frame?.left), ["ann"]);
  assert.equal(frame?.count, 50);
  assert.equal(tell(), undefined, "nothing more is to be told");
});

test("who comes and goes between two frames is not told of", () => {
  const { enter, leave, read, tell } = room(100);
  enter("ann");
  read();
  enter("bob");
  leave("s-bob");
  assert.equal(tell(), undefined);
  enter("bob");
  tell();
  leave("s-bob");
  enter("cat");
  leave("s-cat");
  enter("bob");
  const frame = tell();
  assert.deepEqual(names(frame?.left), []);
});

test("who comes and goes between two frames is told of to a reader that saw it there", () => {
  const { enter, leave, read, tell } = room(100);
  read();
  enter("bob");
  const late = read();
  assert.ok(late.members.has("bob"));
  leave("s-bob");
  tell();
  assert.deepEqual([...late.members.keys()], []);
});

test("who goes and comes back between two frames is told of to a reader that saw it gone", () => {
  const { enter, leave, read, tell } = room(100);
  enter("bob");
  read();
  leave("s-bob");
  const late = read();
  assert.equal(late.members.size, 0);
  enter("bob");
  tell();
  assert.deepEqual([...late.members.keys()], ["bob"]);
});

test("who goes and comes back between two frames with other info is shown with it", () => {
  const { enter, leave, read, tell } = room(100);
  enter("bob", { n: 1 });
  const reader = read();
  leave("s-bob");
  enter("bob", undefined, "s2");
  tell();
  assert.deepEqual([...reader.members], [["bob", undefined]]);
});

test("a reader that was shown another count than the others is told what it is", () => {
  const { enter, leave, read, tell } = room(100);
  enter("ann");
  read();
  enter(undefined, undefined, "a1");
  const late = read();
  assert.equal(late.count, 2);
  leave("a1");
  tell();
  assert.equal(late.count, 1);
});

test("a list that grew too long is given up, and is back only when it is clearly shorter", () => {
  const { enter, leave, read, tell } = room(10);
  const reader = read();
  for (let n = 0; n < 11; n++) enter(`u${n}`);
  assert.equal(tell()?.countOnly, true);
  assert.deepEqual([reader.isListed, reader.count], [false, 11]);
  for (const n of [0, 1]) leave(`s-u${n}`);
  assert.equal(tell()?.countOnly, true, "9 are not so few yet");
  leave("s-u2");
  assert.equal(tell()?.all, true);
  assert.deepEqual([reader.isListed, reader.members.size], [true, 8]);
  enter("u0");
  const frame = tell();
  assert.deepEqual([frame?.all, names(frame?.entered)], [undefined, ["u0"]], "differences again");
});

test("a reader that came while a list was too long has the list once it is short again", () => {
  const { enter, leave, read, tell } = room(10);
  for (let n = 0; n < 8; n++) enter(`u${n}`);
  const early = read();
  for (let n = 8; n < 11; n++) enter(`u${n}`);
  const late = read();
  assert.equal(late.isListed, false);
  for (let n = 8; n < 11; n++) leave(`s-u${n}`);
  tell();
  for (const reader of [early, late]) assert.deepEqual([reader.isListed, reader.members.size], [true, 8]);
});

test("more who come and go in one interval than are kept cost nobody the truth", () => {
  const { enter, leave, read, tell } = room(3);
  enter("ann");
  const reader = read();
  for (let n = 0; n < 100; n++) {
    enter(`u${n}`);
    leave(`s-u${n}`);
  }
  leave("s-ann");
  enter("bob");
  tell();
  assert.deepEqual([...reader.members.keys()], ["bob"]);
});

test("in a room that is never listed the count alone is told", () => {
  const { enter, read, tell } = room(0);
  const reader = read();
  enter("ann");
  const frame = tell();
  assert.deepEqual([frame?.countOnly, frame?.entered, frame?.count], [true, [], 1]);
  assert.equal(reader.count, 1);
  assert.equal(tell(), undefined);
});

test("of a user's sessions the newest says the info, and the last one that goes takes the user along", () => {
  const { enter, leave, read, tell } = room(100);
  const reader = read();
  enter("ann", { from: "phone" }, "s1");
  tell();
  enter("ann", { from: "desk" }, "s2");
  assert.deepEqual(tell()?.entered, [{ user: "ann", info: { from: "desk" } }]);
  leave("s2");
  tell();
  assert.deepEqual(reader.members.get("ann"), { from: "phone" });
  leave("s1");
  tell();
  assert.equal(reader.members.size, 0);
});
