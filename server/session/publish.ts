/** An event's way from a session to the engine. */
import { kindOf } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import { type Refusal, whenAnswered } from "../hooks/hooks.js";
import { fullName } from "../room/names.js";
import { authorized, type Done, forbidden, given, mayBeAsked, optional, type Received } from "./request.js";
import type { Session } from "./session.js";

/** One at a time where the application is asked, so that a session's events keep their order; at once where it is not. */
export function publish(session: Session, frame: Received<"publish">): Done {
  mayBeAsked(frame.room);
  const verdict = session.may("publish", frame.room);
  const { onPublish } = session.context.hooks;
  if (verdict === "no") throw forbidden("publish", frame.room);
  const { maxEventBytes } = session.context.permissions.rules.of(kindOf(frame.room));
  if (!frame.data.isWithin(maxEventBytes)) throw tooLarge(session, maxEventBytes, frame.data);
  countForUser(session);
  // Behind those that the application is still asked about, where there are any.
  if (verdict === "yes" && onPublish === undefined && session.publishing === undefined) {
    return append(session, frame, frame.data);
  }
  const before = session.publishing ?? Promise.resolve();
  let appended: Done;
  const asked = before.then(() =>
    authorized(session, "publish", frame.room, undefined, () =>
      lookedAt(session, frame, (data) => {
        // Taken back while the application was asked.
        if (session.context.permissions.isTaken("publish", frame.room, session.access)) {
          throw forbidden("publish", frame.room);
        }
        appended = append(session, frame, data);
      }),
    ),
  );
  const settled = asked
    .catch(() => undefined)
    .finally(() => {
      if (session.publishing === settled) session.publishing = undefined;
    });
  session.publishing = settled;
  return asked.then(() => appended);
}

/** Shows an event to the application. What it has seen is what is sent on: read once, by one reader. */
function lookedAt(session: Session, frame: Received<"publish">, next: (data: Payload) => void): Done {
  const look = session.context.hooks.onPublish;
  if (look === undefined) return next(frame.data);
  const seen = frame.data.value;
  const { room, event } = frame;
  const question = { ...session.asker, room, event, data: seen };
  return whenAnswered(look(question), (answer) => {
    if (answer === false) throw forbidden("publish", room);
    if (answer === undefined || answer === null) next(Payload.ofValue(seen));
    else {
      const { maxEventBytes } = session.context.permissions.rules.of(kindOf(room));
      next(given("onPublish: data", answer.data, maxEventBytes));
    }
  });
}

function tooLarge(session: Session, maxEventBytes: number, data: Payload): Refusal {
  const words = `data: expected at most ${maxEventBytes} bytes (maxEventBytes), got ${data.size}`;
  return session.limited("maxEventBytes", "too_large", words);
}

/** What the user may publish, in all sessions on all nodes. Before the application is asked, which would be flooded too. */
function countForUser(session: Session): void {
  if (session.use === undefined) return;
  const { usage, limits } = session.context;
  const retryMs = usage.users.publish(session.use, session.context.now());
  if (retryMs === 0) return;
  const words = `userPublishRate: expected at most ${limits.userPublishRate} events a second of one user`;
  throw session.limited("userPublishRate", "rate_limited", words, retryMs);
}

/** What may be published in the room. After it was asked whether this session may: others could keep it from those who do. */
function countForRoom(session: Session, shown: string, name: string): void {
  const { usage, permissions, rooms } = session.context;
  const { publishRate } = permissions.rules.of(kindOf(shown));
  const delivered = rooms.find(name)?.delivered;
  const retryMs = usage.roomRates.publish(name, publishRate, delivered, session.context.now());
  if (retryMs === 0) return;
  const words = `publishRate: expected at most ${publishRate} events a second in the room`;
  throw session.limited("publishRate", "rate_limited", words, retryMs);
}

function append(session: Session, frame: Received<"publish">, data: Payload): Promise<void> {
  const { rooms } = session.context;
  const event = { event: frame.event, data, from: session.user, at: Date.now(), key: frame.key };
  const room = fullName(session.access.tenant, frame.room);
  countForRoom(session, frame.room, room);
  return rooms.broker.publish(room, event, rooms.rulesFor(room)).then((position) => {
    if (frame.id !== undefined) session.send({ type: "published", id: frame.id, ...optional("position", position) });
  });
}
