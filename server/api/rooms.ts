/** What is told of rooms: which there are, who is in them, what happened in them. */
import { z } from "zod";
import type { Position } from "../../protocol/positions.js";
import { after, answered, limit, next, none, object, position, prefix, room, tenant } from "./fields.js";
import { define, tenantOf } from "./operation.js";

const whose = { tenant: tenant.optional() };

export const countRoom = define({
  id: "countRoom",
  method: "get",
  path: "/v1/rooms/{room}",
  scope: "rooms",
  tag: "Rooms",
  summary: "Count who is in a room",
  description: "Clients are all that have joined; who of them is a member is for the room's kind to say (presence).",
  params: object({ room }),
  query: object(whose),
  body: none,
  answer: z.object({
    room: z.string().describe("The room's name."),
    clients: z.int().describe("How many clients are in the room, on the nodes that have answered."),
    members: z.int().describe("How many members the room has: different users, and sessions without one."),
    ...answered,
  }),
  async run(app, { room, tenant }, { caller }) {
    const of = { tenant: tenantOf(caller, tenant) };
    const [{ count, nodes, missing }, members] = await Promise.all([
      app.count(room, of),
      app.members(room, { ...of, limit: 1 }),
    ]);
    return { room, clients: count, members: members.count, nodes, missing };
  },
});

export const rooms = define({
  id: "rooms",
  method: "get",
  path: "/v1/rooms",
  scope: "rooms",
  tag: "Rooms",
  summary: "List the rooms with clients, and how many are in each",
  description:
    "On all nodes, in the order of their names, a page at a time. It is no snapshot: rooms that fill or empty meanwhile may be missing.",
  params: none,
  query: object({ prefix: prefix.optional(), after: after.optional(), limit: limit.optional(), ...whose }),
  body: none,
  answer: z.object({
    rooms: z
      .array(
        z.object({
          room: z.string().describe("The room's name."),
          clients: z.int().describe("How many clients are in it."),
        }),
      )
      .readonly()
      .describe("The rooms of this page."),
    next,
    ...answered,
  }),
  run: (app, { tenant, ...page }, { caller }) => app.rooms({ ...page, tenant: tenantOf(caller, tenant) }),
});

export const members = define({
  id: "members",
  method: "get",
  path: "/v1/rooms/{room}/members",
  scope: "members",
  tag: "Rooms",
  summary: "List the members of a room",
  description:
    "The users that are there, on all nodes, in the order of their names, a page at a time. Who is a member is for the room's kind to say (presence): those who joined with presence, if nothing is said.",
  params: object({ room }),
  query: object({ after: after.optional(), limit: limit.optional(), ...whose }),
  body: none,
  answer: z.object({
    members: z
      .array(
        z.object({
          user: z.string().describe("The user."),
          sessions: z.int().describe("How many sessions of the user are members."),
          info: z
            .unknown()
            .optional()
            .describe("What the token, or the application, says of the user; left out: nothing."),
        }),
      )
      .readonly()
      .describe("The users of this page."),
    count: z.int().describe("How many members the room has: different users, and sessions without one."),
    anonymous: z.int().describe("How many of them are sessions without a user."),
    next,
  }),
  run: (app, { room, tenant, ...page }, { caller }) => app.members(room, { ...page, tenant: tenantOf(caller, tenant) }),
});

const PLACE = "a position, epoch:offset";
const place = z.string(PLACE).regex(/^.{1,256}:\d{1,16}$/, PLACE);

const eventInLog = z.object({
  offset: z.int().optional().describe("Its place in the log."),
  event: z.string().describe("Its name."),
  data: z.unknown().describe("Its data, any JSON value."),
  from: z.string().optional().describe("The user it is from; left out: nobody, or the application itself."),
  at: z.int().describe("When it was published, in Unix milliseconds."),
  key: z.string().optional().describe("What its publisher named it by."),
});

export const history = define({
  id: "history",
  method: "get",
  path: "/v1/rooms/{room}/history",
  scope: "history",
  tag: "Rooms",
  summary: "Read a room's history",
  description: "The first events after a position, the last ones before one, or, with neither, the latest.",
  params: object({ room }),
  query: object({
    since: place.optional().describe("The first events after this position, epoch:offset."),
    before: place.optional().describe("The last events before this position, epoch:offset."),
    limit: limit
      .optional()
      .describe("The most events, 1 to 1000; 100 if left out. They are fewer where they are large."),
    ...whose,
  }),
  body: none,
  answer: z.object({
    position: position.optional().describe("Where the log ends; left out: the room keeps none."),
    events: z
      .array(eventInLog)
      .readonly()
      .optional()
      .describe("In the order of the log; left out: the log no longer reaches back to that position, or is another."),
    more: z.boolean().describe("Whether there are more of what was asked for."),
  }),
  async run(app, { room, since, before, limit, tenant }, { caller }) {
    const { position, events, more } = await app.history(room, {
      since: since === undefined ? undefined : positionIn(since),
      before: before === undefined ? undefined : positionIn(before),
      limit,
      tenant: tenantOf(caller, tenant),
    });
    return { ...(position && { position }), ...(events && { events }), more };
  },
});

function positionIn(text: string): Position {
  const colon = text.lastIndexOf(":");
  return { epoch: text.slice(0, colon), offset: Number(text.slice(colon + 1)) };
}
