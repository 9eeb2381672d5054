/** Presence of streams of server-sent events: as members, and as those who are told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member } from "../../protocol/frames.js";
import { openStream } from "../support/event-stream.js";
import { eventually } from "../support/eventually.js";
import { come, enter, ROOM, startWith, watcher } from "../support/presence.js";

type Told = { readonly entered: readonly Member[]; readonly left: readonly Member[]; readonly count: number };
type Joined = { readonly room: string; readonly members?: readonly Member[] };

const as = (user: string) => ({ authorization: `Bearer ${user}` });
const PATH = `/v1/rooms/${ROOM}/events`;

test("a stream with presence is a member, and is told who is there, who enters and who leaves", async (t) => {
  const server = await startWith(t, { graceMs: 100 });
  const { told } = await watcher(t, server);
  const stream = await openStream(t, server, `${PATH}?presence=true`, as("ann"));
  const joined = (await stream.next("joined")) as unknown as Joined;
  assert.deepEqual(joined.members?.map(({ user }) => user).sort(), ["ann", "watcher"]);
  await told.sees("ann watcher");
  const bob = await enter(t, server, "bob#tall");
  let entered = (await stream.next("presence")) as unknown as Told;
  // Its own entrance, which it was told of with the list.
  if (entered.entered[0]?.user === "ann") entered = (await stream.next("presence")) as unknown as Told;
  assert.deepEqual([entered.entered, entered.left, entered.count], [[{ user: "bob", info: "tall" }], [], 3]);
  await bob.ask("left", { type: "leave", room: ROOM });
  const left = (await stream.next("presence")) as unknown as Told;
  assert.deepEqual([left.left.map(({ user }) => user), left.count], [["bob"], 2]);
  // Its connection is all that says that it has gone.
  stream.end();
  await told.sees("watcher");
});

test("a stream that comes back within the grace is not seen to go; one without presence is not seen at all", async (t) => {
  const server = await startWith(t);
  const { told } = await watcher(t, server);
  const first = await openStream(t, server, `${PATH}?presence=true`, as("ann"));
  await told.sees("ann watcher");
  first.end();
  await eventually(async () => (await server.count(ROOM)).count === 1);
  const again = await openStream(t, server, `${PATH}?presence=true`, as("ann"));
  await again.next("joined");
  const quiet = await openStream(t, server, `${PATH}?presence=false`, as("quiet"));
  assert.equal(((await quiet.next("joined")) as unknown as Joined).members, undefined);
  await enter(t, server, "bob");
  await told.sees("ann bob watcher");
  assert.deepEqual(told.changes, ["+ann", "+bob"]);
  assert.ok(!quiet.events.some(({ type }) => type === "presence"));
});

test("of several rooms in a stream all have presence, or those that are named", async (t) => {
  const server = await startWith(t);
  const joinedIn = async (query: string): Promise<string> => {
    const stream = await openStream(t, server, `/v1/events?room=a:1&room=b:1&room=c:1${query}`, as("ann"));
    const told: string[] = [];
    for (let n = 0; n < 3; n++) {
      const { room, members } = (await stream.next("joined")) as unknown as Joined;
      if (members !== undefined) told.push(room);
    }
    stream.end();
    return told.sort().join(" ");
  };
  assert.equal(await joinedIn(""), "");
  assert.equal(await joinedIn("&presence=true"), "a:1 b:1 c:1");
  assert.equal(await joinedIn("&presence=a:1&presence=c:1"), "a:1 c:1");
  const stream = await openStream(t, server, "/v1/events?room=a:1&room=b:1&presence=b:1", as("ann"));
  await stream.next("joined");
  await stream.next("joined");
  const bob = await come(t, server, "bob");
  for (const room of ["a:1", "b:1"]) await bob.ask("joined", { type: "join", room, presence: true });
  const { room, entered } = (await stream.next("presence")) as unknown as Told & Joined;
  assert.deepEqual([room, entered], ["b:1", [{ user: "bob" }]]);
  const wrong = await openStream(t, server, "/v1/events?room=a:1&presence=b:1", as("ann"));
  const { status, detail } = await wrong.problem();
  assert.equal(status, 400);
  assert.match(detail, /^presence: expected true, false, or a room of this stream, got "b:1"/);
});

test("a stream is refused where presence is, and told the count alone where members are counted", async (t) => {
  const server = await startWith(
    t,
    {},
    {
      kinds: { none: { presence: { of: "nobody" } }, crowd: { presence: { maxListed: 0, intervalMs: 50 } } },
    },
  );
  const refused = await openStream(t, server, "/v1/rooms/none:1/events?presence=true", as("ann"));
  assert.equal((await refused.problem()).code, "forbidden");
  const stream = await openStream(t, server, "/v1/rooms/crowd:1/events?presence=true", as("ann"));
  assert.equal(((await stream.next("joined")) as unknown as Joined).members, undefined);
  const counted = (await stream.next("presence")) as unknown as Told & { readonly countOnly: boolean };
  assert.deepEqual([counted.count, counted.countOnly], [1, true]);
});
