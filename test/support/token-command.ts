/** The command `roomcast token`, run to its end. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { SECRET } from "./sign.js";

export const main = fileURLToPath(new URL("../../server/main.js", import.meta.url));
export const withSecret = { ROOMCAST_SECRET: SECRET };

export type Given = { readonly env?: { readonly [name: string]: string }; readonly input?: string };
type Said = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs `roomcast token` to its end. */
export const run = (args: readonly string[], given: Given = {}): Promise<Said> => runCommand(["token", ...args], given);

/** Runs a command of `roomcast` to its end; one that does not come to it is killed. */
export async function runCommand(args: readonly string[], { env = withSecret, input = "" }: Given = {}): Promise<Said> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ROOMCAST_|NODE_)/.test(name));
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) throw new Error("expected pipes");
  // A command that ends without reading closes it first.
  stdin.on("error", () => undefined);
  stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(stdout), text(stderr), once(child, "close")]);
  return { code: code as number | null, stdout: out, stderr: err };
}

/** The token that the command makes of these arguments. */
export async function made(args: readonly string[], given: Given = {}): Promise<string> {
  const { code, stdout, stderr } = await run(args, given);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/, "the token and nothing else");
  return stdout.trimEnd();
}

/** A folder that goes with the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "roomcast-token-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
