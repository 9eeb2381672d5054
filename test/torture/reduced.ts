/** The rows of the torture table at reduced size, as tests: counts and order are judged, times in `npm run torture`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./rows/index.js";
import { Torture } from "./torture.js";

/** How much of what the nodes said is shown with a failure, in characters. */
const SHOWN = 2000;

/** A test for each way in which a row of these numbers is run. */
export function testRows(from: number, to: number): void {
  for (const row of rows.filter(({ number }) => number >= from && number <= to)) {
    for (const variant of row.variants) {
      test(`row ${row.number}, ${variant}: ${row.title}: ${row.passesWhen}`, async (t) => {
        const torture = new Torture();
        t.after(() => torture.close());
        const { verdicts, findings } = await row.run(torture, "reduced", variant);
        const failed = verdicts.filter(({ passed, isTiming }) => !passed && !isTiming);
        const words = failed.map(({ what, came }) => `expected ${what}, got ${came}`);
        const logs = torture.nodes.map(({ output }) => output.slice(-SHOWN));
        assert.deepEqual(words, [], [...words, ...findings.examples, ...logs].join("\n"));
      });
    }
  }
}
