/**
 * What does it cost to know whether a client may do something in a room?
 *
 * The rules of 1,000 kinds, a token with 100 patterns, and the rooms that take longest: those that nothing stands for, those
 * that only the last pattern stands for, names as long as they may be. Every name is a new string, as those in frames are.
 */
import { parseGrants } from "../server/access/grants.js";
import { Permissions } from "../server/access/permissions.js";
import { AccessRules } from "../server/access/rules.js";
import { emit, readFlags, tell } from "./support/program.js";
import type { PermissionsResult, PermissionsRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";

const flags = readFlags({ kinds: 1000, patterns: 100, checks: 20_000, rounds: 15 });
const NAME_LENGTH = 128;
/** How many rounds are not counted. */
const WARM_UP = 5;

type Case = {
  readonly name: string;
  readonly pattern: (index: number) => string;
  /** Another name for each number: `check` counts up for ever. */
  readonly room: (check: number) => string;
  readonly isGranted: boolean;
};

const long = (name: string): string => name.padEnd(NAME_LENGTH, "x");
const last = flags.patterns - 1;
const digits = (check: number): string => String(check).padStart(8, "0");
/** As many `*` as there may be: all patterns begin as the room does, and differ at the very end. */
const deep = (star: string, end: string): string => `${`k7:s:t:${star}:`.repeat(5)}${end}`;

const cases: readonly Case[] = [
  {
    name: "names, none of them",
    pattern: (index) => `k${index}:room`,
    room: (check) => `k7:${digits(check)}`,
    isGranted: false,
  },
  {
    name: "prefixes, none of them",
    pattern: (index) => `k7:r${index}:*`,
    room: (check) => `k7:r:${digits(check)}`,
    isGranted: false,
  },
  {
    name: "prefixes, the last, 128 characters",
    pattern: (index) => `${"k7:r".padEnd(100, "r")}${index}:*`,
    room: (check) => long(`${"k7:r".padEnd(100, "r")}${last}:${digits(check)}`),
    isGranted: true,
  },
  {
    name: "three stars, none",
    pattern: (index) => `k7:*:team:*:doc:*:part${index}`,
    room: (check) => `k7:a:team:b:doc:${digits(check)}:part`,
    isGranted: false,
  },
  {
    name: "three stars, the last, 128 characters",
    pattern: (index) => `k7:*:team:*:doc:*:p${index}:*`,
    room: (check) => long(`k7:a:team:b:doc:${digits(check)}:p${last}:`),
    isGranted: true,
  },
  {
    name: "five stars, none",
    pattern: (index) => deep("*", `e${index}`),
    room: (check) => deep(digits(check), "e"),
    isGranted: false,
  },
  {
    name: "five stars, the last, 128 characters",
    pattern: (index) => deep("*", `e${index}*`),
    room: (check) => long(deep(digits(check), `e${last}.`)),
    isGranted: true,
  },
];

const kinds = Array.from({ length: flags.kinds }, (_, index) => [`k${index}`, { allow: { user: [] } }] as const);
const rules = new AccessRules(Object.fromEntries(kinds), { isOpen: false, maxFrameBytes: 65_536 });
const permissions = new Permissions(rules, { isRevoked: () => undefined, concerns: () => false, denied: () => 0 });

/** Nanoseconds of CPU a check, of one round. */
function play({ name, pattern, room, isGranted }: Case, first: number): number {
  const patterns = Array.from({ length: flags.patterns }, (_, index) => [pattern(index), "join"] as const);
  const grants = parseGrants(Object.fromEntries(patterns), "ann");
  const access = { user: "ann", tenant: "", issuedAt: 0, grants };
  const rooms = Array.from({ length: flags.checks }, (_, index) => Buffer.from(room(first + index)).toString());
  let yes = 0;
  const start = process.cpuUsage();
  for (const one of rooms) if (permissions.may("join", one, access) === "yes") yes++;
  const { user, system } = process.cpuUsage(start);
  const ns = ((user + system) * 1000) / rooms.length;
  if (yes !== (isGranted ? rooms.length : 0)) throw new Error(`${name}: ${yes} of ${rooms.length} granted`);
  return ns;
}

function rowOf(one: Case): PermissionsRow {
  const rounds: number[] = [];
  for (let turn = -WARM_UP; turn < flags.rounds; turn++) {
    const ns = play(one, (turn + WARM_UP) * flags.checks);
    if (turn >= 0) rounds.push(ns);
  }
  const row = {
    case: one.name,
    roomLength: one.room(0).length,
    nsPerCheck: round(median(rounds), 0),
    nsRange: [round(Math.min(...rounds), 0), round(Math.max(...rounds), 0)] as const,
  };
  tell(`  ${row.case.padEnd(44)} ${String(row.nsPerCheck).padStart(6)} ns/check, at most ${row.nsRange[1]}`);
  return row;
}

try {
  tell(`permissions, ${flags.kinds} kinds, ${flags.patterns} patterns`);
  const rows = cases.map(rowOf);
  const { kinds: kindCount, patterns, checks, rounds } = flags;
  emit({ program: "permissions", kinds: kindCount, patterns, checks, rounds, rows } satisfies PermissionsResult);
} catch (error) {
  tell(`permissions failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
