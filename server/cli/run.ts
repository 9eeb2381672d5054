import { nearest } from "../nearest.js";
import { versionOf } from "../version.js";
import { commandsHelp } from "./help.js";
import { key } from "./key.js";
import { nodes } from "./nodes.js";
import { revoke } from "./revoke.js";
import { rooms } from "./rooms.js";
import { serve } from "./serve.js";
import { token } from "./token.js";
import { disconnect, remove } from "./users.js";

/** The variables of a process: `process.env`. */
export type Environment = { readonly [name: string]: string | undefined };

/** A command takes what stands behind its name, and sets `process.exitCode`. */
const commands: { readonly [name: string]: (args: readonly string[], env: Environment) => Promise<void> } = {
  ...{ serve, token, key, nodes, rooms, disconnect, remove, revoke },
};

/** Does what the arguments ask for; without a command it serves. Exit code 2 says that the arguments are wrong. */
export async function run(args: readonly string[], env: Environment): Promise<void> {
  const [first, ...rest] = args;
  if (first === "--help" || first === "-h" || first === "help") return print(commandsHelp());
  if (first === "--version" || first === "-v") return print(`roomcast ${versionOf()}, Node ${process.versions.node}`);
  if (first === undefined || first.startsWith("-")) return serve(args, env);
  const command = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (command !== undefined) return command(rest, env);
  const names = Object.keys(commands);
  const meant = nearest(first, names);
  const end = meant === undefined ? `there are ${names.join(", ")}` : `did you mean ${meant}?`;
  process.stderr.write(`no such command: ${JSON.stringify(first.slice(0, 40))}; ${end}\n`);
  process.exitCode = 2;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
