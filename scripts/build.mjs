// Compiles everything, puts the Lua scripts beside the code that runs them, and bundles the pages that the server hands out.
// Compiling is incremental.
import { cpSync } from "node:fs";
import { run } from "./run.mjs";

run("node_modules/.bin/tsc", ["-b"]);
cpSync("server/engine/redis/lua", "dist/server/engine/redis/lua", { recursive: true });
const { bundlePages } = await import("./pages.mjs");
await bundlePages();
