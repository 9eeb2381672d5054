/** Into a room, from a position on, and out of it. */
import type { RoomEvent } from "../../protocol/event.js";
import { Refusal } from "../hooks/hooks.js";
import { type Cut, type Joiner, stitch } from "../room/stitch.js";
import { authorized, type Done, mayBeAsked, type Received } from "./request.js";
import type { Membership, Session } from "./session.js";

const leftMeanwhile = () => new Refusal("not_joined", "room: left before the join was answered");

export function join(session: Session, frame: Received<"join">): Done {
  mayBeAsked(frame.room);
  const { rooms, limits } = session.context;
  const already = session.rooms.get(frame.room);
  if (already?.state === "joining" || session.opening.has(frame.room)) {
    throw new Refusal("bad_request", "room: expected one that is not being joined already");
  }
  if (already === undefined && session.rooms.size + session.opening.size >= limits.maxRooms) {
    throw new Refusal("too_many", `room: expected at most ${limits.maxRooms} rooms in one session`);
  }
  session.opening.set(frame.room, frame);
  const forget = (): void => {
    if (session.opening.get(frame.room) === frame) session.opening.delete(frame.room);
  };
  try {
    const joining = authorized(session, "join", frame.room, frame.token, () => {
      const open = rooms.find(frame.room);
      if (open === undefined) return rooms.hold(frame.room).then((room) => inTurn(session, frame, room));
      rooms.take(open);
      return inTurn(session, frame, open);
    });
    return joining?.finally(forget);
  } catch (error) {
    forget();
    throw error;
  }
}

/** The room is held: opened by the first of many, it is entered by all of them at once, unless they take turns. */
function inTurn(session: Session, frame: Received<"join">, room: Membership["room"]): Done {
  const waiting = session.context.slices.turn(session);
  return waiting === undefined ? enter(session, frame, room) : waiting.then(() => enter(session, frame, room));
}

/** The room is held; the session may have gone, or have asked to leave, while the application or the engine was asked. */
function enter(session: Session, frame: Received<"join">, room: Membership["room"]): Done {
  const wanted = session.opening.get(room.name) === frame;
  if (session.state !== "open" || !wanted) {
    session.context.rooms.release(room);
    if (session.state !== "open") return;
    throw leftMeanwhile();
  }
  session.opening.delete(room.name);
  // A client that has noticed a hole joins again, from where it is: out of the room first, so that the cut is exact.
  session.leave(room.name);
  const membership: Membership = { room, state: "joining" };
  session.rooms.set(room.name, membership);
  const joining = new Joining(session, frame.id, membership);
  return stitch(room, frame.since, joining)?.then(
    () => {
      if (membership.state === "joining" && session.state === "open") throw leftMeanwhile();
    },
    (error: unknown) => {
      if (!joining.gone) session.leave(room.name);
      throw error;
    },
  );
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
    return this.#session.rooms.get(this.#membership.room.name) !== this.#membership;
  }

  get pageBytes(): number {
    return this.#session.pageBytes;
  }

  ready(): Promise<void> | undefined {
    return this.#session.hasRead() ?? this.#session.context.slices.turn(this.#session);
  }

  page(events: readonly RoomEvent[], previous: number): void {
    this.#session.sendEvents({ type: "events", room: this.#membership.room.name, previous }, events);
  }

  cut({ position, recovered, events }: Cut): void {
    const room = this.#membership.room.name;
    const head = { type: "joined", id: this.#id, room, recovered } as const;
    this.#session.sendEvents(position === undefined ? head : { ...head, position }, events);
    this.#session.enter(this.#membership);
  }
}

export function leave(session: Session, frame: Received<"leave">): void {
  const opening = session.opening.delete(frame.room);
  if (!session.leave(frame.room) && !opening)
    throw new Refusal("not_joined", "room: expected one that you have joined");
  session.send({ type: "left", id: frame.id });
}
