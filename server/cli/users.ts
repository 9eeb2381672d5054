/** What the nodes of a cluster can be told to do with a user. */
import { isUser } from "../../protocol/fields.js";
import { isRoomName, isTenantOrNone, TENANT_TEXT } from "../../protocol/names.js";
import type { Cluster, Count } from "../cluster/cluster.js";
import { asking } from "./asking.js";
import { userHelp } from "./help.js";
import { readFlags } from "./sources.js";

type Environment = { readonly [name: string]: string | undefined };

/** `roomcast disconnect USER`: ends every session of a user. */
export function disconnect(args: readonly string[], env: Environment): Promise<void> {
  const help = userHelp(
    "disconnect USER",
    "Ends every session of a user, on all nodes. The SDK does not come back by itself.",
  );
  return tell(args, env, ["USER"], help, (cluster, { user, tenant }) => cluster.disconnect(user, tenant));
}

/** `roomcast remove USER ROOM`: takes a user out of a room. */
export function remove(args: readonly string[], env: Environment): Promise<void> {
  const help = userHelp("remove USER ROOM", "Takes every session of a user out of a room, on all nodes.");
  return tell(args, env, ["USER", "ROOM"], help, (cluster, { user, room, tenant }) =>
    cluster.remove(user, room, tenant),
  );
}

async function tell(
  args: readonly string[],
  env: Environment,
  names: readonly string[],
  help: string,
  act: (cluster: Cluster, whom: { user: string; room: string; tenant: string }) => Promise<Count>,
): Promise<void> {
  const first = args.findIndex((arg) => arg.startsWith("-"));
  const given = first < 0 ? args : args.slice(0, first);
  const flags = readFlags(args.slice(given.length), ["help"], { names: ["tenant"], help: "roomcast --help" });
  if (flags.switches.has("help")) return print(help);
  const [user = "", room = ""] = given;
  if (given.length !== names.length) {
    flags.lines.push(
      `expected ${names.join(" and ")} before the options, got ${given.length} argument${given.length === 1 ? "" : "s"}`,
    );
  } else {
    if (!isUser(user)) flags.lines.push("USER: expected 1 to 256 characters");
    if (names.includes("ROOM") && !isRoomName(room)) flags.lines.push("ROOM: expected a room's name");
  }
  const [tenant = "", again] = flags.options.get("tenant") ?? [];
  if (again !== undefined) flags.lines.push("--tenant: expected once, got it again");
  else if (!isTenantOrNone(tenant)) flags.lines.push(`--tenant: expected ${TENANT_TEXT}`);
  await asking(flags, env, async ({ cluster }) => {
    const { count, nodes, missing } = await act(cluster, { user, room, tenant });
    print(`${count} sessions on ${nodes} nodes`);
    if (missing.length === 0) return;
    process.stderr.write(`no answer from ${missing.join(", ")}\n`);
    process.exitCode = 1;
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
