/** Who a session is: the hello, and the token's renewal. */
import { closeCodes } from "../../protocol/codes.js";
import type { ServerFrame } from "../../protocol/frames.js";
import type { Access } from "../access/access.js";
import { fullRetryMs } from "../access/limits/bucket.js";
import { userKey } from "../access/limits/shares.js";
import { randomBytesOf } from "../access/random.js";
import { digestOf, type Ticket } from "../access/ticket.js";
import { inTime, Refusal, whenAnswered } from "../hooks/hooks.js";
import { restored } from "./identity.js";
import { type Done, optional, type Received } from "./request.js";
import { checkRooms } from "./rights.js";
import type { Session } from "./session.js";

/** How long before its end a client is asked for a new token, in milliseconds; a third of what is left where that is less. */
const RENEW_AHEAD_MS = 60_000;

/** How long it is until then, in milliseconds. */
const leftMs = (expiresAt: number) => Math.max(0, expiresAt - Date.now());

const UNKNOWN = "token: expected one that says who you are";

/** In a storm hellos wait for their turn; what comes behind them waits with them. */
export function greet(session: Session, frame: Received<"hello">): Done {
  const waiting = session.context.slices.turn(session);
  return waiting === undefined ? establish(session, frame) : waiting.then(() => establish(session, frame));
}

function establish(session: Session, frame: Received<"hello">): Done {
  if (session.state !== "greeting") return;
  const { tickets, identities } = session.context;
  const ticket = frame.session === undefined ? undefined : tickets.open(frame.session, frame.token, Date.now());
  const known = ticket && accessOf(session, ticket, frame.token);
  if (known !== undefined) return welcome(session, frame, known, ticket?.session);
  const { origin, address } = session.link;
  const refuse = (code: "unauthorized" | "expired", text: string): void => {
    session.error(frame.id, code, text);
    session.close(code === "expired" ? closeCodes.expired : closeCodes.unauthorized, text);
  };
  try {
    const question = { token: frame.token, origin, address };
    const answer = whenAnswered(identities.authenticate(question), (access) => {
      const problem = access === undefined ? UNKNOWN : session.context.permissions.whyRevoked(access);
      if (access === undefined || problem !== undefined) refuse("unauthorized", problem ?? UNKNOWN);
      else if (session.state === "greeting") welcome(session, frame, access, undefined);
    });
    return answer instanceof Promise
      ? answer.catch((error: unknown) => refused(session, frame.id, error, refuse))
      : answer;
  } catch (error) {
    refused(session, frame.id, error, refuse);
  }
}

/** What a session that is resumed goes by, unless it was revoked: then it is asked anew who it is. */
function accessOf({ context }: Session, ticket: Ticket, token: string | undefined): Access | undefined {
  const access = ticket.access ? restored(ticket.access) : context.identities.recall(token);
  return access && context.permissions.whyRevoked(access) === undefined ? access : undefined;
}

/** A hello that failed: a refusal for good closes so that the client stays away, anything else so that it comes back. */
function refused(
  session: Session,
  id: number,
  error: unknown,
  refuse: (code: "unauthorized" | "expired", text: string) => void,
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

function welcome(session: Session, frame: Received<"hello">, access: Access, resumedId: string | undefined): void {
  const { context } = session;
  const { maxFrameBytes, maxRooms, maxRequests } = context.limits;
  if (!enters(session, frame.id, access, resumedId !== undefined)) return;
  session.wasResumed = resumedId !== undefined;
  session.id = resumedId ?? randomBytesOf(9).toString("base64url");
  session.access = access;
  session.renewAt = renewalOf(access);
  const answer: { -readonly [N in keyof ServerFrame<"welcome">]: ServerFrame<"welcome">[N] } = {
    type: "welcome",
    id: frame.id,
    session: ticketOf(session, frame.token),
    node: context.node,
    resumed: resumedId !== undefined,
    heartbeatMs: context.heartbeatMs,
    limits: { maxFrameBytes, maxRooms, maxRequests },
  };
  if (access.user !== undefined) answer.user = access.user;
  if (access.expiresAt !== undefined) answer.expiresInMs = leftMs(access.expiresAt);
  session.send(answer);
  session.link.beat();
  session.opened();
}

/** Counts the session among its user's, unless they are too many: then it is closed. One that is resumed is one of them. */
function enters(session: Session, id: number, { user, tenant }: Access, isResumed: boolean): boolean {
  if (user === undefined) return true;
  const { users } = session.context.usage;
  const key = userKey(tenant, user);
  if (isResumed || users.mayEnter(key, session.context.now())) {
    session.use = users.enter(key);
    return true;
  }
  const { userConnections } = session.context.limits;
  const retryMs = fullRetryMs();
  const words = `userConnections: expected at most ${userConnections} sessions of one user`;
  session.fail(id, session.limited("userConnections", "too_many", words, retryMs));
  session.close(closeCodes.overloaded, JSON.stringify({ retryMs }));
  return false;
}

/** When the client is asked for a newer token, in Unix milliseconds: early enough to fetch one, also where it is short-lived. */
function renewalOf({ expiresAt }: Access): number | undefined {
  return expiresAt === undefined ? undefined : expiresAt - Math.min(RENEW_AHEAD_MS, leftMs(expiresAt) / 3);
}

/** What the session can be resumed with, as it is now, beside the token that says so. */
function ticketOf({ id, access, context }: Session, token: string | undefined): string {
  const { grants: _, ...told } = access;
  const isOfToken = token !== undefined && context.identities.areInTokens;
  return context.tickets.seal({
    session: id,
    access: isOfToken ? undefined : told,
    expiresAt: access.expiresAt,
    tokenDigest: digestOf(token),
    issuedAt: Date.now(),
  });
}

export async function renew(session: Session, frame: Received<"renew">): Promise<void> {
  const { identities, permissions } = session.context;
  const { origin, address } = session.link;
  const { user, tenant } = session.access;
  const renewal = { user, ...(tenant === "" ? {} : { tenant }), session: session.id };
  const access = await inTime(identities.authenticate({ token: frame.token, origin, address, renewal }));
  // Its end came first: the registry must not take up again what it has let go.
  if (session.state !== "open") return;
  const problem = access === undefined ? UNKNOWN : permissions.whyRevoked(access);
  if (access === undefined || problem !== undefined) throw new Refusal("unauthorized", problem ?? UNKNOWN);
  if (access.user !== user || access.tenant !== tenant) {
    throw new Refusal("forbidden", "token: expected one of the same user");
  }
  session.access = access;
  session.renewAt = renewalOf(access);
  session.registry.timed(session);
  session.send({
    type: "renewed",
    id: frame.id,
    ...optional("expiresInMs", access.expiresAt === undefined ? undefined : leftMs(access.expiresAt)),
    // The one it has is of the token before: a resume with it would ask the application again.
    session: ticketOf(session, frame.token),
  });
  for (const [, { attendance }] of session.rooms) attendance?.update(access.info);
  // The newer token may allow less.
  checkRooms(session);
}
