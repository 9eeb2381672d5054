/** `roomcast revoke`: takes back what a token, or the application, has given. */
import { ProtocolError } from "../../protocol/codes.js";
import { type Revoke, revocationOf, writeRevocation } from "../access/revocation.js";
import { ConfigError } from "../config.js";
import { asking } from "./asking.js";
import { DURATION_TEXT, parseDuration } from "./duration.js";
import { revokeHelp } from "./help.js";
import { type Flags, readFlags } from "./sources.js";

type Environment = { readonly [name: string]: string | undefined };

const names = ["token", "user", "block", "unblock", "tenant", "before", "for", "until", "room", "actions"] as const;
type Name = (typeof names)[number];

/** What it is about, and the options that go with each. */
const ways: { readonly [way in "token" | "user" | "block" | "unblock"]: readonly Name[] } = {
  token: ["until"],
  user: ["tenant", "before", "room", "actions", "for", "until"],
  block: ["tenant", "for", "until"],
  unblock: ["tenant"],
};

export async function revoke(args: readonly string[], env: Environment): Promise<void> {
  const flags = readFlags(args, ["help"], { names, help: "roomcast revoke --help" });
  if (flags.switches.has("help")) return print(revokeHelp());
  const given = flags.lines.length > 0 ? undefined : readOptions(flags);
  await asking(flags, env, async ({ cluster, settings }) => {
    if (given === undefined) return;
    const written = writeRevocation(checked(given, settings.maxTokenLifeMs));
    const { count, missing } = await cluster.revoke(written);
    if (missing.length > 0) process.stderr.write(`no answer from ${missing.join(", ")}\n`);
    if (count === 0) process.stderr.write("no node has it: nothing was taken back\n");
    else print(`in force on ${count} nodes`);
    if (missing.length > 0 || count === 0) process.exitCode = 1;
  });
}

/** Throws `ConfigError` with a line in the words of the options. */
function checked(given: Revoke, maxLifeMs: number) {
  const now = Date.now();
  try {
    return revocationOf(given, now, maxLifeMs);
  } catch (error) {
    throw error instanceof ProtocolError ? new ConfigError([error.message]) : error;
  }
}

/** What is to be taken back; what is wrong is added to the lines. */
function readOptions({ options, lines }: Flags): Revoke | undefined {
  const value = (name: Name): string | undefined => options.get(name)?.[0];
  const all = Object.keys(ways) as (keyof typeof ways)[];
  const given = all.filter((way) => value(way) !== undefined);
  const [way, other] = given;
  if (way === undefined || other !== undefined) {
    lines.push("expected one of --token, --user, --block and --unblock");
    return undefined;
  }
  for (const [name, values] of options) {
    if (values.length > 1) lines.push(`--${name}: expected once, got it again`);
    if (name !== way && !ways[way].includes(name as Name)) lines.push(`--${name}: expected no --${way} with it`);
  }
  const end = endOf(value("for"), value("until"), lines);
  const [user = "", tenant] = [value(way), value("tenant")];
  const whose = { user, ...(tenant === undefined ? {} : { tenant }) };
  if (way === "token") return { token: user, ...(end === undefined ? {} : { expiresAt: end }) };
  if (way === "unblock") return { ...whose, blockedUntil: 0 };
  if (way === "block") {
    if (end === undefined) lines.push("--block: expected --for or --until with it");
    return { ...whose, blockedUntil: end ?? 0 };
  }
  const [room, actions, before] = [value("room"), value("actions"), value("before")];
  if (room === undefined && actions === undefined) {
    if (end !== undefined) lines.push("--for, --until: expected --room with it");
    return { ...whose, ...(before === undefined ? {} : { before: timeOf("before", before, lines) }) };
  }
  if (before !== undefined) lines.push("--before: expected no --room with it");
  if (room === undefined) lines.push("--actions: expected --room with it");
  if (actions === undefined) lines.push("--room: expected --actions with it");
  const words = (actions ?? "").split(/[ ,]+/).filter((word) => word !== "" && word !== "none");
  return { ...whose, room: room ?? "", actions: words, ...(end === undefined ? {} : { until: end }) };
}

function endOf(duration: string | undefined, time: string | undefined, lines: string[]): number | undefined {
  if (duration !== undefined && time !== undefined) lines.push("--for: expected no --until with it");
  if (time !== undefined) return timeOf("until", time, lines);
  if (duration === undefined) return undefined;
  const ms = parseDuration(duration);
  if (ms === undefined) lines.push(`--for: expected ${DURATION_TEXT}`);
  return Date.now() + (ms ?? 0);
}

/** A point in time as people write it: `now`, `2026-11-23T20:00:00Z`. */
function timeOf(name: Name, text: string, lines: string[]): number {
  const time = text === "now" ? Date.now() : Date.parse(text);
  if (Number.isNaN(time)) lines.push(`--${name}: expected "now" or a time such as 2026-11-23T20:00:00Z`);
  return time;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
