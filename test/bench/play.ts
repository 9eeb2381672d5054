import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a program of `bench/` to its end. */
export async function play(program: string, ...flags: string[]): Promise<Outcome> {
  const path = fileURLToPath(new URL(`../../bench/${program}.js`, import.meta.url));
  const child = spawn(process.execPath, [path, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  const exit = once(child, "exit");
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, stdout, stderr };
}

/** The program's one line. */
export function lineOf<Result>({ code, stdout, stderr }: Outcome): Result {
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\{.*\}\n$/, "one line of JSON is expected on stdout");
  return JSON.parse(stdout) as Result;
}
