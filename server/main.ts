#!/usr/bin/env node
/** The command `roomcast`. It looks at where it runs before anything is loaded that could fail there. */
import { nativeProblem } from "./native.js";

const problem = nativeProblem();
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
} else {
  const { run } = await import("./cli/run.js");
  await run(process.argv.slice(2), process.env);
}
