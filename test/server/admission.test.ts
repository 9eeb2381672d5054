import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission, type AdmissionLimits, type Refused } from "../../server/transport/admission.js";
import { Random } from "../support/random.js";

const LIMITS: AdmissionLimits = { connectRate: 100, maxHandshakes: 1000, maxConnections: 10_000 };
const admissionOf = (limits: Partial<AdmissionLimits>, seed = 1) => {
  const random = new Random(seed);
  return new Admission({ ...LIMITS, ...limits }, () => random.next());
};

test("a quarter of a second's connections are taken at once, then as many as the rate says", () => {
  const admission = admissionOf({});
  const taken = (now: number, count: number): number =>
    Array.from({ length: count }, () => admission.refuse(now, 0, 0)).filter((refused) => refused === undefined).length;
  assert.equal(taken(1000, 500), 25);
  assert.equal(taken(1100, 500), 10);
  assert.equal(taken(1105, 500), 0);
  assert.equal(taken(1110, 500), 1);
  assert.equal(taken(9000, 500), 25, "and no more after a long silence");
  assert.deepEqual(admission.refused, { rate: 2500 - 61, handshakes: 0, full: 0 });
});

test("even the slowest rate takes one at once", () => {
  const admission = admissionOf({ connectRate: 1 });
  const answers = [0, 500, 1000, 1001, 2000].map((now) => admission.refuse(now, 0, 0) === undefined);
  assert.deepEqual(answers, [true, false, true, false, true]);
});

test("those who are refused are told times one after the other, at the rate", () => {
  const admission = admissionOf({ connectRate: 100 });
  const refused = Array.from({ length: 125 }, () => admission.refuse(0, 0, 0)).slice(25) as Refused[];
  const waits = refused.map(({ retryMs }) => retryMs);
  assert.deepEqual(
    waits.map((wait) => wait - (waits[0] as number)),
    Array.from({ length: 100 }, (_, index) => index * 10),
  );
  assert.ok((waits[0] as number) >= 10, "none before there is room for it");
});

test("a long wait is told over HTTP, and no wait is longer than two minutes", () => {
  const admission = admissionOf({ connectRate: 1 });
  admission.refuse(0, 0, 0);
  const refused = Array.from({ length: 300 }, () => admission.refuse(0, 0, 0)) as Refused[];
  assert.deepEqual([refused.filter(({ accept }) => accept).length, refused[9]?.accept], [10, true]);
  const ends = refused.slice(100).map(({ retryMs }) => retryMs);
  assert.ok(Math.max(...ends) <= 121_000, `${Math.max(...ends)}`);
  assert.ok(new Set(ends).size > 150, "the end of the line is no one moment");
});

test("handshakes in progress and open connections have limits of their own, each counted", () => {
  const admission = admissionOf({ maxHandshakes: 3, maxConnections: 7 });
  assert.equal(admission.refuse(0, 6, 2), undefined);
  const handshakes = admission.refuse(0, 6, 3);
  const full = admission.refuse(0, 7, 3);
  assert.deepEqual(
    [handshakes?.reason, handshakes?.accept, full?.reason, full?.accept],
    ["handshakes", true, "full", false],
  );
  assert.ok((full?.retryMs ?? 0) >= 5000);
  assert.deepEqual(admission.refused, { rate: 0, handshakes: 1, full: 1 });
  // Neither has used up any of the rate.
  const more = Array.from({ length: 24 }, () => admission.refuse(0, 0, 0));
  assert.ok(more.every((refused) => refused === undefined));
});

type Client = { at: number; refusals: number; inAt: number | undefined; readonly waits: boolean };

/** Plays clients that all come at once and come back when they are told, up to `lateMs` late, or every 20 ms. */
function play(admission: Admission, clients: Client[], random: Random, lateMs: number, forMs: number): void {
  for (let now = 0; now <= forMs; now++) {
    for (const client of clients) {
      if (client.at > now || client.inAt !== undefined) continue;
      const refused = admission.refuse(now, 0, 0);
      if (refused === undefined) client.inAt = now;
      else {
        client.refusals++;
        client.at = now + (client.waits ? refused.retryMs + random.next() * lateMs : 20);
      }
    }
  }
}

const crowd = (count: number, waits: boolean): Client[] =>
  Array.from({ length: count }, () => ({ at: 0, refusals: 0, inAt: undefined, waits }));

test("clients that come all at once and keep to what they are told are in at the rate, few of them told twice", () => {
  for (const [seed, lateMs] of [0, 100, 500, 1000].entries()) {
    const random = new Random(seed + 1);
    const clients = crowd(1000, true);
    play(admissionOf({ connectRate: 200 }, seed), clients, random, lateMs, 20_000);
    const ins = clients.map(({ inAt }) => inAt as number);
    assert.ok(!ins.includes(undefined as never), "all are in");
    const twice = clients.filter(({ refusals }) => refusals > 1).length;
    assert.ok(twice <= 20, `late by ${lateMs}: ${twice} of 1000 were told twice`);
    assert.ok(Math.max(...ins) <= 4750 + 2 * lateMs + 200, `late by ${lateMs}: the last was in at ${Math.max(...ins)}`);
  }
});

test("a few clients that do not wait at all cost those who do next to nothing", () => {
  const last = (hasty: number): number => {
    const clients = crowd(1000 - hasty, true);
    const admission = admissionOf({ connectRate: 200 });
    play(admission, [...clients, ...crowd(hasty, false)], new Random(7), 300, 60_000);
    const ins = clients.map(({ inAt }) => inAt as number);
    assert.ok(!ins.includes(undefined as never), "all are in");
    return Math.max(...ins);
  };
  // Ten that come back every 20 ms ask two and a half times as often as the node takes anyone.
  const [without, beside] = [last(0), last(10)];
  assert.ok(beside <= without * 1.1, `${beside} beside the hasty, ${without} without`);
});

test("a line whose places nobody uses moves up", () => {
  const admission = admissionOf({ connectRate: 100 });
  for (let count = 0; count < 825; count++) admission.refuse(0, 0, 0);
  // Eight seconds of places; those who had them went elsewhere, but now and then somebody comes.
  for (let now = 100; now < 4000; now += 100) assert.equal(admission.refuse(now, 0, 0), undefined);
  let refused: Refused | undefined;
  while (refused === undefined) refused = admission.refuse(4000, 0, 0);
  assert.ok(refused.retryMs < 1000, `${refused.retryMs}`);
});
