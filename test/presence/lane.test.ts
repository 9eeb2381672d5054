import assert from "node:assert/strict";
import { test } from "node:test";
import { Lane } from "../../server/presence/lane.js";

test("works are done one after the other, in the order they came; one that fails holds up nobody", async () => {
  const lane = new Lane();
  const told: string[] = [];
  const work = (name: string) => async (): Promise<string> => {
    told.push(`${name} begins`);
    await new Promise((next) => setImmediate(next));
    told.push(`${name} ends`);
    if (name === "b") throw new Error("b fails");
    return name;
  };
  const results = await Promise.allSettled(["a", "b", "c"].map((name) => lane.run(work(name))));
  assert.deepEqual(
    results.map((result) => (result.status === "fulfilled" ? result.value : String(result.reason))),
    ["a", "Error: b fails", "c"],
  );
  assert.deepEqual(told, ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});
