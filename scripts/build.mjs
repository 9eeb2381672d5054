// Compiles everything, then bundles the pages that the server hands out. Compiling is incremental.
import { run } from "./run.mjs";

run("node_modules/.bin/tsc", ["-b"]);
const { bundlePages } = await import("./pages.mjs");
await bundlePages();
