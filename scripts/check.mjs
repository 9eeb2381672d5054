// Everything that can be said about the code without running it; goes through all of it, then fails if anything failed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./run.mjs";

const packed = mkdtempSync(join(tmpdir(), "roomcast-pack-"));
const bin = (name) => join(root, "node_modules/.bin", name);
const colors = process.stdout.isTTY ? "force" : "off";
const tarball = () => join(packed, readdirSync(packed)[0] ?? "nothing-was-packed.tgz");

const checks = [
  ["types", process.execPath, () => ["scripts/build.mjs"]],
  [
    "format, lint, layers, cycles",
    bin("biome"),
    () => ["ci", "--error-on-warnings", "--max-diagnostics=50", `--colors=${colors}`],
  ],
  ["unused code", bin("knip"), () => []],
  ["size of the client", process.execPath, () => ["dist/bench/client-size.js"]],
  ["pack", "npm", () => ["pack", "--silent", "--ignore-scripts", "--pack-destination", packed]],
  ["package: publint", bin("publint"), () => [tarball(), "--strict"]],
  [
    "package: types resolve",
    bin("attw"),
    () => [tarball(), "--profile", "esm-only", "--format", "ascii", "--no-emoji"],
  ],
];

const env = colors === "off" ? { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" } : process.env;
const failed = [];
for (const [name, program, args] of checks) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(program, args(), { cwd: root, stdio: "inherit", env });
  if (status !== 0) failed.push(name);
}
rmSync(packed, { recursive: true, force: true });

console.log(failed.length === 0 ? "\nall checks passed" : `\nchecks failed: ${failed.join("; ")}`);
if (failed.length > 0) process.exitCode = 1;
