// What an application pays for the SDK (JSON, everything in it): bundled, minified, gzipped. Fails past the limit.
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "./run.mjs";

const limitBytes = 8 * 1024;

const { outputFiles } = await build({
  entryPoints: [join(root, "dist/client/index.js")],
  bundle: true,
  minify: true,
  write: false,
  format: "esm",
  target: "es2022",
  legalComments: "none",
});
const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(`client: ${bytes} bytes gzipped, limit ${limitBytes}`);
if (bytes > limitBytes) process.exitCode = 1;
