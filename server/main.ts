#!/usr/bin/env node
/** The command `roomcast`. It looks at where it runs before anything is loaded that could fail there. */
import { readFileSync } from "node:fs";
import { platformProblem, thisPlatform } from "./platform.js";

/** Whether the official package stands where the repack is otherwise: it knows best where it runs. */
function hasOfficialPackage(): boolean {
  try {
    for (let folder = new URL(".", import.meta.resolve("uWebSockets.js")); ; folder = new URL("..", folder)) {
      const { name } = readPackage(folder);
      if (name !== undefined) return name === "uWebSockets.js";
      if (folder.pathname === "/") return false;
    }
  } catch {
    return false;
  }
}

function readPackage(folder: URL): { name?: string } {
  try {
    return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as { name?: string };
  } catch {
    return {};
  }
}

const problem = platformProblem(thisPlatform());
if (problem !== undefined && !hasOfficialPackage()) {
  process.stderr.write(`${problem}\n`);
  process.exitCode = 1;
} else {
  const { run } = await import("./cli/run.js");
  await run(process.argv.slice(2), process.env);
}
