/** What nodes remember of the application's answers. */
import { z } from "zod";
import { answered, none, object, room, tenant, user } from "./fields.js";
import { define, tenantOf } from "./operation.js";

export const forget = define({
  id: "forget",
  method: "post",
  path: "/v1/cache/forget",
  scope: "cache",
  tag: "Cache",
  summary: "Forget what the hooks connect and join answered",
  description:
    "On all nodes, and in what they share: about a user, in a room, of a tenant, or everything where none is named. The application is asked again.",
  isCommand: true,
  params: none,
  query: none,
  body: object({
    user: user.optional().describe("Answers about this user alone."),
    room: room.optional().describe("Answers about this room alone."),
    tenant: tenant.optional().describe("Answers about this tenant's alone; left out: the key's own tenant, or all."),
  }),
  answer: z.object(answered),
  run(app, { user, room, tenant }, { caller }) {
    const whose = caller.tenant === "" ? tenant : tenantOf(caller, tenant);
    return app.forget({ user, room, tenant: whose });
  },
});
