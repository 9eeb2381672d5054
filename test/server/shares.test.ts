import assert from "node:assert/strict";
import { test } from "node:test";
import { LAPSE_MS } from "../../server/access/limits/elsewhere.js";
import { RoomShares } from "../../server/access/limits/room-shares.js";
import { UserShares, type UserUse, userKey } from "../../server/access/limits/shares.js";
import { Random } from "../support/random.js";

const EVERYONE = () => true;

/** Nodes that tell each other once a second, each at a moment of its own; what they say takes a while to arrive. */
class Nodes {
  readonly shares: UserShares[];
  readonly uses: UserUse[];
  readonly #random: Random;
  readonly #nextTell: number[];
  readonly #onTheWay: { at: number; act: () => void }[] = [];
  now = 0;
  /** When each publish was let through, in order. */
  readonly accepted: number[] = [];
  readonly acceptedBy: number[];
  /** Whether there is news within the second, too. */
  readonly tellsNews: boolean;

  constructor(count: number, userPublishRate: number, random: Random, tellsNews: boolean) {
    this.#random = random;
    this.tellsNews = tellsNews;
    this.shares = Array.from({ length: count }, () => new UserShares({ userConnections: 100, userPublishRate }));
    this.uses = this.shares.map((shares) => shares.enter("ann"));
    this.#nextTell = this.shares.map(() => random.next() * 1000);
    this.acceptedBy = this.shares.map(() => 0);
    for (const [index, shares] of this.shares.entries()) shares.onNews = () => this.#news(index);
  }

  #news(index: number): void {
    if (this.tellsNews) this.#onTheWay.push({ at: this.now + 100, act: () => this.#tell(index, false) });
  }

  #tell(index: number, ends: boolean): void {
    const told = this.shares[index]?.tell(EVERYONE, ends, this.shares.length) ?? [];
    for (const [other, shares] of this.shares.entries()) {
      if (other === index) continue;
      const act = () => shares.hear(`node ${index}`, told, this.now);
      this.#onTheWay.push({ at: this.now + this.#random.next() * 100, act });
    }
  }

  /** Goes on by `ms`. */
  pass(ms: number): void {
    this.now += ms;
    for (const [index, at] of this.#nextTell.entries()) {
      if (at > this.now) continue;
      this.#nextTell[index] = at + 1000;
      this.shares[index]?.sweep(this.now);
      this.#tell(index, true);
    }
    for (let index = 0; index < this.#onTheWay.length; ) {
      const note = this.#onTheWay[index] as { at: number; act: () => void };
      if (note.at > this.now) index++;
      else {
        this.#onTheWay.splice(index, 1);
        note.act();
      }
    }
  }

  /** The user publishes so many on one node. */
  publish(index: number, count: number): void {
    for (let each = 0; each < count; each++) {
      if (this.shares[index]?.publish(this.uses[index] as UserUse, this.now) !== 0) return;
      this.accepted.push(this.now);
      this.acceptedBy[index] = (this.acceptedBy[index] ?? 0) + 1;
    }
  }

  /** In no time was more let through than the rate and a quarter of it, and twice the rate for each node, and a whole one. */
  check(rate: number, words: string): void {
    // The most beyond the steady rate in any time is the highest rise of what came less what may come.
    let lowest = 0;
    for (const [index, at] of this.accepted.entries()) {
      const before = index - (at * rate * 1.25) / 1000;
      lowest = Math.min(lowest, before);
      const rise = before + 1 - lowest;
      assert.ok(rise <= (rate * 2.2 + 1) * this.shares.length, `${words}: ${rise} too many at ${at}`);
    }
  }
}

/** How a user may go about it: how much is published on a node at a time. */
const ways: { readonly [words: string]: (random: Random) => (now: number, index: number, nodes: number) => number } = {
  "floods all nodes": () => () => 1000,
  "floods for a second, and rests": (random) => {
    const restMs = 1000 + random.below(5000);
    return (now) => (now % (restMs + 1000) < 1000 ? 1000 : 0);
  },
  "floods one node after the other": (random) => {
    const eachMs = 300 + random.below(4000);
    return (now, index, nodes) => (Math.floor(now / eachMs) % nodes === index ? 1000 : 0);
  },
  "stays on one node, and visits the others": (random) => {
    const eachMs = 500 + random.below(1500);
    return (now, index, nodes) => (index === 0 || 1 + (Math.floor(now / eachMs) % (nodes - 1)) === index ? 1000 : 0);
  },
  "does anything": (random) => {
    const chances = Array.from({ length: 20 }, () => random.next());
    return (now, index) => (random.chance(chances[(index + Math.floor(now / 700)) % 20] ?? 0) ? random.below(20) : 0);
  },
};

for (const [words, way] of Object.entries(ways)) {
  test(`a user who ${words} gets no more on all nodes than the rate allows and what they cannot have heard of`, () => {
    for (let seed = 1; seed <= 24; seed++) {
      const random = new Random(seed);
      const rate = random.pick([1, 5, 40, 200]);
      const count = 2 + random.below(5);
      const nodes = new Nodes(count, rate, random, random.chance(0.5));
      const publishes = way(random);
      for (let step = 0; step < 3000; step++) {
        nodes.pass(10);
        for (let index = 0; index < count; index++) nodes.publish(index, publishes(nodes.now, index, count));
      }
      nodes.check(rate, `seed ${seed}, ${count} nodes, rate ${rate}`);
    }
  });
}

test("nodes that are flooded alike let through alike, and together about the rate", () => {
  const nodes = new Nodes(4, 100, new Random(9), true);
  const flood = (seconds: number): void => {
    for (let step = 0; step < seconds * 100; step++) {
      nodes.pass(10);
      for (let index = 0; index < 4; index++) nodes.publish(index, 10);
    }
  };
  flood(10);
  const before = [...nodes.acceptedBy];
  flood(20);
  const later = nodes.acceptedBy.map((count, index) => count - (before[index] ?? 0));
  for (const count of later) assert.ok(count >= 450 && count <= 550, `${later}`);
});

test("a user of one node has the whole rate there, also after others have fallen silent", () => {
  const nodes = new Nodes(3, 100, new Random(4), true);
  const flood = (seconds: number, indexes: readonly number[]): void => {
    for (let step = 0; step < seconds * 100; step++) {
      nodes.pass(10);
      for (const index of indexes) nodes.publish(index, 10);
    }
  };
  flood(5, [0, 1, 2]);
  flood(15, [0]);
  const before = nodes.acceptedBy[0] ?? 0;
  flood(10, [0]);
  const count = (nodes.acceptedBy[0] ?? 0) - before;
  assert.ok(count >= 990 && count <= 1010, `${count}`);
});

test("who comes back when it was told may publish", () => {
  const shares = new UserShares({ userConnections: 10, userPublishRate: 10 });
  const use = shares.enter("ann");
  for (let each = 0; each < 10; each++) assert.equal(shares.publish(use, 0), 0);
  const waits = Array.from({ length: 5 }, () => shares.publish(use, 0));
  assert.deepEqual(waits, [100, 200, 300, 400, 500]);
  for (const wait of waits) assert.equal(shares.publish(use, wait), 0);
});

test("what others published is taken out of the bucket, and a node's share is left to it", () => {
  const shares = new UserShares({ userConnections: 10, userPublishRate: 20 });
  const use = shares.enter("ann");
  shares.hear("other", [["ann", 1, 60]], 0);
  const published = (now: number): number =>
    Array.from({ length: 50 }, () => shares.publish(use, now)).filter((wait) => wait === 0).length;
  assert.equal(published(0), 2, "a quarter of a second's worth of half the rate");
  assert.equal(published(1000), 2);
  shares.sweep(LAPSE_MS);
  assert.equal(published(LAPSE_MS), 16, "alone again, the rate: what was too much has been made up for");
});

test("a user has so many sessions on all nodes that have heard of each other", () => {
  const [here, there] = [1, 2].map(() => new UserShares({ userConnections: 5, userPublishRate: 10 })) as [
    UserShares,
    UserShares,
  ];
  const uses = [0, 1, 2].map(() => here.enter("ann"));
  there.hear("here", here.tell(EVERYONE, true, 2), 0);
  there.enter("ann");
  assert.equal(there.mayEnter("ann", 1), true);
  there.enter("ann");
  assert.equal(there.mayEnter("ann", 1), false);
  assert.equal(there.mayEnter("bob", 1), true);
  here.hear("there", there.tell(EVERYONE, true, 2), 1);
  assert.equal(here.mayEnter("ann", 2), false);

  here.moves(uses[0] as UserUse);
  there.hear("here", here.tell(EVERYONE, true, 2), 3);
  assert.equal(there.mayEnter("ann", 4), true, "who was told to move counts where it goes");
  there.enter("ann");
  assert.equal(there.mayEnter("ann", 4), false);
  assert.equal(there.mayEnter("ann", 3 + LAPSE_MS), true, "what a node said that has fallen silent lapses");
});

test("what little a user has is not told; the heaviest are told first, and no more than fit", () => {
  const shares = new UserShares({ userConnections: 100, userPublishRate: 100 });
  assert.deepEqual(shares.tell(EVERYONE, true, 5), []);
  const publishes = (user: string, count: number): void => {
    const use = shares.enter(user);
    for (let each = 0; each < count; each++) shares.publish(use, 0);
  };
  publishes("little", 4);
  publishes("some", 20);
  publishes("much", 90);
  for (let each = 0; each < 50; each++) shares.enter("many sessions");
  let room = 2;
  assert.deepEqual(
    shares.tell(() => room-- > 0, false, 5),
    [
      ["much", 1, 90],
      ["many sessions", 50, 0],
    ],
  );
  assert.deepEqual(shares.tell(EVERYONE, true, 5), [
    ["many sessions", 50, 0],
    ["some", 1, 20],
    ["much", 1, 0],
  ]);
  assert.deepEqual(shares.tell(EVERYONE, true, 5), [["many sessions", 50, 0]]);
});

test("where thousands are near a small limit all the time, those at it are told of", () => {
  const shares = new UserShares({ userConnections: 4, userPublishRate: 100 });
  for (let index = 0; index < 8000; index++) shares.enter(`one ${index}`);
  for (let each = 0; each < 4; each++) for (let index = 0; index < 100; index++) shares.enter(`four ${index}`);
  const tell = () => {
    let room = 300;
    return shares.tell(() => room-- > 0, true, 3);
  };
  for (let second = 0; second < 5; second++) {
    const told = tell();
    assert.ok(told.length <= 300);
    assert.equal(told.filter(([, sessions]) => sessions === 4).length, 100);
  }
  assert.equal(tell().length, 100, "the others are not even looked at any more");
});

test("nothing is left of users who are gone, here or elsewhere", () => {
  const shares = new UserShares({ userConnections: 4, userPublishRate: 1 });
  const uses = Array.from({ length: 20_000 }, (_, index) => shares.enter(`user ${index}`));
  for (const use of uses) for (let each = 0; each < 3; each++) shares.publish(use, 0);
  shares.tell(EVERYONE, true, 2);
  for (let each = 0; each < 300; each++) shares.hear("other", [[`stranger ${each}`, 3, 5]], 0);
  for (const use of uses) shares.leave(use, true, 10);
  assert.ok(shares.size > 0);
  shares.tell(EVERYONE, true, 2);
  for (let now = 1000; now <= 20_000; now += 1000) shares.sweep(now);
  assert.equal(shares.size, 0);
});

test("no two users of different tenants are one", () => {
  const keys = [
    ["", "a"],
    ["", "a|b"],
    ["a", "b"],
    ["", "|a|b"],
    ["a", "|b"],
    ["", "||a"],
    ["a", ""],
  ].map(([tenant = "", user = ""]) => userKey(tenant, user));
  assert.equal(new Set(keys).size, keys.length, `${keys}`);
});

test("a room has so many members on all nodes that have heard of each other", () => {
  const here = new RoomShares();
  const there = new RoomShares();
  for (let count = 1; count <= 6; count++) assert.equal(here.fits("chat:1", count, 10, 0), true);
  there.hear(
    "here",
    here.tell(EVERYONE, 2, () => 6),
    0,
  );
  assert.equal(there.fits("chat:1", 4, 10, 1), true);
  assert.equal(there.fits("chat:1", 5, 10, 1), false);
  assert.equal(there.fits("chat:2", 10, 10, 1), true);
  assert.equal(there.fits("chat:2", 11, 10, 1), false);
  assert.equal(there.fits("chat:1", 5, 10, LAPSE_MS), true, "what a node said that has fallen silent lapses");

  assert.deepEqual(
    here.tell(EVERYONE, 2, () => 0),
    [],
  );
  there.tell(EVERYONE, 2, () => 0);
  there.sweep(LAPSE_MS);
  assert.deepEqual([here.size, there.size], [0, 0]);
});
