import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test, { type TestContext } from "node:test";

const reporter = resolve(import.meta.dirname, "../../../scripts/reporter.mjs");
const header = 'import test from "node:test";\n';

/** Runs these files as `npm test` does: what it ends with, and the exit code. */
function run(
  t: TestContext,
  files: Readonly<Record<string, string>>,
): { last: string; text: string; code: number | null } {
  const folder = mkdtempSync(join(tmpdir(), "roomcast-reporter-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const paths = Object.keys(files).map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, header + files[path.slice(folder.length + 1)]);
  const env: NodeJS.ProcessEnv = { ...process.env };
  // Else Node takes the run for a part of this one.
  delete env["NODE_TEST_CONTEXT"];
  const { stdout, status } = spawnSync(process.execPath, ["--test", `--test-reporter=${reporter}`, ...paths], {
    env,
    encoding: "utf8",
  });
  return { last: stdout.trimEnd().split("\n").at(-1) ?? "", text: stdout, code: status };
}

test("a run ends with how many tests passed and failed, subtests counted and suites not", (t) => {
  const { last, code } = run(t, {
    "a.test.mjs": 'test("one", () => {});\ntest("two", async (t) => { await t.test("three", () => {}); });',
    "b.test.mjs": 'test.describe("suite", () => { test.it("four", () => {}); });',
  });
  assert.deepEqual([last, code], ["4 passed, 0 failed", 0]);
});

test("a failure is told with its name and reason, and once for the subtest it was in", (t) => {
  const { last, text, code } = run(t, {
    "a.test.mjs": 'test("outer", async (t) => { await t.test("inner", () => { throw new Error("the reason"); }); });',
  });
  assert.match(text, /inner\n {4}Error: the reason/);
  assert.deepEqual([last, code], ["0 passed, 1 failed", 1]);
});

test("a file in which no test ran is a failure", (t) => {
  const { last, text, code } = run(t, { "a.test.mjs": 'test("one", () => {});', "empty.test.mjs": "" });
  assert.match(text, /empty\.test\.mjs\n {4}ran no tests/);
  assert.deepEqual([last, code], ["1 passed, 1 failed", 1]);
});

test("a file whose tests are all written elsewhere is not taken for an empty one", (t) => {
  const { last, code } = run(t, {
    "a.test.mjs": 'import { suite } from "./suite.test.mjs";\nsuite("one");',
    "suite.test.mjs": 'export const suite = (name) => test(name, () => {});\ntest("two", () => {});',
  });
  assert.deepEqual([last, code], ["3 passed, 0 failed", 0]);
});

test("a file that breaks off is a failure, whatever passed in it", (t) => {
  const { last, code } = run(t, {
    "a.test.mjs": 'test("one", () => {});\nsetTimeout(() => process.exit(3), 50);',
  });
  assert.deepEqual([last, code], ["1 passed, 1 failed", 1]);
});

test("a skipped test is listed with its reason", (t) => {
  const { text, last } = run(t, {
    "a.test.mjs": 'test("one", () => {});\ntest("two", { skip: "not on the moon" }, () => {});',
  });
  assert.match(text, /- .*a\.test\.mjs: two \(not on the moon\)/);
  assert.equal(last, "1 passed, 0 failed");
});
