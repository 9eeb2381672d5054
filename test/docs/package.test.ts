import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";

const root = resolve(import.meta.dirname, "../../..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
};

/** An application's folder with the package in it as `npm pack` makes it, beside its dependencies and nothing else. */
function installPacked(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "roomcast-installed-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const packed = spawnSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(packed.status, 0, packed.stderr);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
  assert.equal(spawnSync("tar", ["-xzf", tarball], { cwd: folder }).status, 0);
  mkdirSync(join(folder, "node_modules"));
  cpSync(join(folder, "package"), join(folder, "node_modules/roomcast"), { recursive: true });
  // What these need in their turn is found from where they really are.
  link(folder, Object.keys(manifest.dependencies));
  return folder;
}

function link(folder: string, names: readonly string[]): void {
  for (const name of names) symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name), "dir");
}

test("the packed package has all that its exports name, and runs from the command line", async (t) => {
  const folder = installPacked(t);
  for (const path of Object.keys(manifest.exports)) {
    if (path.endsWith(".json")) continue;
    if (path === "./client/react") link(folder, Object.keys(manifest.peerDependencies));
    const name = path.replace(/^\./, "roomcast");
    const code = `const all = await import("${name}"); console.log(Object.keys(all).length)`;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, encoding: "utf8" });
    assert.equal(run.status, 0, `${name}: ${run.stderr}`);
    assert.ok(Number(run.stdout) > 0, `${name} exports nothing`);
  }

  const command = join(folder, "node_modules/roomcast/dist/server/main.js");
  const node = spawn(process.execPath, [command, "serve", "--port", "0"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => node.once("exit", resolve));
  t.after(() => node.kill("SIGKILL"));
  let url = "";
  for await (const line of createInterface({ input: node.stdout })) {
    url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0] ?? "";
    if (url !== "") break;
  }
  assert.match(await (await fetch(url)).text(), /<title>Roomcast<\/title>/);
  node.kill("SIGTERM");
  assert.equal(await ended, 0);
});

test("the packed package carries nothing of tests, benchmarks or examples", (t) => {
  const folder = join(installPacked(t), "package");
  const inside = readdirSync(join(folder, "dist"));
  assert.deepEqual(inside.sort(), ["client", "protocol", "server"]);
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    assert.doesNotMatch(name, /\.test\.|tsbuildinfo|\.tgz$/);
  }
});
