/** Into a room, from a position on, and out of it. */
import type { EventsHead } from "../../protocol/codec.js";
import type { RoomEvent } from "../../protocol/event.js";
import { kindOf } from "../../protocol/names.js";
import { fullRetryMs } from "../access/limits/bucket.js";
import type { RoomToken } from "../access/tokens/tokens.js";
import { Refusal, whenAnswered } from "../hooks/hooks.js";
import { fullName } from "../room/names.js";
import { type Cut, type Joiner, stitch } from "../room/stitch.js";
import { Attendance } from "./attendance.js";
import { authorized, type Done, forbidden, mayBeAsked, noMembers, optional, type Received } from "./request.js";
import type { Membership, Session } from "./session.js";

const leftMeanwhile = () => new Refusal("not_joined", "room: left before the join was answered");

export function join(session: Session, frame: Received<"join">): Done {
  mayBeAsked(frame.room);
  const { rooms, limits } = session.context;
  if (frame.presence === true && rooms.rulesFor(frame.room).presence.of === "nobody") throw noMembers(frame.room);
  const already = session.rooms.get(frame.room);
  if (already?.state === "joining" || session.opening.has(frame.room)) {
    throw new Refusal("bad_request", "room: expected one that is not being joined already");
  }
  if (already === undefined && session.rooms.size + session.opening.size >= limits.maxRooms) {
    throw session.limited("maxRooms", "too_many", `room: expected at most ${limits.maxRooms} rooms in one session`);
  }
  session.opening.set(frame.room, frame);
  const forget = (): void => {
    if (session.opening.get(frame.room) === frame) session.opening.delete(frame.room);
    if (!session.rooms.has(frame.room) && !session.opening.has(frame.room)) session.grants?.delete(frame.room);
  };
  try {
    const joining = allowed(session, frame, () => {
      if (frame.presence !== true) return hold(session, frame);
      // To be told who is there is asked for beside the join.
      return authorized(session, "members", frame.room, frame.token, () => hold(session, frame));
    });
    return joining?.finally(forget);
  } catch (error) {
    forget();
    throw error;
  }
}

function hold(session: Session, frame: Received<"join">): Done {
  const { rooms } = session.context;
  const name = fullName(session.access.tenant, frame.room);
  const open = rooms.find(name);
  if (open === undefined) return rooms.hold(name).then((room) => inTurn(session, frame, room));
  rooms.take(open);
  return inTurn(session, frame, open);
}

/** Asks whether the session may, with the room token that came with the join where there is one. */
function allowed(session: Session, frame: Received<"join">, next: () => Done): Done {
  const { identities } = session.context;
  if (frame.token === undefined || identities.room === undefined) {
    return authorized(session, "join", frame.room, frame.token, next);
  }
  return whenAnswered(identities.room(frame.token), (token) => {
    if (session.state !== "open") return;
    checkToken(session, frame.room, token);
    session.grants ??= new Map();
    session.grants.set(frame.room, token);
    session.registry.timed(session);
    return authorized(session, "join", frame.room, undefined, next);
  });
}

/** A room token is for one room, of one tenant, and may be for one user. */
function checkToken({ access, context }: Session, room: string, token: RoomToken): void {
  const refuse = (expected: string): never => {
    throw new Refusal("forbidden", `token: expected one ${expected}`);
  };
  if (token.room !== room || token.tenant !== access.tenant) refuse(`for the room "${room}"`);
  if (token.user !== undefined && token.user !== access.user) refuse("for the same user as the session's");
  const { tokenId, issuedAt } = token;
  const reason = context.permissions.whyRevoked({ user: access.user, tenant: access.tenant, tokenId, issuedAt });
  if (reason !== undefined) throw new Refusal("forbidden", `token: ${reason}`);
}

/** The room is held: opened by the first of many, it is entered by all of them at once, unless they take turns. */
function inTurn(session: Session, frame: Received<"join">, room: Membership["room"]): Done {
  const waiting = session.context.slices.turn(session);
  return waiting === undefined ? enter(session, frame, room) : waiting.then(() => enter(session, frame, room));
}

/** The room is held; the session may have gone, or have asked to leave, while the application or the engine was asked. */
function enter(session: Session, frame: Received<"join">, room: Membership["room"]): Done {
  const wanted = session.opening.get(room.shown) === frame;
  if (session.state !== "open" || !wanted) {
    session.context.rooms.release(room);
    if (session.state !== "open") return;
    throw leftMeanwhile();
  }
  session.opening.delete(room.shown);
  // It may have been taken back while the engine or the application was asked.
  const verdict = session.may("join", room.shown);
  if (verdict === "no") {
    session.context.rooms.release(room);
    throw forbidden("join", room.shown);
  }
  const before = session.rooms.get(room.shown);
  if (before === undefined) checkMembers(session, room);
  const attendance = attend(session, frame, room);
  // A client that has noticed a hole joins again, from where it is: out of the room first, so that the cut is exact.
  if (before !== undefined) session.exit(before);
  if (before?.attendance !== undefined) {
    if (attendance === undefined) before.attendance.end(session.link, "leaves");
    else attendance.goOn(before.attendance, session.link);
  }
  const part = { room, state: "joining", byHook: verdict === "open" } as const;
  const membership: Membership = attendance === undefined ? part : { ...part, attendance };
  session.rooms.set(room.shown, membership);
  const joining = new Joining(session, frame.id, membership);
  return bring(room, frame.since, joining, attendance?.ready())?.then(
    () => {
      if (membership.state === "joining" && session.state === "open") throw leftMeanwhile();
    },
    (error: unknown) => {
      if (!joining.gone) session.leave(room.shown, "is lost");
      throw error;
    },
  );
}

/** What part the session has in who is in the room; most have none. Lets go of the room where it may have none. */
function attend(session: Session, frame: Received<"join">, room: Membership["room"]): Attendance | undefined {
  const isTold = frame.presence === true;
  if (!isTold && room.rules.presence.of !== "everyone") return undefined;
  const verdict = isTold ? session.may("members", room.shown) : "yes";
  if (verdict === "no") {
    session.context.rooms.release(room);
    throw forbidden("members", room.shown);
  }
  try {
    return new Attendance(session.context.presences, room, { isTold, byHook: verdict === "open" });
  } catch (error) {
    session.context.rooms.release(room);
    throw error;
  }
}

/** Brings the joiner up to the room; where it is to be told who is there, once that is known. */
function bring(
  room: Membership["room"],
  since: Received<"join">["since"],
  joining: Joining,
  known: Promise<void> | undefined,
): Promise<void> | undefined {
  if (known === undefined) return stitch(room, since, joining);
  return known.then(async () => {
    // Many may have waited for the same.
    await joining.ready();
    if (!joining.gone) await stitch(room, since, joining);
  });
}

/** Refuses one more in a room that is full, on all nodes; and lets go of it. */
function checkMembers(session: Session, room: Membership["room"]): void {
  const { permissions, usage } = session.context;
  const { maxMembers } = permissions.rules.of(kindOf(room.shown));
  if (usage.members.fits(room.name, room.holds, maxMembers, session.context.now())) return;
  session.context.rooms.release(room);
  const retryMs = fullRetryMs();
  throw session.limited("maxMembers", "too_many", `maxMembers: expected at most ${maxMembers} in the room`, retryMs);
}

/** A join on its way to the cut. */
class Joining implements Joiner {
  readonly #session: Session;
  readonly #id: number;
  readonly #membership: Membership;

  constructor(session: Session, id: number, membership: Membership) {
    this.#session = session;
    this.#id = id;
    this.#membership = membership;
  }

  get gone(): boolean {
    return this.#session.rooms.get(this.#membership.room.shown) !== this.#membership;
  }

  get pageBytes(): number {
    return this.#session.pageBytes;
  }

  ready(): Promise<void> | undefined {
    return this.#session.hasRead() ?? this.#session.context.slices.turn(this.#session);
  }

  page(events: readonly RoomEvent[], previous: number): void {
    const { shown: room, position } = this.#membership.room;
    this.#session.sendEvents({ type: "events", room, previous, epoch: position?.epoch }, events);
  }

  cut({ position, recovered, events }: Cut): void {
    const session = this.#session;
    const { room, attendance } = this.#membership;
    const { user, info } = session.access;
    const view = attendance?.enter({ session: session.id, user, info });
    const head: EventsHead = {
      ...{ type: "joined", id: this.#id, room: room.shown, recovered },
      ...optional("position", position),
      ...optional("members", view?.members),
    };
    session.sendEvents(head, events);
    const counted = attendance?.afterJoined(room.shown, view);
    if (counted !== undefined) session.send(counted);
    session.enter(this.#membership);
  }
}

export function leave(session: Session, frame: Received<"leave">): void {
  const opening = session.opening.delete(frame.room);
  session.grants?.delete(frame.room);
  if (!session.leave(frame.room) && !opening)
    throw new Refusal("not_joined", "room: expected one that you have joined");
  session.send({ type: "left", id: frame.id });
}
