/** `roomcast key`: makes a key by which another service uses the HTTP API. */
import { describe } from "../../protocol/fields.js";
import { isTenant, TENANT_TEXT } from "../../protocol/names.js";
import { isKeyName, isScope, KEY_NAME_TEXT, makeApiKey, scopes } from "../access/api-keys.js";
import { ConfigError } from "../config.js";
import { keyHelp } from "./help.js";
import { readFlags } from "./sources.js";

const names = ["name", "scope", "tenant"] as const;
type Options = ReadonlyMap<string, readonly string[]>;

/** Prints the key, which is kept nowhere, and the entry that the server's settings get. */
export async function key(args: readonly string[]): Promise<void> {
  const { switches, options, values, from, lines } = readFlags(args, ["json", "help"], {
    names,
    help: "roomcast key --help",
  });
  if (switches.has("help")) return print(keyHelp());
  for (const name of Object.keys(values)) lines.push(`${from[name]}: expected no setting of the server`);
  const asked = askedFor(options, lines);
  if (lines.length > 0) {
    process.stderr.write(`${new ConfigError(lines).message}\n`);
    process.exitCode = 2;
    return;
  }
  const made = makeApiKey(asked);
  if (switches.has("json")) return print(JSON.stringify(made));
  print(`key    ${made.key}\nentry  ${made.entry}`);
  if (!process.stderr.isTTY) return;
  process.stderr.write(
    "\nThe service sends the key as Authorization: Bearer … ; it is not shown again.\nThe entry goes into ROOMCAST_API_KEYS, after a comma where there are others.\n",
  );
}

function askedFor(options: Options, lines: string[]): Parameters<typeof makeApiKey>[0] {
  for (const [name, values] of options) {
    if (values.length > 1 && name !== "scope") lines.push(`--${name}: expected once, got it again`);
  }
  const [name] = options.get("name") ?? [];
  if (name === undefined) lines.push("--name: expected what the service is called, got nothing");
  else if (!isKeyName(name)) lines.push(`--name: expected ${KEY_NAME_TEXT}, got ${describe(name)}`);
  const [tenant = ""] = options.get("tenant") ?? [];
  if (options.has("tenant") && !isTenant(tenant))
    lines.push(`--tenant: expected ${TENANT_TEXT}, got ${describe(tenant)}`);
  const words = (options.get("scope") ?? []).flatMap((text) => text.split(/[ ,+]/).filter((word) => word !== ""));
  const expected = `--scope: expected some of ${scopes.join(", ")}, or all`;
  if (words.length === 0) lines.push(`${expected}, got nothing`);
  const named = words.includes("all") ? scopes : words.filter(isScope);
  for (const word of words) if (word !== "all" && !isScope(word)) lines.push(`${expected}, got ${describe(word)}`);
  return { name: name ?? "", scopes: new Set(named), tenant };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
