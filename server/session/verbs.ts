import type { ReceivedFrame } from "../../protocol/codec.js";
import { closeCodes } from "../../protocol/codes.js";
import type { RoomEvent } from "../../protocol/event.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { isRoomName } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import { randomBytesOf } from "../access/random.js";
import { digestOf } from "../access/ticket.js";
import { type Action, type Identity, identityOf, inTime, Refusal, whenAnswered } from "../hooks/hooks.js";
import { pageLength } from "../room/room.js";
import { type Cut, type Joiner, stitch } from "../room/stitch.js";
import type { Membership, Session, Verbs } from "./session.js";

type Received<T extends ReceivedFrame["type"]> = Extract<ReceivedFrame, { type: T }>;
type Done = void | Promise<void>;

/** How many events a `history` answer holds where the request does not say, and at the most. */
const HISTORY_LIMIT = { usual: 100, most: 1000 } as const;

const forbidden = (action: Action, room: string) =>
  new Refusal("forbidden", `room: you may not ${action} in "${room}"`);
const optional = <N extends string, V>(name: N, value: V | undefined): { [K in N]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { [K in N]?: V };
const remainingMs = (expiresAt: number | undefined) =>
  optional("expiresInMs", expiresAt === undefined ? undefined : Math.max(0, expiresAt - Date.now()));

/** Names that start with `$` are the server's own; the rules for names leave that character out anyway. */
function mayBeAsked(room: string): void {
  if (!isRoomName(room)) throw new Refusal("bad_request", `room: expected a room's name, got ${JSON.stringify(room)}`);
}

/** Asks the application, in the same turn where there is nobody to ask. */
function authorized(
  session: Session,
  action: Action,
  room: string | undefined,
  token: string | undefined,
  next: () => Done,
): Done {
  const ask = session.context.hooks.authorize;
  if (ask === undefined) return next();
  const question = { user: session.user, info: session.info, session: session.id, action, room, token };
  return whenAnswered(ask(question), (may) => {
    if (may !== true) throw forbidden(action, room ?? "");
    return session.state === "open" ? next() : undefined;
  });
}

function greet(session: Session, frame: Received<"hello">): Done {
  const { tickets, hooks } = session.context;
  const ticket = frame.session === undefined ? undefined : tickets.open(frame.session, frame.token, Date.now());
  if (ticket !== undefined) return welcome(session, frame, ticket, ticket.session);
  if (hooks.authenticate === undefined) return welcome(session, frame, {}, undefined);
  const { origin, address } = session.link;
  const refuse = (code: "unauthorized" | "expired", message: string): void => {
    session.error(frame.id, code, message);
    session.close(code === "expired" ? closeCodes.expired : closeCodes.unauthorized, message);
  };
  try {
    const answer = whenAnswered(hooks.authenticate({ token: frame.token, origin, address }), (given) => {
      const identity = identityOf(given);
      if (identity === undefined) refuse("unauthorized", "token: expected one that says who you are");
      else if (session.state === "greeting") welcome(session, frame, identity, undefined);
    });
    return answer instanceof Promise
      ? answer.catch((error: unknown) => refused(session, frame.id, error, refuse))
      : answer;
  } catch (error) {
    refused(session, frame.id, error, refuse);
  }
}

/** A hello that failed: a refusal for good closes so that the client stays away, anything else so that it comes back. */
function refused(
  session: Session,
  id: number,
  error: unknown,
  refuse: (code: "unauthorized" | "expired", message: string) => void,
): void {
  if (error instanceof Refusal && (error.code === "unauthorized" || error.code === "expired")) {
    refuse(error.code, error.message);
  } else if (error instanceof Refusal && error.code === "forbidden") {
    session.error(id, "forbidden", error.message);
    session.close(closeCodes.unauthorized, "forbidden");
  } else {
    session.fail(id, error);
    const retryMs = error instanceof Refusal ? (error.retryMs ?? 1000) : 1000;
    session.close(closeCodes.overloaded, JSON.stringify({ retryMs }));
  }
}

function welcome(session: Session, frame: Received<"hello">, identity: Identity, resumedId: string | undefined): void {
  const { context } = session;
  const { maxFrameBytes, maxRooms, maxRequests } = context.limits;
  session.id = resumedId ?? randomBytesOf(9).toString("base64url");
  session.user = identity.user;
  session.info = identity.info;
  session.expiresAt = identity.expiresAt;
  const { user, info, expiresAt } = identity;
  const tokenDigest = digestOf(frame.token);
  const ticket = { session: session.id, user, info, expiresAt, tokenDigest, issuedAt: Date.now() };
  const answer: { -readonly [N in keyof ServerFrame<"welcome">]: ServerFrame<"welcome">[N] } = {
    type: "welcome",
    id: frame.id,
    session: context.tickets.seal(ticket),
    node: context.node,
    resumed: resumedId !== undefined,
    heartbeatMs: context.heartbeatMs,
    limits: { maxFrameBytes, maxRooms, maxRequests },
  };
  if (user !== undefined) answer.user = user;
  if (expiresAt !== undefined) answer.expiresInMs = Math.max(0, expiresAt - Date.now());
  session.send(answer);
  session.link.beat();
  session.opened();
}

const leftMeanwhile = () => new Refusal("not_joined", "room: left before the join was answered");

function join(session: Session, frame: Received<"join">): Done {
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
      if (open === undefined) return rooms.hold(frame.room).then((room) => enter(session, frame, room));
      rooms.take(open);
      return enter(session, frame, open);
    });
    return joining?.finally(forget);
  } catch (error) {
    forget();
    throw error;
  }
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
  return stitch(room, session.context.rooms.broker, frame.since, joining)?.then(
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
    return this.#session.hasRead();
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

function leave(session: Session, frame: Received<"leave">): void {
  const opening = session.opening.delete(frame.room);
  if (!session.leave(frame.room) && !opening)
    throw new Refusal("not_joined", "room: expected one that you have joined");
  session.send({ type: "left", id: frame.id });
}

/** One at a time where the application is asked, so that a session's events keep their order; at once where it is not. */
function publish(session: Session, frame: Received<"publish">): Done {
  mayBeAsked(frame.room);
  const { authorize, onPublish } = session.context.hooks;
  if (authorize === undefined && onPublish === undefined) return append(session, frame, frame.data);
  const before = session.publishing ?? Promise.resolve();
  let appended: Done;
  const asked = before.then(() =>
    authorized(session, "publish", frame.room, undefined, () =>
      lookedAt(session, frame, (data) => {
        appended = append(session, frame, data);
      }),
    ),
  );
  const settled = asked.catch(() => undefined);
  session.publishing = settled;
  return asked.then(() => appended);
}

/** What the application answers with, once it is known to have a form on the wire, and not to be too much for one. */
function given(name: string, value: unknown, maxBytes: number): Payload {
  let payload: Payload;
  try {
    payload = Payload.ofValue(value);
  } catch (error) {
    // The client has asked nothing wrong.
    throw new TypeError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (payload.size <= maxBytes) return payload;
  throw new Refusal("too_large", `the application's answer: expected at most ${maxBytes} bytes, got ${payload.size}`);
}

/** Shows an event to the application. What it has seen is what is sent on: read once, by one reader. */
function lookedAt(session: Session, frame: Received<"publish">, next: (data: Payload) => void): Done {
  const look = session.context.hooks.onPublish;
  if (look === undefined) return next(frame.data);
  const seen = frame.data.value;
  const { room, event } = frame;
  const question = { user: session.user, info: session.info, session: session.id, room, event, data: seen };
  return whenAnswered(look(question), (answer) => {
    if (answer === false) throw forbidden("publish", room);
    if (answer === undefined || answer === null) next(Payload.ofValue(seen));
    else next(given("onPublish: data", answer.data, session.context.limits.maxFrameBytes));
  });
}

function append(session: Session, frame: Received<"publish">, data: Payload): Promise<void> {
  const { rooms } = session.context;
  const event = { event: frame.event, data, from: session.user, at: Date.now(), key: frame.key };
  return rooms.broker.publish(frame.room, event, rooms.rulesFor(frame.room)).then((position) => {
    if (frame.id !== undefined) session.send({ type: "published", id: frame.id, ...optional("position", position) });
  });
}

function history(session: Session, frame: Received<"history">): Done {
  mayBeAsked(frame.room);
  if (frame.since !== undefined && frame.before !== undefined) {
    throw new Refusal("bad_request", "before: expected either since or before, got both");
  }
  return authorized(session, "history", frame.room, undefined, () => readHistory(session, frame));
}

async function readHistory(session: Session, frame: Received<"history">): Promise<void> {
  const { rooms } = session.context;
  const rules = rooms.rulesFor(frame.room);
  if (rules.history.size === 0) {
    session.sendEvents({ type: "history", id: frame.id, more: false }, []);
    return;
  }
  // Several answers at once are more than a connection should hold; each waits until the one before it is read.
  for (let waiting = session.hasRead(); waiting !== undefined; waiting = session.hasRead()) await waiting;
  const limit = Math.min(frame.limit ?? HISTORY_LIMIT.usual, HISTORY_LIMIT.most);
  const read = await rooms.broker.history(frame.room, { since: frame.since, before: frame.before }, limit, rules);
  if (read.events === undefined) {
    throw new Refusal(
      "bad_request",
      `since: expected a position that the log still reaches back to; it is at ${JSON.stringify(read.position)}`,
    );
  }
  const events = page(read.events, frame.since !== undefined, session.pageBytes);
  const more = read.more || events.length < read.events.length;
  session.sendEvents({ type: "history", id: frame.id, position: read.position, more }, events);
}

/** What of a read fits a frame: from the front when reading on, from the back when paging back. */
function page(events: readonly RoomEvent[], forward: boolean, maxBytes: number): readonly RoomEvent[] {
  if (forward) return events.slice(0, pageLength(events, 0, maxBytes));
  const length = pageLength([...events].reverse(), 0, maxBytes);
  return length === events.length ? events : events.slice(events.length - length);
}

function call(session: Session, frame: Received<"call">): Done {
  const answerer = session.context.hooks.onCall;
  if (answerer === undefined)
    throw new Refusal("unknown_method", `method: expected one the application knows, got ${frame.method}`);
  return authorized(session, "call", undefined, undefined, async () => {
    const { user, info, id } = session;
    const data = await inTime(answerer({ user, info, session: id, method: frame.method, data: frame.data.value }));
    const payload = given("onCall", data ?? null, session.context.limits.maxBackpressureBytes);
    // In JSON binary is a string of base64, in events and here.
    const value = session.link.codec.binary ? payload.value : JSON.parse(payload.json);
    session.send({ type: "result", id: frame.id, data: value });
  });
}

async function renew(session: Session, frame: Received<"renew">): Promise<void> {
  const ask = session.context.hooks.authenticate;
  const { origin, address } = session.link;
  const identity = ask === undefined ? {} : identityOf(await inTime(ask({ token: frame.token, origin, address })));
  // Its end came first: the registry must not take up again what it has let go.
  if (session.state !== "open") return;
  if (identity === undefined) throw new Refusal("unauthorized", "token: expected one that says who you are");
  if (identity.user !== session.user) throw new Refusal("forbidden", "token: expected one of the same user");
  session.info = identity.info;
  session.expiresAt = identity.expiresAt;
  session.renewAsked = false;
  session.registry.opened(session);
  session.send({ type: "renewed", id: frame.id, ...remainingMs(identity.expiresAt) });
}

function act(session: Session, frame: ReceivedFrame): Done {
  switch (frame.type) {
    case "join":
      return join(session, frame);
    case "leave":
      return leave(session, frame);
    case "publish":
      return publish(session, frame);
    case "history":
      return history(session, frame);
    case "call":
      return call(session, frame);
    case "renew":
      return renew(session, frame);
    case "ping":
      return session.send({ type: "pong", id: frame.id });
    case "members":
      throw new Refusal("unavailable", "members: this version of the server does not keep presence");
    case "hello":
      throw new Refusal("bad_request", "type: expected one hello, got hello again");
    default:
      return frame satisfies never;
  }
}

export const verbs: Verbs = { greet, act };
