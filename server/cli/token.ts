/** `roomcast token`: makes tokens for clients, checks them, and makes what signs them. */
import { randomBytes } from "node:crypto";
import { ConfigError } from "../config.js";
import { tokenHelp } from "./help.js";
import { loadSettings, readFlags } from "./sources.js";
import { checkToken } from "./token-check.js";
import { newKey } from "./token-keys.js";
import { claimOptions, makeToken, signingOptions } from "./token-make.js";

type Environment = { readonly [name: string]: string | undefined };

const own = { names: [...claimOptions, ...signingOptions, "new-key"], help: "roomcast token --help" };
/** What others on the machine can read in the list of processes. */
const UNSAFE = ["secret", "moreSecrets"];

/** What it does: one of these, and makes a token without any. */
const ways = ["check", "new-secret", "new-key"] as const;

export async function token(args: readonly string[], env: Environment): Promise<void> {
  const flags = readFlags(args, ["check", "json", "new-secret", "help"], own);
  const { switches, options, lines } = flags;
  if (switches.has("help")) return print(tokenHelp());
  for (const name of UNSAFE.filter((one) => Object.hasOwn(flags.values, one))) {
    const flag = flags.from[name];
    lines.push(
      `${flag}: expected it in ROOMCAST_SECRET, the file of --config or --secret-file; others can read a command`,
    );
  }
  const given = ways.filter((way) => switches.has(way as "check") || options.has(way));
  const [way] = given;
  const allowed: { readonly [way: string]: readonly string[] } = { "new-key": ["new-key", "key"] };
  for (const name of way === undefined ? [] : options.keys()) {
    if (!(allowed[way as string] ?? []).includes(name)) lines.push(`--${name}: expected no --${way} with it`);
  }
  if (given.length > 1) lines.push(`--${given[1]}: expected no --${way} with it`);
  if (switches.has("json") && way !== "check") lines.push("--json: expected --check with it");
  try {
    if (way === "new-secret" || way === "new-key") {
      if (lines.length > 0) throw new ConfigError(lines);
      print(way === "new-secret" ? randomBytes(32).toString("base64url") : newKey(options));
      return;
    }
    const { settings } = loadSettings(flags, env);
    if (way === "check") await checkToken(settings, switches.has("json"));
    else await makeToken(options, settings);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.lines.join("\n")}\n`);
    process.exitCode = 2;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
