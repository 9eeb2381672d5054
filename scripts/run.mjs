import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The repository's root: scripts work from wherever they are called. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program to its end with its output shown; a failure ends this process with the program's code. */
export function run(program, args, options = {}) {
  const { status, signal, error } = spawnSync(program, args, { cwd: root, stdio: "inherit", ...options });
  if (error) console.error(`${program}: ${error.message}`);
  if (status !== 0) process.exit(status ?? (signal === "SIGINT" ? 130 : 1));
}
