/** What is told of the nodes. */
import { z } from "zod";
import { none } from "./fields.js";
import { define, refuseTenants } from "./operation.js";

const node = z.object({
  name: z.string().describe("What it is called (the setting node)."),
  version: z.string().describe("Which version of Roomcast it is."),
  address: z.string().optional().describe("Where it listens, as it says itself."),
  host: z.string().describe("The machine's name."),
  pid: z.int().describe("The process."),
  startedAt: z.int().describe("When it began, in Unix milliseconds."),
  connections: z.int().describe("How many clients are connected."),
  sessions: z.int().describe("How many of them were welcomed."),
  rooms: z.int().describe("How many rooms are open."),
  draining: z.boolean().describe("Whether it sends its clients to other nodes."),
  problems: z.array(z.string()).readonly().describe("What of the engines it cannot reach, a line each."),
  self: z.boolean().describe("Whether it is the one that answers."),
});

export const nodes = define({
  id: "nodes",
  method: "get",
  path: "/v1/nodes",
  scope: "nodes",
  tag: "Nodes",
  summary: "List the nodes that are there",
  params: none,
  query: none,
  body: none,
  answer: z.object({ nodes: z.array(node).describe("The nodes, this one first.") }),
  async run(app, _input, { caller }) {
    refuseTenants(caller, "nodes");
    return {
      nodes: app.nodes().map((one) => {
        const { name, version, address, host, pid, startedAt, connections, sessions, rooms, draining } = one;
        const { problems, self } = one;
        const numbers = { connections, sessions, rooms };
        return { name, version, address, host, pid, startedAt, ...numbers, draining, problems, self };
      }),
    };
  },
});
