/** Who is in a room, a page at a time. */
import { describe, MAX_USER_LENGTH } from "../../protocol/fields.js";
import type { Member } from "../../protocol/frames.js";
import { Refusal } from "../hooks/hooks.js";
import { fullName } from "../room/names.js";
import type { MembersList } from "./presence.js";
import { authorized, type Done, mayBeAsked, noMembers, optional, type Received } from "./request.js";
import type { Session } from "./session.js";

/** How many users a page has where it is not said, and at the most. */
const MEMBERS_LIMIT = { usual: 100, most: 1000 } as const;

export function members(session: Session, frame: Received<"members">): Done {
  const { room, after = "" } = frame;
  mayBeAsked(room);
  if (after.length > MAX_USER_LENGTH) {
    throw new Refusal("bad_request", `after: expected at most ${MAX_USER_LENGTH} characters, got ${describe(after)}`);
  }
  if (session.context.rooms.rulesFor(room).presence.of === "nobody") throw noMembers(room);
  return authorized(session, "members", room, undefined, () => oneByOne(session, () => readMembers(session, frame)));
}

/** By session: its last page on the way. */
const pages = new WeakMap<Session, Promise<void>>();

/** A page of a large room costs: who asks for many at once has them one after the other, and others have theirs between. */
function oneByOne(session: Session, read: () => Promise<void>): Promise<void> {
  const done = pages.get(session)?.then(read) ?? read();
  const settled = done
    .catch(() => undefined)
    .finally(() => {
      if (pages.get(session) === settled) pages.delete(session);
    });
  pages.set(session, settled);
  return done;
}

async function readMembers(session: Session, frame: Received<"members">): Promise<void> {
  const { rooms, presences, slices } = session.context;
  // Several answers at once are more than a connection should hold; each waits until the one before it is read.
  for (let waiting = session.hasRead(); waiting !== undefined; waiting = session.hasRead()) await waiting;
  if (session.state !== "open") return;
  const limit = Math.max(1, Math.min(frame.limit ?? MEMBERS_LIMIT.usual, MEMBERS_LIMIT.most));
  const room = fullName(session.access.tenant, frame.room);
  const list = await presences.page(room, rooms.rulesFor(room), { after: frame.after, limit });
  const waiting = slices.turn(session);
  if (waiting !== undefined) await waiting;
  const { members, count, anonymous, next } = fitting(list, session.pageBytes);
  const users = members.map(({ user, info }): Member => ({ user, ...optional("info", info) }));
  session.send({ type: "members", id: frame.id, members: users, count, ...optional("next", next), anonymous });
}

/** As many of them as fit, one at least: what the application says of users may be long. */
export function fitting(list: MembersList, maxBytes: number): MembersList {
  let bytes = 0;
  for (const [index, member] of list.members.entries()) {
    bytes += Buffer.byteLength(JSON.stringify(member));
    const last = list.members[index - 1];
    if (bytes > maxBytes && last !== undefined) {
      return { ...list, members: list.members.slice(0, index), next: last.user };
    }
  }
  return list;
}
