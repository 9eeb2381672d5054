/**
 * How much does an application download for the SDK? Bundled, minified, gzipped; past the limit it fails. What the SDK loads
 * later and only where it is needed stands in a row of its own.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { emit, tell } from "./support/program.js";
import type { SizeResult, SizeRow } from "./support/results.js";

/** For `roomcast/client` alone; what is imported beside it comes on top, and so does what it loads later. */
const LIMIT_BYTES = 8 * 1024;
const ENTRY = "client/index.js";

/** Loaded where WebSockets are blocked, and for rooms with presence. */
const LATER = ["client/stream-transport.js", "client/presence.js"];

const pathOf = (entry: string) => fileURLToPath(new URL(`../${entry}`, import.meta.url));

/** The entry as a browser gets it at first, with all that it cannot do without; and what it loads later. */
async function sizes(): Promise<SizeRow[]> {
  const { outputFiles, metafile } = await build({
    entryPoints: [pathOf(ENTRY)],
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    metafile: true,
    outdir: "/",
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    format: "esm",
    target: "es2022",
    legalComments: "none",
  });
  const bytesOf = (path: string) =>
    outputFiles.find((file) => file.path.endsWith(basename(path)))?.contents ?? new Uint8Array();
  const outputs = Object.entries(metafile.outputs);
  const row = (entry: string): SizeRow => {
    const [path] = outputs.find(([, { entryPoint }]) => entryPoint === entry) ?? [];
    if (path === undefined) throw new Error(`${entry} is in no file of its own`);
    const shared = (metafile.outputs[path]?.imports ?? []).filter(({ kind }) => kind === "import-statement");
    const files = [path, ...shared.map((each) => each.path)].map(bytesOf);
    return {
      entry,
      minifiedBytes: files.reduce((sum, { length }) => sum + length, 0),
      gzipBytes: files.reduce((sum, bytes) => sum + gzipSync(bytes, { level: 9 }).length, 0),
    };
  };
  return [ENTRY, ...LATER].map(row);
}

try {
  if (!existsSync(pathOf(ENTRY))) throw new Error(`dist/${ENTRY} is not there: build first`);
  const rows = await sizes();
  tell("client size, bytes             minified   gzip");
  for (const { entry, minifiedBytes, gzipBytes } of rows) {
    tell(`  ${entry.padEnd(27)} ${String(minifiedBytes).padStart(9)} ${String(gzipBytes).padStart(6)}`);
  }
  emit({ program: "client-size", limitBytes: LIMIT_BYTES, rows } satisfies SizeResult);
  const { gzipBytes = 0 } = rows[0] ?? {};
  if (gzipBytes > LIMIT_BYTES) throw new Error(`${gzipBytes} bytes, and the limit is ${LIMIT_BYTES}`);
} catch (error) {
  tell(`client-size failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
