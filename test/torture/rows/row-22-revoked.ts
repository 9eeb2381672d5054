import { Command } from "../../support/command.js";
import { SECRET, signed } from "../../support/sign.js";
import { check } from "../checker.js";
import { startEngine } from "../engines.js";
import { spread, spreadText } from "../figures.js";
import { Member } from "../member.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: {
    each: 60,
    groups: 3,
    roomCount: 10,
    eventsPerSecond: 200,
    publishers: 10,
    lifeMs: 20_000,
    runMs: 60_000,
    renewalsEach: 3,
  },
  reduced: {
    each: 6,
    groups: 1,
    roomCount: 3,
    eventsPerSecond: 50,
    publishers: 3,
    lifeMs: 6000,
    runMs: 10_000,
    renewalsEach: 1,
  },
};
const NODES = 3;
/** What the table allows from the moment it is asked for, in milliseconds; and how much longer is waited for who never goes. */
const MOST_MS = 5000;
const PATIENCE_MS = 15_000;

/** `kept`: renew in time. The others lose what their name says, all but `expired` by a command. */
const fates = ["kept", "blocked", "token", "permission", "expired"] as const;
type Fate = (typeof fates)[number];

type Victim = { readonly member: Member; readonly fate: Fate; readonly group: number };

const claimsOf = ({ fate, group }: Pick<Victim, "fate" | "group">) => ({
  ...{ sub: `${fate}-${group}`, rooms: { "room:*": "join", "secret:*": "join" } },
  ...(fate === "token" ? { jti: `jti-${group}` } : {}),
});

/** Everybody is in one room of each kind. */
async function enterAll(
  torture: Torture,
  nodes: readonly { readonly url: string }[],
  size: (typeof sizes)["full"],
): Promise<{ readonly victims: Victim[]; readonly endsAt: number }> {
  const { each, groups, roomCount, lifeMs } = size;
  const endsAt = Math.ceil((Date.now() + lifeMs / 2) / 1000);
  const entering: Promise<Victim>[] = [];
  for (const fate of fates) {
    for (let index = 0; index < each; index++) {
      const one = { fate, group: index % groups };
      const url = nodes[index % nodes.length]?.url ?? "";
      const token = (): string => {
        const now = Math.floor(Date.now() / 1000);
        if (fate === "expired") return signed({ ...claimsOf(one), exp: endsAt });
        return signed({ ...claimsOf(one), ...(fate === "kept" ? { exp: now + lifeMs / 1000 } : {}) });
      };
      const rooms = ["room", "secret"].map((kind) => `${kind}:${(index % roomCount) + 1}`);
      const name = `${fate} ${index}`;
      entering.push(Member.enter(torture, { name, url, token, rooms }).then((member) => ({ ...one, member })));
    }
  }
  return { victims: await Promise.all(entering), endsAt: endsAt * 1000 };
}

/** What the command is told for each fate. */
const commandOf: { readonly [fate in Fate]?: (group: number) => string[] } = {
  blocked: (group) => ["--block", `blocked-${group}`, "--for", "1h"],
  token: (group) => ["--token", `jti-${group}`],
  permission: (group) => ["--user", `permission-${group}`, "--room", "secret:*", "--actions", "join"],
};

/** The rooms that a member is to be out of; of others it is to see everything. */
const lostBy = ({ fate, member }: Victim): readonly string[] =>
  fate === "kept" ? [] : member.rooms.filter((room) => fate !== "permission" || room.startsWith("secret:"));

/** Takes back what is to be, one after the other, `pauseMs` apart; resolves with when each was asked for. */
async function takeBack(torture: Torture, groups: number, settings: object, pause: () => Promise<void>) {
  const askedAt = new Map<string, number>();
  const env = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`ROOMCAST_${name.toUpperCase()}`, String(value)]),
  );
  for (const fate of fates) {
    for (let group = 0; group < groups; group++) {
      const args = commandOf[fate]?.(group);
      if (args === undefined) continue;
      await pause();
      askedAt.set(`${fate} ${group}`, Date.now());
      const command = new Command(torture, ["revoke", ...args], env);
      const { code } = await command.exited;
      torture.say(`${args.join(" ")}: ${command.stdout.trim()}`);
      if (code !== 0) throw new Error(`roomcast revoke: ${command.stderr}`);
    }
  }
  return askedAt;
}

/** How many of them get in again, on any node. */
async function comeAgain(torture: Torture, victims: readonly Victim[], nodes: readonly { readonly url: string }[]) {
  let accepted = 0;
  for (const victim of victims.filter(({ fate }) => fate !== "kept")) {
    const [room = ""] = lostBy(victim);
    for (const { url } of nodes) if (await victim.member.getsIn(torture, url, room)) accepted++;
  }
  return accepted;
}

const sum = (victims: readonly Victim[], count: (victim: Victim) => number): number =>
  victims.reduce((total, victim) => total + count(victim), 0);

export const row22: Row = {
  number: 22,
  title: "permission revoked, user blocked, token revoked, token expired while in a room",
  passesWhen: "last event ≤ 5 s after; renewal leaves no hole",
  variants: ["redis", "nats"],
  async run(torture, size, variant) {
    const given = sizes[size];
    const { each, groups, roomCount, eventsPerSecond, publishers, runMs, renewalsEach } = given;
    const engine = await startEngine(torture, variant);
    const kinds = { "*": { history: { size: 10_000 }, allow: { anonymous: ["publish" as const] } } };
    const nodes = await torture.startNodes(NODES, { ...engine.settings, secret: SECRET, kinds });
    const rooms = ["room", "secret"].flatMap((kind) =>
      Array.from({ length: roomCount }, (_, index) => `${kind}:${index + 1}`),
    );
    const writing = await torture.startCrowd(nodes);
    await writing.publish({ count: publishers, rooms, eventsPerSecond });
    const { victims, endsAt } = await enterAll(torture, nodes, given);
    const startedAt = Date.now();
    const commands = groups * Object.keys(commandOf).length;
    const pause = () => torture.load(writing, runMs / 3 / commands, "taking back");
    const askedAt = await takeBack(torture, groups, engine.settings, pause);
    const lost = victims.filter(({ fate }) => fate !== "kept");
    const isOut = (victim: Victim) => lostBy(victim).every((room) => victim.member.isOut(room));
    await torture.until(() => lost.every(isOut), PATIENCE_MS);
    await torture.load(writing, Math.max(0, startedAt + runMs - Date.now()), "after it");
    const afterOf = (victim: Victim): number[] => {
      const { fate, group, member } = victim;
      const since = fate === "expired" ? endsAt : (askedAt.get(`${fate} ${group}`) ?? 0);
      return lostBy(victim).map((room) => member.lastEventAt(room) - since);
    };
    const afterMs = lost.filter(({ fate }) => fate !== "expired").flatMap(afterOf);
    const expiredMs = lost.filter(({ fate }) => fate === "expired").flatMap(afterOf);
    const accepted = await comeAgain(torture, victims, nodes);
    await writing.stop();
    const staying = victims.filter(({ fate }) => fate === "kept" || fate === "permission");
    await torture.until(async () => {
      const { ends, waiting } = await writing.progress();
      return waiting === 0 && staying.every((one) => one.member.isAt(ends, lostBy(one)));
    }, 30_000);
    const told = await torture.settle(writing);
    const logs = victims.flatMap((victim) => victim.member.logs(lostBy(victim)));
    const findings = check({ published: told.records.published, logs });
    const kept = victims.filter(({ fate }) => fate === "kept");
    const outOf = (ones: readonly Victim[]) =>
      sum(ones, ({ member }) => member.rooms.filter((room) => member.isOut(room)).length);
    return {
      asked: `${NODES} nodes on ${variant}, ${victims.length} clients in 2 of ${rooms.length} rooms each, ${eventsPerSecond} events/s; of ${each} clients each: users blocked, tokens taken back, a permission taken back, tokens at their end, tokens renewed in time`,
      findings,
      figures: {
        "last event after the command was begun": spreadText(spread(afterMs)),
        "last event after the token's end": spreadText(spread(expiredMs)),
        renewals: sum(kept, ({ member }) => member.renewals),
      },
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        counted("rooms that somebody should be out of, and is not", lost.filter((one) => !isOut(one)).length),
        counted(
          "events after the client was told that it is out",
          sum(victims, ({ member }) => member.eventsAfter),
        ),
        counted("came in again", accepted),
        counted("rooms that were lost by who renewed in time", outOf(kept)),
        atLeast(
          "renewals",
          sum(kept, ({ member }) => member.renewals),
          kept.length * renewalsEach,
        ),
        within("last event after it was taken back", Math.max(...afterMs, ...expiredMs), MOST_MS),
      ],
    };
  },
};
