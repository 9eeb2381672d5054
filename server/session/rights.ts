/** What a session may after it was let in: its token may allow less, or end; something may be taken back. */
import { closeCodes } from "../../protocol/codes.js";
import type { RoomAction } from "../access/actions.js";
import { type Hooks, inTime } from "../hooks/hooks.js";
import type { Membership, Session } from "./session.js";

/** What it takes to be in the room as the session is: with each, whether the application has allowed it. */
function* needs({ byHook, attendance }: Membership): Generator<readonly [action: RoomAction, byHook: boolean]> {
  yield ["join", byHook];
  if (attendance?.isTold === true) yield ["members", attendance.byHook];
}

/**
 * Takes the session out of the rooms it may no longer be in, since its token allows less, or something was taken back.
 * What the application has allowed stays so; what it was not asked about before, since it need not be, it is now.
 */
export function checkRooms(session: Session): void {
  const ask = session.context.hooks.authorize;
  for (const [name, membership] of [...session.rooms]) {
    const open: RoomAction[] = [];
    let lost = false;
    for (const [action, byHook] of needs(membership)) {
      const verdict = session.may(action, name);
      if (verdict === "yes" || (verdict === "open" && byHook)) continue;
      if (verdict === "open") open.push(action);
      else lost = true;
    }
    if (lost || (open.length > 0 && ask === undefined)) session.removeFrom(name, "forbidden");
    else if (open.length > 0 && ask !== undefined) void askAgain(session, name, membership, open, ask);
  }
}

async function askAgain(
  session: Session,
  name: string,
  membership: Membership,
  actions: readonly RoomAction[],
  ask: NonNullable<Hooks["authorize"]>,
): Promise<void> {
  let may = true;
  try {
    for (const action of actions) {
      may &&= (await inTime(ask({ ...session.asker, action, room: name }))) === true;
    }
  } catch (error) {
    may = false;
    session.context.log.error("the application did not say whether a session may stay in a room", {
      session: session.id,
      error: String(error),
    });
  }
  if (!may && session.rooms.get(name) === membership) session.removeFrom(name, "forbidden");
}

/** Holds the session to what was taken back: it ends, or leaves the rooms it may not be in any more; whether it had to. */
export function checkRevoked(session: Session): boolean {
  const { permissions } = session.context;
  const reason = permissions.whyRevoked(session.access);
  if (reason !== undefined) {
    session.close(closeCodes.unauthorized, reason);
    return true;
  }
  const lost = [
    ...permissions.lost("join", roomNames(session), session.access),
    ...permissions.lost("members", namesOfTold(session), session.access),
  ];
  for (const name of lost) session.removeFrom(name, "forbidden");
  const revoked = [...(session.grants?.values() ?? [])].some((grant) => !permissions.honours(grant, session.access));
  if (revoked) checkRooms(session);
  return lost.length > 0 || revoked;
}

function* roomNames({ rooms, opening }: Session): Generator<string> {
  for (const [name] of rooms) yield name;
  for (const [name] of opening) yield name;
}

/** The rooms whose members it is told of. */
function* namesOfTold({ rooms }: Session): Generator<string> {
  for (const [name, { attendance }] of rooms) if (attendance?.isTold === true) yield name;
}

/** Room tokens that are past their end, in Unix milliseconds: the client is taken out, and may come back with another. */
export function endGrants(session: Session, now: number): void {
  for (const [name, { expiresAt }] of session.grants ?? []) {
    if (expiresAt > now) continue;
    session.grants?.delete(name);
    const membership = session.rooms.get(name);
    const asked = membership === undefined ? ([["join", false]] as const) : needs(membership);
    for (const [action, byHook] of asked) {
      if (session.may(action, name) !== "yes" && !byHook) session.removeFrom(name, "expired");
    }
  }
}
