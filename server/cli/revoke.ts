/** `roomcast revoke`: takes back what a token, or the application, has given. */
import { ProtocolError } from "../../protocol/codes.js";
import { NO_ACTIONS, wordsOf } from "../access/actions.js";
import {
  type Revocation,
  type Revoke,
  readRevocation,
  revocationOf,
  writeRevocation,
} from "../access/revocations/revocation.js";
import type { Cluster } from "../cluster/cluster.js";
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
  const flags = readFlags(args, ["list", "help"], { names, help: "roomcast revoke --help" });
  if (flags.switches.has("help")) return print(revokeHelp());
  const lists = flags.switches.has("list");
  if (lists && flags.options.size > 0) flags.lines.push("--list: expected no other option of this command with it");
  const given = lists || flags.lines.length > 0 ? undefined : readOptions(flags);
  await asking(flags, env, async ({ cluster, settings }) => {
    if (lists) return list(cluster);
    if (given === undefined) return;
    const written = writeRevocation(checked(given, settings.maxTokenLifeMs));
    const { count, missing } = await cluster.revoke(written);
    if (missing.length > 0) process.stderr.write(`no answer from ${missing.join(", ")}\n`);
    if (count === 0) process.stderr.write("no node has it: nothing was taken back\n");
    else print(`in force on ${count} nodes`);
    if (missing.length > 0 || count === 0) process.exitCode = 1;
  });
}

/** Prints what one of the nodes knows to be in force: all know the same. */
async function list(cluster: Cluster): Promise<void> {
  // Whoever only asks hears who is there a moment after it has asked, and counts wait for that.
  await cluster.counts();
  const [node] = cluster.nodes();
  for (let from = 0, count = 1; from < count; ) {
    const part = node && (await cluster.revocations(node.id, from));
    if (part === undefined) {
      process.stderr.write("no node answered\n");
      process.exitCode = 1;
      return;
    }
    for (const written of part.listed) {
      const one = readRevocation(written);
      if (one !== undefined && isInForce(one)) print(lineOf(one));
    }
    if (part.listed.length === 0) return;
    from += part.listed.length;
    count = part.count;
  }
}

const endOfOne = (one: Revocation): number => ("ends" in one ? one.ends : one.until);

/** Not what has ended, nor what was given back: that is remembered so that nothing older comes to hold again. */
const isInForce = (one: Revocation): boolean =>
  endOfOne(one) > Date.now() && (one.kind !== "room" || one.actions !== NO_ACTIONS);

/** One a line, what it is about first. */
function lineOf(one: Revocation): string {
  const until = new Date(endOfOne(one)).toISOString();
  if (one.kind === "token") return `token ${JSON.stringify(one.token)} until ${until}`;
  const whose = `${JSON.stringify(one.user)}${one.tenant === "" ? "" : ` of ${one.tenant}`}`;
  if (one.kind === "block") return `block ${whose} until ${until}`;
  if (one.kind === "tokens") return `tokens of ${whose} before ${new Date(one.before).toISOString()} until ${until}`;
  return `room ${one.room} ${wordsOf(one.actions).join(",")} of ${whose} until ${until}`;
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
