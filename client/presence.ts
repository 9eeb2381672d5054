/** How the list of a room's members changes. Loaded only where it is asked for: it imports nothing of the client's code. */
import type { Member, ServerFrame } from "../protocol/frames.js";
import type { Listeners, Report } from "./listeners.js";
import type { LiveMembers, Members } from "./members.js";

/** What the server says of the members; nothing, when the room is left or lost for good. */
export type Said = ServerFrame<"joined" | "presence">;

/** How long what comes right behind `joined` may take, in milliseconds. */
const BEHIND_MS = 1000;

const NOBODY: Change = { entered: [], left: [], count: undefined, countOnly: true };

/** Changes the list, and then tells it: first who left, then who entered, then that it changed. */
export function keep(members: LiveMembers, report: Report): (said?: Said) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (said) => {
    clearTimeout(timer);
    if (said?.type !== "joined") take(members, said ?? NOBODY, report);
    else if (said.members) {
      const { length } = said.members;
      // Sessions without a user are counted in a frame right behind it. Until then there are as many as there were.
      const others = members.isListed ? (members.count ?? 0) - members.size : 0;
      take(members, { entered: said.members, left: [], count: length + others, all: true }, report);
      const noOthers = () => take(members, { entered: [], left: [], count: length }, report);
      if (others > 0) timer = setTimeout(noOthers, BEHIND_MS);
    }
  };
}

type Change = Pick<ServerFrame<"presence">, "entered" | "left" | "all" | "countOnly"> & {
  readonly count: number | undefined;
};

/**
 * Where it was not known who is there, those who are there now are no news; nor are those whom a list names that were there
 * already.
 */
function take(members: LiveMembers, { entered, left, count, all, countOnly }: Change, report: Report): void {
  const wasListed = members.isListed;
  const isListed = !!all || (wasListed && !countOnly);
  const now = new Map(isListed ? entered.map((member) => [member.user, member]) : []);
  const news: [Listeners<Member>, Member][] = [];
  let isChanged = count !== members.count || isListed !== wasListed;
  members.count = count;
  members.isListed = isListed;
  for (const { user } of all || !isListed ? [...members] : left) {
    const member = members.get(user);
    if (!member || now.has(user)) continue;
    members.delete(user);
    news.push([members.left, member]);
  }
  for (const [user, member] of now) {
    const old = members.get(user);
    if (!old) news.push([members.entered, member]);
    else if (JSON.stringify(old.info) === JSON.stringify(member.info)) continue;
    isChanged = true;
    members.set(user, member);
  }
  if (!isChanged && news.length === 0) return;
  const view = { members: [...members], count, isListed };
  members.view = view;
  const tell = <T>(listeners: Listeners<T>, value: T): void => {
    // A listener may leave the room: then it has told of that already.
    if (members.view === view) listeners.emit(value, report);
  };
  if (wasListed && isListed) for (const [listeners, member] of news) tell(listeners, member);
  tell<Members>(members.told, members);
}
