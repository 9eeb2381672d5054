/** What a room's log holds, a page at a time. */
import { Refusal } from "../hooks/hooks.js";
import { fullName } from "../room/names.js";
import { HISTORY_LIMIT, pageOf } from "../room/pages.js";
import { authorized, type Done, mayBeAsked, type Received } from "./request.js";
import type { Session } from "./session.js";

export function history(session: Session, frame: Received<"history">): Done {
  mayBeAsked(frame.room);
  if (frame.since !== undefined && frame.before !== undefined) {
    throw new Refusal("bad_request", "before: expected either since or before, got both");
  }
  return authorized(session, "history", frame.room, undefined, () => readHistory(session, frame));
}

async function readHistory(session: Session, frame: Received<"history">): Promise<void> {
  const { rooms } = session.context;
  const room = fullName(session.access.tenant, frame.room);
  const rules = rooms.rulesFor(room);
  if (rules.history.size === 0) {
    session.sendEvents({ type: "history", id: frame.id, more: false }, []);
    return;
  }
  // Several answers at once are more than a connection should hold; each waits until the one before it is read.
  for (let waiting = session.hasRead(); waiting !== undefined; waiting = session.hasRead()) await waiting;
  const limit = Math.min(frame.limit ?? HISTORY_LIMIT.usual, HISTORY_LIMIT.most);
  const read = await rooms.reads.read(room, { since: frame.since, before: frame.before }, limit, rules);
  if (read.events === undefined) {
    throw new Refusal(
      "bad_request",
      `since: expected a position that the log still reaches back to; it is at ${JSON.stringify(read.position)}`,
    );
  }
  const waiting = session.context.slices.turn(session);
  if (waiting !== undefined) await waiting;
  const events = pageOf(read.events, frame.since !== undefined, session.pageBytes);
  const more = read.more || events.length < read.events.length;
  session.sendEvents({ type: "history", id: frame.id, position: read.position, more }, events);
}
