/** The rows of the torture table at reduced size: counts and order are judged here, times in `npm run torture`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./rows/index.js";
import { Torture } from "./torture.js";

for (const row of rows) {
  for (const variant of row.variants) {
    test(`row ${row.number}, ${variant}: ${row.title}: ${row.passesWhen}`, async (t) => {
      const torture = new Torture();
      t.after(() => torture.close());
      const { verdicts, findings } = await row.run(torture, "reduced", variant);
      const failed = verdicts.filter(({ passed, isTiming }) => !passed && !isTiming);
      const words = failed.map(({ what, came }) => `expected ${what}, got ${came}`);
      const logs = torture.nodes.map(({ output }) => output.slice(-2000));
      assert.deepEqual(words, [], [...words, ...findings.examples, ...logs].join("\n"));
    });
  }
}
