/** What is told of rooms. */
import { z } from "zod";
import { answered, none, object, room, tenant } from "./fields.js";
import { define, tenantOf } from "./operation.js";

const whose = { tenant: tenant.optional() };

export const countRoom = define({
  id: "countRoom",
  method: "get",
  path: "/v1/rooms/{room}",
  scope: "rooms",
  tag: "Rooms",
  summary: "Count who is in a room",
  params: object({ room }),
  query: object(whose),
  body: none,
  answer: z.object({
    room: z.string().describe("The room's name."),
    clients: z.int().describe("How many clients are in the room, on the nodes that have answered."),
    ...answered,
  }),
  async run(app, { room, tenant }, { caller }) {
    const { count, nodes, missing } = await app.count(room, { tenant: tenantOf(caller, tenant) });
    return { room, clients: count, nodes, missing };
  },
});
