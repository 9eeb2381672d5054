/** Any frames about members in any order, over cuts and moves: the map is what the server said last, and every event is real. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { connect, type Room } from "../../client/index.js";
// Loaded before, so that it takes no turns.
import "../../client/presence.js";
import { type TestConnection, TestTransport } from "../../client/testing.js";
import type { Member } from "../../protocol/frames.js";
import { Random } from "../support/random.js";
import { at, move, settle } from "./support.js";

const RUNS = Number(process.env["ROOMCAST_PROPERTY_RUNS"] ?? 150);
const USERS = ["ann", "bob", "carl", "dora", "__proto__", "constructor"];
/** More are counted only. */
const MAX_LISTED = 4;

type Step = "enter" | "leave" | "info" | "anonymous" | "tell" | "tell all" | "cut" | "move" | "pass";
const weights: { readonly [step in Step]: number } = {
  ...{ enter: 6, leave: 4, info: 2, anonymous: 2 },
  ...{ tell: 8, "tell all": 1, cut: 2, move: 2, pass: 4 },
};
const scripts = fc.array(
  fc.oneof(...Object.entries(weights).map(([step, weight]) => ({ weight, arbitrary: fc.constant(step as Step) }))),
  { minLength: 1, maxLength: 100, size: "max" },
);

const joinsOf = ({ sent }: TestConnection) => sent.filter((frame) => frame.type === "join");

/** A room as it is, and as one client was told of it. */
class RoomOfTest {
  readonly there = new Map<string, Member>();
  anonymous = 0;
  /** What the client was told that is read: `undefined` while it is told nothing. */
  told: { readonly members: Map<string, Member> | undefined; readonly count: number } | undefined;
  #infos = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  enter(user: string): void {
    const info = this.#random.chance(0.7) && { info: { number: ++this.#infos } };
    this.there.set(user, { user, ...info });
  }

  get count(): number {
    return this.there.size + this.anonymous;
  }

  get isListed(): boolean {
    return this.there.size <= MAX_LISTED;
  }

  /** In an order of its own each time, and nothing in it is the same object. */
  list(): Member[] {
    return structuredClone([...this.there.values()].sort(() => (this.#random.chance(0.5) ? 1 : -1)));
  }

  /** Answers a join. Where it does not list who is there, `tell` does, later. */
  join(server: TestConnection, id: number): void {
    const listed = this.isListed && this.#random.chance(0.6) && { members: this.list() };
    server.send({ type: "joined", id, room: "r", position: at(1), recovered: true, ...listed, events: [] });
    this.told = undefined;
    if (!listed) return;
    this.told = { members: new Map(this.there), count: this.there.size };
    if (this.anonymous > 0) this.tell(server, false);
  }

  /** Says what has changed, as a server does; now and then also what has not. */
  tell(server: TestConnection, isAll: boolean): void {
    const { there, count, told } = this;
    const frame = { type: "presence", room: "r", entered: [] as Member[], left: [] as Member[], count } as const;
    if (!this.isListed) server.send({ ...frame, countOnly: true });
    else if (isAll || !told?.members) server.send({ ...frame, entered: this.list(), all: true });
    else {
      const { members } = told;
      const isNews = ({ user, info }: Member) =>
        JSON.stringify(members.get(user) ?? null) !== JSON.stringify({ user, info }) || this.#random.chance(0.2);
      const isGone = (user: string) => !there.has(user) && (members.has(user) || this.#random.chance(0.2));
      const left = USERS.filter(isGone).map((user) => ({ user }));
      server.send({ ...frame, entered: this.list().filter(isNews), left });
    }
    this.told = { members: this.isListed ? new Map(there) : undefined, count };
  }
}

/** Repeats what is told of enters and leaves, from each list that came as a whole; each has to be a real one. */
function replay(room: Room): void {
  const { members } = room;
  let users: Set<string> | undefined;
  let before = members.snapshot();
  room.onEnter(({ user }) => {
    assert.ok(users && !users.has(user), `${user} entered, and was there or nobody knew`);
    users.add(user);
  });
  room.onLeave(({ user }) => assert.ok(users?.delete(user), `${user} left, and was not there`));
  members.onChange(() => {
    const now = members.snapshot();
    assert.notDeepEqual(now, before, "nothing has changed");
    before = now;
    if (now.isListed) users ??= new Set(members.snapshot().members.map(({ user }) => user));
    else users = undefined;
    const listed = now.members.map(({ user }) => user);
    assert.deepEqual(new Set(listed), users ?? new Set(), "the events lead to the map");
  });
}

async function play(t: TestContext, script: readonly Step[], seed: number): Promise<void> {
  const random = new Random(seed);
  const transport = new TestTransport();
  const truth = new RoomOfTest(random);
  const client = connect("ws://example.test", { transport, random: () => 0 });
  const errors: Error[] = [];
  client.on("error", (error) => errors.push(error));
  const room = client.room("r", { presence: true });
  replay(room);
  let answered = 0;
  let live: TestConnection | undefined;
  /** Lets connections open and joins be answered. */
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    await settle();
    for (const connection of transport.connections) {
      if (connection.state === "connecting") await connection.welcome();
    }
    await settle();
    const joins = transport.connections.flatMap((connection) =>
      joinsOf(connection).map((join) => ({ connection, join })),
    );
    for (const { connection, join } of joins.slice(answered)) {
      answered++;
      if (connection.state !== "open") continue;
      truth.join(connection, join.id);
      live = connection;
    }
  };
  const check = (): void => {
    assert.deepEqual(errors, []);
    const { told } = truth;
    if (!told || live?.state !== "open") return;
    const { members } = room;
    assert.equal(members.isListed, told.members !== undefined);
    assert.deepEqual(new Map([...members].map((member) => [member.user, member])), told.members ?? new Map());
    assert.deepEqual([members.size, members.snapshot().members], [told.members?.size ?? 0, [...members]]);
  };
  const act = (step: Step): void => {
    const user = random.pick(USERS);
    if (step === "enter") truth.enter(user);
    else if (step === "leave") truth.there.delete(user);
    else if (step === "info" && truth.there.has(user)) truth.enter(user);
    else if (step === "anonymous") truth.anonymous = random.below(3);
    else if (live?.state !== "open") return;
    else if (step === "cut") live.cut();
    else if (step === "move") live.send(move);
    else if (step === "tell" || step === "tell all") truth.tell(live, step === "tell all");
  };
  try {
    for (let count = 0; count < 4; count++) await pass(0);
    for (const step of script) {
      act(step);
      check();
      if (step === "pass" || step === "cut" || step === "move") await pass(random.below(3));
      check();
    }
    for (let count = 0; count < 6; count++) await pass(10);
    assert.ok(live?.state === "open", "it is joined at last");
    truth.tell(live, false);
    check();
    assert.equal(room.members.count, truth.count);
    client.close();
    assert.deepEqual(room.members.snapshot(), { members: [], count: undefined, isListed: false });
    assert.deepEqual(errors, []);
  } finally {
    client.close();
  }
}

test("frames in any order, over cuts and moves: the map is what was said last, and what is told leads to it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  await fc.assert(
    fc.asyncProperty(scripts, fc.integer(), async (script, seed) => play(t, script, seed)),
    { numRuns: RUNS },
  );
});
