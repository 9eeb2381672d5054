/** How many frames a turn of the event loop may hold, of one client and of many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace, Usage } from "../../server/access/limits/limits.js";

const limits = {
  ...{ maxFrameBytes: 65_536, maxRooms: 100, maxRequests: 32, maxFramesPerTurn: 1000 },
  ...{ maxBackpressureBytes: 1 << 20, requestRate: 1_000_000, byteRate: 1 << 30 },
  ...{ userConnections: 100, userPublishRate: 500 },
};

/** How many frames of one client are taken in a turn, of so many that it sends. */
function taken(usage: Usage, pace: Pace, turn: number, count: number): number {
  let frames = 0;
  for (let each = 0; each < count; each++) if (pace.take(usage, 10, turn, 1) === undefined) frames++;
  return frames;
}

test("one client may send as much in a turn as the limit says, and again in the next", () => {
  const usage = new Usage(limits, () => 0);
  const pace = new Pace();
  for (const turn of [1, 2]) assert.equal(taken(usage, pace, turn, 3000), 1000);
});

test("where many flood in one turn, those who come last may send an eighth; those who ask little are never bounded", () => {
  const usage = new Usage(limits, () => 0);
  const offenders = Array.from({ length: 10 }, () => new Pace());
  for (const turn of [1, 2]) {
    const each = offenders.map((pace) => taken(usage, pace, turn, 1000));
    assert.deepEqual(each, [1000, 1000, 1000, 1000, 125, 125, 125, 125, 125, 125]);
    assert.equal(taken(usage, new Pace(), turn, 100), 100);
  }
});

test("what a client may have without an answer it may send at once, however many others do", () => {
  const usage = new Usage({ ...limits, maxRequests: 300 }, () => 0);
  for (let count = 0; count < 5; count++) taken(usage, new Pace(), 1, 1000);
  assert.equal(taken(usage, new Pace(), 1, 1000), 600);
});
