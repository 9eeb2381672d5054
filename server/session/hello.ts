/** Who a session is: the hello, and the token's renewal. */
import { closeCodes } from "../../protocol/codes.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { randomBytesOf } from "../access/random.js";
import { digestOf } from "../access/ticket.js";
import { type Identity, identityOf, inTime, Refusal, whenAnswered } from "../hooks/hooks.js";
import { type Done, optional, type Received } from "./request.js";
import type { Session } from "./session.js";

/** How long it is until then, in milliseconds. */
const leftMs = (expiresAt: number) => Math.max(0, expiresAt - Date.now());

/** In a storm hellos wait for their turn; what comes behind them waits with them. */
export function greet(session: Session, frame: Received<"hello">): Done {
  const waiting = session.context.slices.turn(session);
  return waiting === undefined ? establish(session, frame) : waiting.then(() => establish(session, frame));
}

function establish(session: Session, frame: Received<"hello">): Done {
  if (session.state !== "greeting") return;
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
  const answer: { -readonly [N in keyof ServerFrame<"welcome">]: ServerFrame<"welcome">[N] } = {
    type: "welcome",
    id: frame.id,
    session: ticketOf(session, frame.token),
    node: context.node,
    resumed: resumedId !== undefined,
    heartbeatMs: context.heartbeatMs,
    limits: { maxFrameBytes, maxRooms, maxRequests },
  };
  if (session.user !== undefined) answer.user = session.user;
  if (session.expiresAt !== undefined) answer.expiresInMs = leftMs(session.expiresAt);
  session.send(answer);
  session.link.beat();
  session.opened();
}

/** What the session can be resumed with, as it is now, beside the token that says so. */
function ticketOf({ id, user, info, expiresAt, context }: Session, token: string | undefined): string {
  return context.tickets.seal({
    session: id,
    user,
    info,
    expiresAt,
    tokenDigest: digestOf(token),
    issuedAt: Date.now(),
  });
}

export async function renew(session: Session, frame: Received<"renew">): Promise<void> {
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
  session.send({
    type: "renewed",
    id: frame.id,
    ...optional("expiresInMs", identity.expiresAt === undefined ? undefined : leftMs(identity.expiresAt)),
    // The one it has is of the token before: a resume with it would ask the application again.
    session: ticketOf(session, frame.token),
  });
}
