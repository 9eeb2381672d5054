/**
 * What do limits cost that nobody reaches?
 *
 * For a publish all of them together: the pace of its session, its user's share, its room's rate; side by side with a loop
 * that asks nothing. For an upgrade those of its address: in, and out again when as many others have come.
 */
import { AddressLimits, type AddressUse } from "../server/access/limits/address-limits.js";
import { Pace, Usage } from "../server/access/limits/limits.js";
import { emit, readFlags, tell } from "./support/program.js";
import type { LimitsResult, LimitsRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";

const flags = readFlags({ publishes: 200_000, sessions: 10_000, rooms: 1000, addresses: 100_000, rounds: 15 });
/** How many rounds are not counted. */
const WARM_UP = 5;

const MANY = 1_000_000;
const limits = {
  ...{ maxFrameBytes: 65_536, maxRooms: 100, maxRequests: 32, maxFramesPerTurn: MANY, maxBackpressureBytes: 1 << 20 },
  ...{ requestRate: MANY, byteRate: 1 << 30, userConnections: 100, userPublishRate: MANY },
};

type Client = { readonly pace: Pace; readonly use: ReturnType<Usage["users"]["enter"]> };
type Round = { readonly asked: number; readonly bare: number };

const usage = new Usage(limits, () => 0);
// Two sessions a user.
const clients: readonly Client[] = Array.from({ length: flags.sessions }, (_, index) => {
  return { pace: new Pace(), use: usage.users.enter(`user ${index >> 1}`) };
});

/** Nanoseconds of CPU for each. */
function timed(count: number, act: () => void): number {
  const start = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1000) / count;
}

/** A new string for each, as the names in frames are. */
const namesOf = (count: number, name: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(name(index)).toString());

let turn = 0;

function publishes(): Round {
  const names = () => namesOf(flags.publishes, (index) => `chat:${index % flags.rooms}`);
  const [withLimits, without] = [names(), names()];
  let refused = 0;
  const asked = timed(flags.publishes, () => {
    for (const [index, room] of withLimits.entries()) {
      // A turn of the loop brings some frames of several clients.
      if (index % 32 === 0) turn++;
      const now = turn * 2;
      const { pace, use } = clients[index % clients.length] as Client;
      if (pace.take(usage, 120, turn, now) !== undefined) refused++;
      if (usage.users.publish(use, now) > 0) refused++;
      if (usage.roomRates.publish(room, MANY, index, now) > 0) refused++;
    }
  });
  if (refused > 0) throw new Error(`${refused} were refused: this is about those that are not`);
  let length = 0;
  const bare = timed(flags.publishes, () => {
    for (const [index, room] of without.entries()) {
      if (index % 32 === 0) turn++;
      length += room.length + (clients[index % clients.length] === undefined ? 1 : 0);
    }
  });
  if (length === 0) throw new Error("nothing was looked at");
  usage.tell(() => true, true, 3);
  usage.sweep(turn * 2);
  return { asked, bare };
}

const addresses = new AddressLimits({ addressConnections: 100, addressRate: 1000 });
const hex = (index: number): string => index.toString(16);

function upgrades(): Round {
  // Every other one is IPv6, each of a network of its own.
  const address = (index: number): string =>
    index % 2 === 0
      ? `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
      : `2001:db8:${hex(index >> 8)}:${hex(index & 255)}::1`;
  const names = () => namesOf(flags.addresses, address);
  const [withLimits, without] = [names(), names()];
  const here: AddressUse[] = [];
  const asked = timed(flags.addresses, () => {
    for (const [index, name] of withLimits.entries()) {
      const use = addresses.find(name);
      if (addresses.refuse(use, index) !== undefined) throw new Error("refused: this is about those that are not");
      here.push(addresses.take(use, index));
    }
    for (const use of here) addresses.left(use, MANY);
  });
  addresses.sweep(2 * MANY);
  let length = 0;
  const bare = timed(flags.addresses, () => {
    for (const name of without) length += name.length;
  });
  if (length === 0 || addresses.size > 0) throw new Error(`${addresses.size} addresses are left`);
  return { asked, bare };
}

function rowOf(name: string, play: () => Round): LimitsRow {
  const rounds: Round[] = [];
  for (let count = -WARM_UP; count < flags.rounds; count++) {
    const one = play();
    if (count >= 0) rounds.push(one);
  }
  const asked = rounds.map((one) => one.asked);
  const row = {
    case: name,
    ns: round(median(asked), 0),
    nsRange: [round(Math.min(...asked), 0), round(Math.max(...asked), 0)] as const,
    nsWithout: round(median(rounds.map((one) => one.bare)), 0),
  };
  tell(`  ${name.padEnd(28)} ${String(row.ns).padStart(6)} ns, at most ${row.nsRange[1]}; without ${row.nsWithout}`);
  return row;
}

try {
  tell(`limits, ${flags.sessions} sessions, ${flags.rooms} rooms, ${flags.addresses} addresses`);
  const rows = [rowOf("publish, all limits", publishes), rowOf("upgrade, by address", upgrades)];
  const { publishes: publishCount, sessions, rooms, addresses: addressCount, rounds } = flags;
  emit({
    ...{ program: "limits", publishes: publishCount, sessions, rooms, addresses: addressCount, rounds, rows },
  } satisfies LimitsResult);
} catch (error) {
  tell(`limits failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
