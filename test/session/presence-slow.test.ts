/** Presence and readers that are too slow for their room. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { come, enter, ROOM, startWith, watcher } from "../support/presence.js";
import { clientCodecs } from "../support/ws-client.js";

const TEXT = "x".repeat(8000);

for (const codec of clientCodecs) {
  for (const maxListed of [200, 1]) {
    const what = maxListed === 1 ? "how many are there" : "who is there";
    test(`${codec.name}: a reader that is spared events is spared presence, and is told ${what} once it reads again`, async (t) => {
      const presence = { intervalMs: 50, maxListed };
      const kinds = { "*": { slow: "skip", batchMs: 0, history: { size: 0 }, presence } } as const;
      const server = await startWith(t, {}, { kinds, maxBackpressureBytes: 1_048_576 });
      const reading = await come(t, server, "reading");
      await reading.ask("joined", { type: "join", room: ROOM });
      let seen = 0;
      reading.watch((frame) => {
        if (frame.type === "events") seen += frame.events.length;
        return frame.type === "events";
      });
      const { client: stalled, told } = await watcher(t, server, "stalled", { codec });
      stalled.socket.pause();
      // 24 MB: far beyond what the kernel and the server may hold.
      let published = 0;
      while (published < 3000) {
        await server.publish(ROOM, "n", { n: ++published, text: TEXT });
        if (published % 10 === 0) await reading.until("the events", () => seen >= published - 10);
      }
      await reading.until("every event", () => seen === published);
      const { told: witness } = await watcher(t, server, "witness");
      for (let n = 0; n < 3; n++) {
        const passing = await enter(t, server, `passing-${n}`);
        await witness.until("who passes", () => witness.count === 3);
        await passing.ask("left", { type: "leave", room: ROOM });
        await witness.until("who is left", () => witness.count === 2);
      }
      await enter(t, server, "ann");
      const isListed = maxListed > 1;
      if (isListed) await witness.sees("ann stalled witness");
      else await witness.until("a count", () => witness.count === 3);
      assert.ok(witness.frames >= 6, `${witness.frames} frames to who reads`);
      stalled.socket.resume();
      await stalled.next("reset");
      await told.until("the count", () => told.count === 3);
      assert.equal(told.names, isListed ? "ann stalled witness" : "");
      assert.deepEqual([told.isListed, told.frames, told.changes], [isListed, 1, []]);
      // And goes on with what changes.
      await enter(t, server, "bob");
      await told.until("the count", () => told.count === 4);
      assert.equal(told.names, isListed ? "ann bob stalled witness" : "");
    });
  }
}
