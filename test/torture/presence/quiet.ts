/** Rows in which everybody stays: who knows of whom, and that nobody is told of anybody who came or went. */
import type { Crowd, Told } from "../crowd.js";
import { atLeast, counted, type Verdict } from "../row.js";
import type { Torture } from "../torture.js";

const PATIENCE_MS = 60_000;

/**
 * Waits until every one of so many clients knows of all who are in its rooms, which are equally full; what is told from then
 * on is judged. Resolves with how many know of how many.
 */
export async function allKnown(torture: Torture, crowd: Crowd, seats: number, rooms: number): Promise<void> {
  const most = (seats * seats) / rooms;
  let members = 0;
  const isKnown = await torture.until(async () => {
    members = (await crowd.progress()).members;
    torture.say(`${members} of ${most} members are known`);
    return members === most;
  }, PATIENCE_MS);
  if (!isKnown) throw new Error(`expected ${most} members to be known, got ${members}`);
  await crowd.mark();
}

/** Nobody has been told of anybody who came or went, on the wire or by the SDK, and no count has moved. */
export function quietVerdicts({ members, memberFrames }: Told, seats: number, rooms: number): Verdict[] {
  const each = seats / rooms;
  const sum = (count: (one: Told["members"][number]) => number) => members.reduce((all, one) => all + count(one), 0);
  return [
    atLeast("rooms whose members a client was told of", members.length, seats),
    counted(
      "members that the SDK has told to have entered",
      sum(({ entered }) => entered.length),
    ),
    counted(
      "members that the SDK has told to have left",
      sum(({ left }) => left.length),
    ),
    counted("frames that told of somebody who came or went", memberFrames),
    counted(
      "rooms in which the count was ever another",
      sum((one) => (one.least === each && one.most === each ? 0 : 1)),
    ),
    counted(
      "rooms in which not all are listed afterwards",
      sum(({ listed }) => (listed === each ? 0 : 1)),
    ),
  ];
}
