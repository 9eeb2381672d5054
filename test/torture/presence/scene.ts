/** Row 20: who is in which room, on which node, and what becomes of them. */
import type { Crowd } from "../crowd.js";
import type { NodeProcess } from "../node-process.js";
import type { Torture } from "../torture.js";
import type { Expected } from "./judge.js";
import { Watcher } from "./watcher.js";

/** The share of them that comes back at once. */
const STAYING = 0.6;
/** How long it is waited until all know of each other, in milliseconds. */
const PATIENCE_MS = 60_000;

/** `isCold`: nobody is in it on the third node before the late watcher. */
type Place = { readonly room: string; readonly isListed: boolean; readonly isCold: boolean };

export const places: readonly Place[] = [
  ...["room:1", "room:2", "room:3"].map((room) => ({ room, isListed: true, isCold: false })),
  { room: "room:4", isListed: true, isCold: true },
  { room: "crowd:1", isListed: false, isCold: false },
  { room: "crowd:2", isListed: false, isCold: true },
];

/** How many members of a room are on the node that is killed. */
export type RoomSizes = { readonly listed: number; readonly counted: number };

export type Scene = {
  readonly nodes: readonly [NodeProcess, NodeProcess, NodeProcess];
  /** Whose node is killed: those who come back to the other two, those who come back to the second, and those who do not. */
  readonly warm: Crowd;
  readonly cold: Crowd;
  readonly leaving: Crowd;
  readonly watchers: readonly Watcher[];
  readonly expected: ReadonlyMap<string, Expected>;
};

export const placeOf = (name: string): Place => places.find(({ room }) => room === name) as Place;
const lateName = (room: string): string => `late in ${room}`;

/** Everybody enters: the watchers on the nodes that stay, the others on the one that is killed. */
export async function enterAll(torture: Torture, nodes: Scene["nodes"], size: RoomSizes): Promise<Scene> {
  const [killed, second, third] = nodes;
  const start = (): Promise<Crowd> => torture.startCrowd([killed]);
  const [warm, cold, leaving] = await Promise.all([start(), start(), start()]);
  const watchers: Watcher[] = [];
  for (const { room, isListed, isCold } of places) {
    for (const [name, node] of [["second", second] as const, ...(isCold ? [] : [["third", third] as const])]) {
      watchers.push(await Watcher.enter(torture, { url: node.url, room, user: `${name} in ${room}` }));
    }
    const all = isListed ? size.listed : size.counted;
    const stay = Math.round(STAYING * all);
    await (isCold ? cold : warm).subscribe({ count: stay, rooms: [room], presence: true });
    await leaving.subscribe({ count: all - stay, rooms: [room], presence: true });
  }
  const [staying, others, away] = await Promise.all([warm.collect(), cold.collect(), leaving.collect()]);
  const expected = expectedOf([...staying.members, ...others.members, ...watchers], away.members);
  const scene = { nodes, warm, cold, leaving, watchers, expected };
  await knowAll(torture, scene);
  return scene;
}

type InRoom = { readonly user: string; readonly room: string };

function expectedOf(staying: readonly InRoom[], leaving: readonly InRoom[]): Scene["expected"] {
  const of = (all: readonly InRoom[], room: string) =>
    new Set(all.filter((one) => one.room === room).map(({ user }) => user));
  return new Map(
    places.map(({ room, isCold }) => {
      const coming = new Set(isCold ? [lateName(room)] : []);
      return [room, { staying: of(staying, room), leaving: of(leaving, room), coming }] as const;
    }),
  );
}

/** Waits until each watcher, and each client, knows of everybody; what comes from then on is what is judged. */
async function knowAll(torture: Torture, { warm, cold, leaving, watchers, expected }: Scene): Promise<void> {
  const crowds = [warm, cold, leaving];
  const sizes = new Map([...expected].map(([room, one]) => [room, one.staying.size + one.leaving.size]));
  const sizeOf = (room: string): number => sizes.get(room) ?? 0;
  // What all of the members know, but for the watchers, who are looked at one by one.
  const all = [...sizes.values()].reduce((sum, size) => sum + size ** 2, 0);
  const most = watchers.reduce((sum, { room }) => sum - sizeOf(room), all);
  let seen = 0;
  const isKnown = await torture.until(async () => {
    const progress = await Promise.all(crowds.map((crowd) => crowd.progress()));
    seen = progress.reduce((sum, { members }) => sum + members, 0);
    torture.say(`entering: ${seen} of ${most} known to clients`);
    return seen === most && watchers.every(({ room, count }) => count === sizeOf(room));
  }, PATIENCE_MS);
  if (!isKnown) {
    const counts = watchers.map(({ user, room, count }) => `${user}: ${count} of ${sizeOf(room)}`);
    throw new Error(`expected everybody to know of everybody, got ${seen} of ${most}; ${counts.join(", ")}`);
  }
  for (const watcher of watchers) watcher.mark();
  await Promise.all(crowds.map((crowd) => crowd.mark()));
}

/** Kills the first node; who stays comes back elsewhere. Resolves with when that was. */
export async function kill({ nodes, warm, cold, leaving }: Scene): Promise<number> {
  const [first, second, third] = nodes;
  await leaving.route(["http://127.0.0.1:1"]);
  await warm.route([second.url, third.url]);
  await cold.route([second.url]);
  const killedAt = Date.now();
  await first.kill();
  await leaving.end();
  return killedAt;
}

/** A watcher of each cold room, and what was wrong with what it was told as it came. */
export async function enterLate(
  torture: Torture,
  scene: Scene,
): Promise<{ late: readonly Watcher[]; wrong: string[] }> {
  const { nodes, expected } = scene;
  const wrong: string[] = [];
  const late: Watcher[] = [];
  for (const { room } of places.filter(({ isCold }) => isCold)) {
    const watcher = await Watcher.enter(torture, { url: nodes[2].url, room, user: lateName(room) });
    wrong.push(...wrongAtFirst(watcher, expected.get(room) as Expected));
    // It knows itself; what it is told from now on is judged.
    watcher.mark();
    late.push(watcher);
  }
  return { late, wrong };
}

/** Whoever stayed has to be there, and who went away may be. */
function wrongAtFirst({ room, users, count }: Watcher, { staying, leaving, coming }: Expected): string[] {
  const there = [...staying, ...coming];
  if ((users !== undefined) !== placeOf(room).isListed) return [`${room}: listed, or counted, and should not be`];
  if (users === undefined) {
    const isRight = count >= there.length && count <= there.length + leaving.size;
    return isRight ? [] : [`${room}: ${count} counted, ${there.length} are there`];
  }
  const missing = there.filter((user) => !users.has(user));
  const strangers = [...users].filter((user) => !there.includes(user) && !leaving.has(user));
  return [...missing.map((user) => `${room}: without ${user}`), ...strangers.map((user) => `${room}: ${user}`)];
}
