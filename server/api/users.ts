/** What is done to users: taken out of rooms, disconnected, kept out. */
import { z } from "zod";
import { ProtocolError } from "../../protocol/codes.js";
import type { Revoke } from "../access/revocations/revocation.js";
import { whole } from "../schemas.js";
import type { Application } from "./application.js";
import { answered, count, data, event, none, object, room, tenant, time, user } from "./fields.js";
import { define, refuseTenants, tenantOf } from "./operation.js";

const whose = { tenant: tenant.optional() };
const done = z.object({}).describe("Nothing: it is done.");

export const remove = define({
  id: "remove",
  method: "post",
  path: "/v1/rooms/{room}/remove",
  scope: "users",
  tag: "Users",
  summary: "Take a user out of a room",
  description:
    "All of the user's sessions leave the room, on all nodes, and are told. They may join again where they are let: to keep the user out, revoke what it may do there.",
  isCommand: true,
  params: object({ room }),
  query: none,
  body: object({ user, ...whose }),
  answer: count,
  run: (app, { room, user, tenant }, { caller }) => app.remove(user, room, { tenant: tenantOf(caller, tenant) }),
});

export const disconnect = define({
  id: "disconnect",
  method: "post",
  path: "/v1/users/{user}/disconnect",
  scope: "users",
  tag: "Users",
  summary: "Close a user's sessions",
  description: "On all nodes. The user may connect again: to keep it out, block it.",
  isCommand: true,
  params: object({ user }),
  query: none,
  body: object(whose),
  answer: count,
  run: (app, { user, tenant }, { caller }) => app.disconnect(user, { tenant: tenantOf(caller, tenant) }),
});

export const block = define({
  id: "block",
  method: "post",
  path: "/v1/users/{user}/block",
  scope: "users",
  tag: "Users",
  summary: "Keep a user out until a time",
  description: "Its sessions are closed, and whatever token it shows it is not let in, on all nodes.",
  isCommand: true,
  params: object({ user }),
  query: none,
  body: object({
    until: time.describe("Until when, in Unix milliseconds; at most maxTokenLifeMs from now."),
    ...whose,
  }),
  answer: done,
  run: (app, { user, until, tenant }, { caller }) =>
    revoked(app, { user, tenant: tenantOf(caller, tenant), blockedUntil: until }).catch(asUntil),
});

export const unblock = define({
  id: "unblock",
  method: "post",
  path: "/v1/users/{user}/unblock",
  scope: "users",
  tag: "Users",
  summary: "Let a blocked user in again",
  isCommand: true,
  params: object({ user }),
  query: none,
  body: object(whose),
  answer: done,
  run: (app, { user, tenant }, { caller }) => revoked(app, { user, tenant: tenantOf(caller, tenant), blockedUntil: 0 }),
});

const ACTIONS = "an action, or a list of some";

export const revoke = define({
  id: "revoke",
  method: "post",
  path: "/v1/revocations",
  scope: "users",
  tag: "Users",
  summary: "Take back a token, all of a user's tokens, or what a user may do in rooms",
  description:
    "One of four forms: token and expiresAt; user and before; user and blockedUntil; user, room, actions and until. What is taken back is so on all nodes, until the tokens that allowed it have expired.",
  isCommand: true,
  params: none,
  query: none,
  body: object({
    token: z.string("a token's jti").optional().describe("One token, by its jti."),
    expiresAt: time.optional().describe("When that token ends by itself, in Unix milliseconds."),
    user: user.optional(),
    ...whose,
    before: time
      .optional()
      .describe("The user's tokens that were signed before this time, in Unix milliseconds; by default all that were."),
    blockedUntil: z
      .int("a time in Unix milliseconds")
      .min(0, "a time in Unix milliseconds")
      .optional()
      .describe("Until when the user is kept out, in Unix milliseconds; 0 lets it in again."),
    room: z
      .string("a pattern of rooms' names")
      .optional()
      .describe("Rooms by a pattern of their names, as in tokens: chat:*."),
    actions: z
      .union([z.string(ACTIONS), z.array(z.string(ACTIONS), ACTIONS).max(16, ACTIONS)], ACTIONS)
      .optional()
      .describe("What the user may not do there: some of join, publish, history, members."),
    until: time
      .optional()
      .describe("Until when it may not, in Unix milliseconds; by default as long as a token may be good for."),
  }),
  answer: done,
  run(app, what, { caller }) {
    // A token's jti names no tenant.
    if (what.token !== undefined) refuseTenants(caller, "token");
    else if (caller.tenant !== "" || what.tenant !== undefined) {
      return revoked(app, { ...what, tenant: tenantOf(caller, what.tenant) } as Revoke);
    }
    // Which fields go together is for it to say.
    return revoked(app, what as Revoke);
  },
});

export const call = define({
  id: "call",
  method: "post",
  path: "/v1/users/{user}/call",
  scope: "call",
  tag: "Users",
  summary: "Ask a user's sessions, and collect their answers",
  description:
    "Every session of the user is asked once, on all nodes. Answered once all have answered, or the time is over.",
  params: object({ user }),
  query: none,
  body: object({
    method: event.describe("What is asked: a name like an event's."),
    data: data.optional().describe("What goes with the question: any JSON value of at most 16,384 bytes."),
    timeoutMs: whole(1, 30_000)
      .optional()
      .describe("How long the sessions have for an answer, in milliseconds; 5000 if left out."),
    ...whose,
  }),
  answer: z.object({
    sessions: z.int().describe("How many sessions the user has."),
    answers: z
      .array(
        z.union([
          z.object({ data: z.unknown().describe("What the session answered.") }),
          z.object({
            error: z
              .object({
                code: z.string().describe("The protocol's word for it."),
                message: z.string().describe("What went wrong."),
              })
              .describe("Why there is no answer."),
          }),
        ]),
      )
      .readonly()
      .describe("One for each session that was asked: what it answered, or why there is no answer."),
    ...answered,
  }),
  run: (app, { user, method, data = null, timeoutMs, tenant }, { caller }) =>
    app.call(user, method, data, { timeoutMs, tenant: tenantOf(caller, tenant) }),
});

/** Its own name for the field. */
function asUntil(error: unknown): never {
  if (!(error instanceof ProtocolError) || error.field !== "blockedUntil") throw error;
  const { expected, message } = error;
  throw new ProtocolError("until", expected, message.slice(`blockedUntil: expected ${expected}, got `.length));
}

async function revoked(app: Application, what: Revoke): Promise<Record<string, never>> {
  await app.revoke(what);
  return {};
}
