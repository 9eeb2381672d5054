/** `roomcast token`: makes tokens for clients, checks them, and makes what signs them. */
import { randomBytes } from "node:crypto";
import { ConfigError } from "../config.js";
import { tokenHelp } from "./help.js";
import { type Flags, loadSettings, POSITIONAL, readFlags } from "./sources.js";
import { checkToken } from "./token-check.js";
import { newKey } from "./token-keys.js";
import { claimOptions, makeToken, signingOptions } from "./token-make.js";

type Environment = { readonly [name: string]: string | undefined };

const own = { names: [...claimOptions, ...signingOptions, "new-key"], help: "roomcast token --help" };
/** What others on the machine can read in the list of processes. */
const UNSAFE = ["secret", "moreSecrets"];

/** What it does: one of these, and makes a token without any. */
const ways = ["check", "new-secret", "new-key"] as const;
type Way = (typeof ways)[number];

export async function token(args: readonly string[], env: Environment): Promise<void> {
  const flags = readFlags(args, ["check", "json", "new-secret", "help"], own);
  const { switches, options, lines } = flags;
  if (switches.has("help")) return print(tokenHelp());
  const way = ways.find((one) => isGiven(flags, one));
  lines.push(...misplaced(flags, way));
  const unsafe = unsafeOptions(flags);
  try {
    // What else the settings say of them would be about something that has to go anyway.
    if (unsafe.length > 0) throw new ConfigError([...lines, ...unsafe]);
    if (way === "new-secret" || way === "new-key") {
      if (lines.length > 0) throw new ConfigError(lines);
      return print(way === "new-secret" ? randomBytes(32).toString("base64url") : newKey(options));
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

const isGiven = ({ switches, options }: Flags, way: Way): boolean =>
  way === "new-key" ? options.has(way) : switches.has(way);

/** Options that do not go with what is to be done. */
function misplaced(flags: Flags, way: Way | undefined): string[] {
  const { switches, options, lines } = flags;
  const positional = lines.indexOf(POSITIONAL);
  if (way === "check" && positional >= 0) {
    lines[positional] = "expected the token on standard input, not among the arguments, which others can read";
  }
  const names = new Set([...ways.filter((one) => isGiven(flags, one)), ...options.keys()]);
  const others = [...names].filter((name) => name !== way && !(way === "new-key" && name === "key"));
  return [
    ...(way === undefined ? [] : others.map((name) => `--${name}: expected no --${way} with it`)),
    ...(switches.has("json") && way !== "check" ? ["--json: expected --check with it"] : []),
  ];
}

const unsafeOptions = ({ values, from }: Flags): string[] =>
  UNSAFE.filter((name) => Object.hasOwn(values, name)).map((name) => {
    const places = "ROOMCAST_SECRET, the file of --config or --secret-file";
    return `${from[name]}: expected it in ${places}; others can read a command`;
  });

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
