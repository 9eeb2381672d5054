/** Where the settings of the command come from: flags, before variables, before a file, before the defaults. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describe } from "../../protocol/fields.js";
import { ConfigError, parseSettings, type Settings, type SettingsInput } from "../config.js";
import { nearest } from "../nearest.js";
import { type SettingInfo, settingInfos } from "./settings.js";

type Values = { [setting: string]: unknown };

/** What a source gave: its settings, where each came from, and what was wrong before any setting was looked at. */
type Source = { readonly values: Values; readonly from: { [setting: string]: string }; readonly lines: string[] };

export type Loaded = {
  readonly settings: Settings;
  /** Where a setting came from: a flag, a variable, the file's name, or "default". */
  readonly from: (name: string) => string;
};

/** A setting that came as text, as the type it has; left as it is where it is not of that type, for the checks to name. */
function typed(text: string, { schema }: SettingInfo): unknown {
  switch (schema.type) {
    case "integer":
      return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
    case "boolean":
      return text === "true" || text === "false" ? text === "true" : text;
    case "array":
      return text === "" ? [] : text.split(",").map((part) => part.trim());
    case "object":
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return text;
      }
    default:
      return text;
  }
}

/** A name or a path from outside, so that it stays on its line. */
const shown = (text: string): string => (/^[ -~]{1,500}$/.test(text) ? text : describe(text));

const didYouMean = (name: string, names: readonly string[], otherwise: string): string => {
  const meant = nearest(name, names);
  return meant === undefined ? otherwise : `did you mean ${meant}?`;
};

/** What a command may be told that is no setting. */
export type Switch = "check" | "json" | "watch" | "list" | "new-secret" | "help";
const flags = new Map(settingInfos.map((info) => [info.flag, info]));

export type Flags = Source & {
  readonly config: string | undefined;
  readonly switches: ReadonlySet<Switch>;
  /** The command's own options that take a value, by their names, with all that was given. */
  readonly options: ReadonlyMap<string, readonly string[]>;
};

/** Options of one command that take a value and may be given more than once; and where its help is. */
export type OwnOptions = { readonly names: readonly string[]; readonly help: string };

const NO_OPTIONS: OwnOptions = { names: [], help: "roomcast serve --help" };

/** The line for an argument that is no option: it is not shown, since it may be a secret. */
export const POSITIONAL = "expected options that start with --, got an argument without";

/** The arguments one by one; `parseArgs` knows which of them take a value, and the checks are ours. */
function tokensOf(args: readonly string[], flagNames: readonly string[], isSwitch: (name: string) => boolean) {
  const options = flagNames.map((flag) => {
    const name = flag.slice(2);
    return [name, isSwitch(name) ? { type: "boolean" as const } : { type: "string" as const }] as const;
  });
  return parseArgs({ args: [...args], options: Object.fromEntries(options), strict: false, tokens: true }).tokens;
}

/**
 * Reads the flags of a command that knows these switches and options beside the settings. What is wrong with them is in
 * `lines`; an argument is not repeated there, since it may be a secret.
 */
export function readFlags(args: readonly string[], switches: readonly Switch[], own = NO_OPTIONS): Flags {
  const given = new Map<string, string | undefined>();
  const options = new Map<string, string[]>();
  const lines: string[] = [];
  const ownFlags = [...switches, ...own.names].map((name) => `--${name}`);
  const flagNames = [...ownFlags, ...flags.keys(), "--config"];
  const isSwitch = (name: string): boolean => (switches as readonly string[]).includes(name);
  let ofUnknown = -1;
  let ofLetters = -1;
  for (const token of tokensOf(args, flagNames, isSwitch)) {
    // What stands behind an unknown option is its value, and wrong with it.
    if (token.kind === "positional" && token.index !== ofUnknown) lines.push(POSITIONAL);
    if (token.kind !== "option") continue;
    const isHelp = args[token.index] === "-h";
    const flag = isHelp ? "--help" : `--${token.name}`;
    const known = flagNames.includes(flag) && (isHelp || token.rawName.startsWith("--"));
    // Several letters behind one dash are taken for as many options: one line is enough.
    if (token.index === ofLetters) continue;
    if (!token.rawName.startsWith("--")) ofLetters = token.index;
    const end = known ? "" : didYouMean(flag, flagNames, `${own.help} lists them`);
    if (!known) lines.push(`${shown(token.rawName)}: no such option; ${end}`);
    else if (given.has(flag) && !own.names.includes(token.name)) lines.push(`${flag}: expected once, got it again`);
    else if (isSwitch(token.name) && token.value !== undefined) lines.push(`${flag}: expected no value, got one`);
    else if (!isSwitch(token.name) && token.name !== "h" && token.value === undefined)
      lines.push(`${flag}: expected a value, got nothing`);
    if (!known && token.value === undefined) ofUnknown = token.index + 1;
    if (known || token.rawName.startsWith("--")) given.set(flag, token.value);
    if (own.names.includes(token.name) && token.value !== undefined)
      options.set(token.name, [...(options.get(token.name) ?? []), token.value]);
  }
  const set = new Set(switches.filter((name) => given.has(`--${name}`)));
  return { ...flagValues(given), lines, config: given.get("--config"), switches: set, options };
}

function flagValues(given: ReadonlyMap<string, string | undefined>): Omit<Source, "lines"> {
  const values: Values = {};
  const from: Source["from"] = {};
  for (const [flag, info] of flags) {
    const text = given.get(flag);
    if (text === undefined) continue;
    values[info.name] = typed(text, info);
    from[info.name] = flag;
  }
  return { values, from };
}

/** Variables that Kubernetes sets in every container for a Service of the name `roomcast`: not ours to read. */
function isOfKubernetes(variable: string, text: string): boolean {
  if (variable === "ROOMCAST_PORT") return /^(tcp|udp|sctp):\/\//.test(text);
  return /^ROOMCAST_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/.test(variable);
}

const variables = new Map(settingInfos.map((info) => [info.variable, info]));

/** Reads the variables. Those of the test runner, `ROOMCAST_TEST_…`, are passed over. */
function readVariables(env: { readonly [name: string]: string | undefined }): Source {
  const source: Source = { values: {}, from: {}, lines: [] };
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("ROOMCAST_") || text === undefined) continue;
    if (variable === "ROOMCAST_CONFIG" || variable.startsWith("ROOMCAST_TEST_")) continue;
    if (isOfKubernetes(variable, text)) continue;
    const info = variables.get(variable);
    if (info === undefined) {
      const end = didYouMean(variable, [...variables.keys(), "ROOMCAST_CONFIG"], "roomcast serve --help lists them");
      source.lines.push(`${shown(variable)}: no such setting; ${end}`);
      continue;
    }
    source.values[info.name] = typed(text, info);
    source.from[info.name] = variable;
  }
  return source;
}

/** Where JSON stops being JSON, as line and column. The parser's own words quote the text, which may hold a secret. */
function whereOf(error: unknown, text: string): string {
  const position = /at position (\d+)/.exec(String(error))?.[1];
  if (position === undefined) return "";
  const before = text.slice(0, Number(position)).split("\n");
  return ` at line ${before.length}, column ${(before.at(-1) ?? "").length + 1}`;
}

function readFile(path: string): Source {
  const source: Source = { values: {}, from: {}, lines: [] };
  const file = shown(path);
  let text: string;
  try {
    text = readFileSync(path, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { ...source, lines: [`config: expected a file that can be read, got ${code} (${file})`] };
  }
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    return { ...source, lines: [`config: expected JSON, got something else${whereOf(error, text)} (${file})`] };
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    return { ...source, lines: [`config: expected an object of settings, got something else (${file})`] };
  }
  const { $schema: _, ...rest } = values as Values;
  return { ...source, values: rest, from: Object.fromEntries(Object.keys(rest).map((name) => [name, file])) };
}

const linesOf = (error: unknown): readonly string[] => {
  if (error instanceof ConfigError) return error.lines;
  throw error;
};

/** Reads all sources and checks what holds. Throws `ConfigError` with a line for everything that is wrong in any. */
export function loadSettings(given: Flags, env: { readonly [name: string]: string | undefined }): Loaded {
  const path = given.config ?? env["ROOMCAST_CONFIG"];
  const file: Source = path === undefined ? { values: {}, from: {}, lines: [] } : readFile(path);
  const sources = [file, readVariables(env), given];
  // Each name as an own one, `__proto__` too: it is told like any other that is none of ours.
  const merged = <T>(parts: readonly { readonly [name: string]: T }[]) =>
    Object.fromEntries(parts.flatMap(Object.entries));
  const origin: Source["from"] = merged(sources.map((source) => source.from));
  const values: Values = merged(sources.map((source) => source.values));
  const lines = sources.flatMap((source) => source.lines);
  const from = (name: string): string => (Object.hasOwn(origin, name) ? (origin[name] as string) : "default");
  try {
    const options = { from: (name: string) => (Object.hasOwn(origin, name) ? origin[name] : undefined) };
    const settings = parseSettings(values as SettingsInput, options);
    if (lines.length === 0) return { settings, from };
  } catch (error) {
    throw new ConfigError([...lines, ...linesOf(error)]);
  }
  throw new ConfigError(lines);
}
