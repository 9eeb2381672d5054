// Builds, sees to the servers, and runs the torture table: `npm run torture [-- 3 16] [--reduced] [--variant redis]`.
import { join } from "node:path";
import { root, run } from "./run.mjs";
import { findServices } from "./test-services.mjs";

run(process.execPath, ["scripts/build.mjs"]);
if (!findServices()) process.exit(1);
run(process.execPath, [join(root, "dist/test/torture/run.js"), ...process.argv.slice(2)]);
