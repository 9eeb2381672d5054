import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./run.mjs";

const from = join(root, "server/page");
const to = join(root, "dist/server/page");
const options = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
};

/**
 * The SDK for pages that import it from the node, as /v1/client.js; and beside it what it loads only where it is needed, with
 * a hash in the name.
 */
async function bundleClient() {
  await build({
    ...options,
    entryPoints: { client: join(root, "dist/client/index.js") },
    outdir: join(to, "v1"),
    splitting: true,
    chunkNames: "client-[hash]",
  });
}

/**
 * Bundles the start page into dist/server/page: index.html, and beside it under assets/ the script, the style and the
 * icon with a hash of their contents in the name, so that a browser may keep them for ever.
 */
export async function bundlePages() {
  const entryPoints = { page: join(from, "page.ts"), style: join(from, "style.css") };
  const { outputFiles } = await build({ ...options, entryPoints, write: false, outdir: to });
  const assets = outputFiles.map((file) => ({ name: file.path.slice(to.length + 1), contents: file.contents }));
  assets.push({ name: "icon.svg", contents: await readFile(join(from, "icon.svg")) });

  let html = await readFile(join(from, "index.html"), "utf8");
  await rm(to, { recursive: true, force: true });
  await mkdir(join(to, "assets"), { recursive: true });
  for (const { name, contents } of assets) {
    const hash = createHash("sha256").update(contents).digest("hex").slice(0, 10);
    const hashed = name.replace(/\.(\w+)$/, `.${hash}.$1`);
    if (!html.includes(`assets/${name}`)) throw new Error(`server/page/index.html does not use assets/${name}`);
    html = html.replaceAll(`assets/${name}`, `assets/${hashed}`);
    await writeFile(join(to, "assets", hashed), contents);
  }
  await writeFile(join(to, "index.html"), html);
  await bundleClient();
}
