/** How much does an application download for the SDK? Bundled, minified, gzipped; past the limit it fails. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { emit, tell } from "./support/program.js";
import type { SizeResult, SizeRow } from "./support/results.js";

/** For `roomcast/client` alone; what is imported beside it comes on top. */
const LIMIT_BYTES = 8 * 1024;
const ENTRY = "client/index.js";

const pathOf = (entry: string) => fileURLToPath(new URL(`../${entry}`, import.meta.url));

async function sizeOf(entry: string): Promise<SizeRow> {
  const { outputFiles } = await build({
    entryPoints: [pathOf(entry)],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    legalComments: "none",
  });
  const bytes = outputFiles[0]?.contents ?? new Uint8Array();
  return { entry, minifiedBytes: bytes.length, gzipBytes: gzipSync(bytes, { level: 9 }).length };
}

try {
  if (!existsSync(pathOf(ENTRY))) throw new Error(`dist/${ENTRY} is not there: build first`);
  const row = await sizeOf(ENTRY);
  tell("client size, bytes      minified   gzip");
  tell(`  ${row.entry.padEnd(20)} ${String(row.minifiedBytes).padStart(9)} ${String(row.gzipBytes).padStart(6)}`);
  emit({ program: "client-size", limitBytes: LIMIT_BYTES, rows: [row] } satisfies SizeResult);
  if (row.gzipBytes > LIMIT_BYTES) throw new Error(`${row.gzipBytes} bytes, and the limit is ${LIMIT_BYTES}`);
} catch (error) {
  tell(`client-size failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
