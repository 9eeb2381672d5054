import { setTimeout as pause } from "node:timers/promises";
import { check } from "../checker.js";
import type { Told } from "../crowd.js";
import { startEngine } from "../engines.js";
import { spread, spreadText } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import { type Expected, type Judged, judgeCounted, judgeListed, judgeTold } from "../presence/judge.js";
import { pagesOf } from "../presence/pages.js";
import { enterAll, enterLate, kill, placeOf, places, type Scene } from "../presence/scene.js";
import { withMembers } from "../presence/settings.js";
import type { Watcher } from "../presence/watcher.js";
import { atLeast, counted, type Row, type Verdict, within } from "../row.js";

/** How many members a listed and a counted room has on the node that is killed; above `maxListed` they are counted. */
const sizes = {
  full: { listed: 125, counted: 250, maxListed: 100, pageSize: 50 },
  reduced: { listed: 8, counted: 14, maxListed: 5, pageSize: 4 },
};
const LIMIT_MS = 15_000;
/** When after the kill late watchers come, and when the last look is, in milliseconds. */
const LATE_MS = 5000;
const LAST_MS = 16_000;
const PATIENCE_MS = 40_000;

/** What a watcher was told, judged; a late one knows of itself already. */
function judge(watcher: Watcher, { expected }: Scene, since: number, isLate: boolean): Judged {
  const one = expected.get(watcher.room) as Expected;
  const mine = isLate ? { ...one, staying: new Set([...one.staying, ...one.coming]), coming: new Set<string>() } : one;
  watcher.checkOpen();
  return placeOf(watcher.room).isListed
    ? judgeListed(watcher.sights, watcher.users, mine, since)
    : judgeCounted(watcher.sights, mine, since);
}

/** What is wrong with the pages of all rooms, at both nodes. */
async function judgePages({ nodes, expected }: Scene, pageSize: number): Promise<string[]> {
  const wrong: string[] = [];
  for (const node of nodes.slice(1)) {
    for (const [room, { staying, coming }] of expected) {
      const { users, counts } = await pagesOf(node.url, room, pageSize);
      const there = [...staying, ...coming].sort();
      if (users.join() !== there.join())
        wrong.push(`${room}: ${users.length} users in the pages, ${there.length} are there`);
      if ([...counts].join() !== String(there.length)) wrong.push(`${room}: counts ${[...counts].join()}`);
    }
  }
  return wrong;
}

function judgeClients({ expected }: Scene, told: readonly Told[]): string[] {
  return told.flatMap(({ members }) =>
    members.flatMap((one) => judgeTold(one, expected.get(one.room) as Expected, placeOf(one.room).isListed)),
  );
}

type Outcome = {
  readonly judged: readonly Judged[];
  readonly coldWrong: readonly string[];
  readonly coldLate: readonly Judged[];
  readonly pages: readonly string[];
  readonly clients: readonly string[];
  readonly back: number;
  readonly away: number;
  /** How many were on the node that is killed. */
  readonly members: number;
};

function verdictsOf(outcome: Outcome): Verdict[] {
  const { judged, coldLate, coldWrong, pages, clients, back, away, members } = outcome;
  const ghosts = (all: readonly Judged[]) => all.reduce((sum, one) => sum + one.ghosts, 0);
  const flaps = judged.flatMap((one) => one.flaps);
  const leftMs = judged.flatMap((one) => one.leftMs);
  return [
    atLeast("members on the node that is killed", back + away, members),
    atLeast("of them, who came back elsewhere", back, members - away),
    atLeast("times that a watcher was told that one of them is gone", leftMs.length),
    counted("ghosts, over all watchers", ghosts(judged)),
    counted("`left` or `entered` of who stayed, and counts that rose or fell too far, over all watchers", flaps.length),
    counted("wrong in what late watchers were told as they came", coldWrong.length),
    counted("ghosts that late watchers see in the end", ghosts(coldLate)),
    counted("flaps that late watchers saw", coldLate.flatMap((one) => one.flaps).length),
    counted("wrong in the pages by HTTP", pages.length),
    counted("wrong in what the SDK has told those who came back", clients.length),
    within("last told that one of them is gone, after the kill", Math.max(0, ...leftMs), LIMIT_MS),
    within("the same, late watchers", Math.max(0, ...coldLate.flatMap((one) => one.leftMs)), LIMIT_MS),
  ];
}

export const row20: Row = {
  number: 20,
  title: "presence after `kill -9` of a node with 1,000 members",
  passesWhen: "0 ghosts after 15 s; no flap for those who resumed",
  variants: ["redis", "nats"],
  async run(torture, size, variant) {
    const { maxListed, pageSize, ...roomSizes } = sizes[size];
    const engine = await startEngine(torture, variant);
    const settings = { ...engine.settings, ...withMembers({}, { crowd: { presence: { maxListed } } }) };
    const nodes = (await torture.startNodes(3, settings)) as [NodeProcess, NodeProcess, NodeProcess];
    const scene = await enterAll(torture, nodes, roomSizes);
    const killedAt = await kill(scene);
    await pause(killedAt + LATE_MS - Date.now());
    const { late, wrong } = await enterLate(torture, scene);
    const all = [...scene.watchers, ...late];
    const ghostsLeft = () => all.reduce((sum, one) => sum + judge(one, scene, killedAt, late.includes(one)).ghosts, 0);
    await torture.until(() => {
      torture.say(`${ghostsLeft()} ghosts are left`);
      return ghostsLeft() === 0;
    }, PATIENCE_MS);
    await pause(Math.max(0, killedAt + LAST_MS - Date.now()));
    const told = await Promise.all([scene.warm, scene.cold].map((crowd) => crowd.collect()));
    const left = [...scene.expected.values()].reduce((sum, { leaving }) => sum + leaving.size, 0);
    const outcome: Outcome = {
      judged: scene.watchers.map((one) => judge(one, scene, killedAt, false)),
      coldLate: late.map((one) => judge(one, scene, killedAt, true)),
      ...{ coldWrong: wrong, pages: await judgePages(scene, pageSize), clients: judgeClients(scene, told) },
      back: told.reduce((sum, { gapsMs }) => sum + gapsMs.length, 0),
      ...{
        away: left,
        members: places.reduce((sum, { isListed }) => sum + roomSizes[isListed ? "listed" : "counted"], 0),
      },
    };
    return resultOf(outcome, scene, told, variant);
  },
};

function resultOf(outcome: Outcome, scene: Scene, told: readonly Told[], variant: string) {
  const { judged, coldLate, coldWrong, pages, clients, back, away } = outcome;
  const examples = [judged, coldLate].flatMap((all) => all.flatMap(({ flaps }) => flaps.slice(0, 5)));
  const frames = scene.watchers.map((watcher) => watcher.frames);
  return {
    asked: `3 nodes on ${variant}, ${back + away} members of ${places.length} rooms on the one that is killed, ${back} of them back at once on another; ${scene.watchers.length} watchers on the others, late ones ${LATE_MS / 1000} s after the kill`,
    findings: {
      ...check({ published: [], logs: [] }),
      examples: [...examples, ...coldWrong, ...pages, ...clients].slice(0, 20),
    },
    figures: {
      "told that one of them is gone, after the kill": spreadText(spread(judged.flatMap((one) => one.leftMs))),
      "the same, late watchers": spreadText(spread(coldLate.flatMap((one) => one.leftMs))),
      "back in the room, those who came back": spreadText(spread(told.flatMap(({ gapsMs }) => gapsMs))),
      "`presence` frames to a watcher": `${Math.min(...frames)} to ${Math.max(...frames)}`,
      errors: told.flatMap(({ errors }) => errors).join("; ") || "none",
    },
    verdicts: verdictsOf(outcome),
  };
}
