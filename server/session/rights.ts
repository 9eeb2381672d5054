/** What a session may after it was let in: its token may allow less, or end; something may be taken back. */
import { closeCodes } from "../../protocol/codes.js";
import { type Hooks, inTime } from "../hooks/hooks.js";
import type { Membership, Session } from "./session.js";

/**
 * Takes the session out of the rooms it may no longer be in, since its token allows less, or something was taken back.
 * What the application has allowed stays so; what it was not asked about before, since it need not be, it is now.
 */
export function checkRooms(session: Session): void {
  for (const [name, membership] of [...session.rooms]) {
    const verdict = session.may("join", name);
    if (verdict === "yes" || (verdict === "open" && membership.byHook)) continue;
    const ask = verdict === "open" ? session.context.hooks.authorize : undefined;
    if (ask === undefined) session.removeFrom(name, "forbidden");
    else void askAgain(session, name, membership, ask);
  }
}

async function askAgain(
  session: Session,
  name: string,
  membership: Membership,
  ask: NonNullable<Hooks["authorize"]>,
): Promise<void> {
  let may: unknown = false;
  try {
    may = await inTime(ask({ ...session.asker, action: "join", room: name }));
  } catch (error) {
    session.context.log.error("the application did not say whether a session may stay in a room", {
      session: session.id,
      error: String(error),
    });
  }
  if (may !== true && session.rooms.get(name) === membership) session.removeFrom(name, "forbidden");
}

/** Holds the session to what was taken back: it ends, or leaves the rooms it may not be in any more; whether it had to. */
export function checkRevoked(session: Session): boolean {
  const { permissions } = session.context;
  const reason = permissions.whyRevoked(session.access);
  if (reason !== undefined) {
    session.close(closeCodes.unauthorized, reason);
    return true;
  }
  const lost = permissions.lost(roomNames(session), session.access);
  for (const name of lost) session.removeFrom(name, "forbidden");
  const revoked = [...(session.grants?.values() ?? [])].some((grant) => !permissions.honours(grant, session.access));
  if (revoked) checkRooms(session);
  return lost.length > 0 || revoked;
}

function* roomNames({ rooms, opening }: Session): Generator<string> {
  for (const [name] of rooms) yield name;
  for (const [name] of opening) yield name;
}

/** Room tokens that are past their end, in Unix milliseconds: the client is taken out, and may come back with another. */
export function endGrants(session: Session, now: number): void {
  for (const [name, { expiresAt }] of session.grants ?? []) {
    if (expiresAt > now) continue;
    session.grants?.delete(name);
    const byHook = session.rooms.get(name)?.byHook === true;
    if (session.may("join", name) !== "yes" && !byHook) session.removeFrom(name, "expired");
  }
}
