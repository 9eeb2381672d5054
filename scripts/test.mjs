// Builds, sees to the servers that the tests need, and runs every test.
// `npm test -- room client` runs only the files under dist/test whose path has one of these words in it;
// ROOMCAST_TEST_NODE names another Node to run them with.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./run.mjs";
import { findServices } from "./test-services.mjs";

run(process.execPath, ["scripts/build.mjs"]);
if (!findServices()) process.exit(1);

const words = process.argv.slice(2);
const files = readdirSync(join(root, "dist/test"), { recursive: true })
  .filter((name) => name.endsWith(".test.js"))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort()
  .map((name) => join(root, "dist/test", name));

if (files.length === 0) {
  console.error(`no test file matches ${words.join(" ")}`);
  process.exit(1);
}

const node = process.env.ROOMCAST_TEST_NODE ?? process.execPath;
const { status } = spawnSync(
  node,
  [
    "--test",
    "--test-concurrency=2",
    "--test-timeout=300000",
    "--test-reporter=./scripts/reporter.mjs",
    "--test-reporter-destination=stdout",
    ...files,
  ],
  { cwd: root, stdio: "inherit" },
);
process.exit(status ?? 1);
