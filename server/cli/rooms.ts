import { isTenantOrNone, TENANT_TEXT } from "../../protocol/names.js";
import { isPrefix, MAX_PAGE } from "../cluster/asks.js";
import type { Cluster } from "../cluster/cluster.js";
import { listRooms, type RoomsPage } from "../cluster/everywhere.js";
import { asking } from "./asking.js";
import { roomsHelp } from "./help.js";
import { type Flags, readFlags } from "./sources.js";

/** How many rooms are listed where it is not said. */
const USUAL = 100;

type Wanted = { readonly tenant: string; readonly prefix: string; readonly limit: number; readonly after?: string };

/** `roomcast rooms`: lists the rooms with clients, on all nodes. */
export async function rooms(
  args: readonly string[],
  env: { readonly [name: string]: string | undefined },
): Promise<void> {
  const own = { names: ["tenant", "prefix", "after", "limit"], help: "roomcast rooms --help" };
  const flags = readFlags(args, ["json", "help"], own);
  if (flags.switches.has("help")) return print(roomsHelp());
  const wanted = wantedBy(flags);
  await asking(flags, env, async ({ cluster }) => {
    const { missing, ...page } = await list(cluster, wanted);
    print(flags.switches.has("json") ? JSON.stringify({ ...page, missing }, null, 2) : tableText(page));
    if (missing.length === 0) return;
    process.stderr.write(`no answer from ${missing.join(", ")}\n`);
    process.exitCode = 1;
  });
}

/** What the options ask for; what is wrong with them is added to their lines. */
function wantedBy({ options, lines }: Flags): Wanted {
  const one = (name: string): string | undefined => {
    const [value, again] = options.get(name) ?? [];
    if (again !== undefined) lines.push(`--${name}: expected once, got it again`);
    return value;
  };
  const [tenant = "", prefix = "", after, given] = [one("tenant"), one("prefix"), one("after"), one("limit")];
  if (!isTenantOrNone(tenant)) lines.push(`--tenant: expected ${TENANT_TEXT}`);
  if (!isPrefix(prefix)) lines.push("--prefix: expected the beginning of a room's name");
  if (after !== undefined && !isPrefix(after)) lines.push("--after: expected a room's name");
  const limit = given === undefined ? USUAL : Number(given);
  if (!Number.isSafeInteger(limit) || limit < 1) lines.push("--limit: expected a whole number from 1");
  return { tenant, prefix, limit, ...(after === undefined ? {} : { after }) };
}

/** As many as are wanted, page by page. */
async function list(cluster: Cluster, wanted: Wanted): Promise<RoomsPage> {
  const rooms: RoomsPage["rooms"][number][] = [];
  let page: RoomsPage | undefined;
  const missing = new Set<string>();
  do {
    const after = page?.next ?? wanted.after;
    const limit = Math.min(MAX_PAGE, wanted.limit - rooms.length);
    page = await listRooms(cluster, { tenant: wanted.tenant, prefix: wanted.prefix, limit, after });
    rooms.push(...page.rooms);
    for (const name of page.missing) missing.add(name);
  } while (page.next !== undefined && rooms.length < wanted.limit);
  return { ...page, rooms, missing: [...missing] };
}

function tableText({ rooms, next, nodes }: Omit<RoomsPage, "missing">): string {
  const counts = rooms.map(({ clients }) => String(clients));
  const width = Math.max("clients".length, ...counts.map((count) => count.length));
  const lines = rooms.map(({ room }, index) => `${(counts[index] ?? "").padStart(width)}  ${room}`);
  const end = next === undefined ? "" : `; there are more: --after ${next}`;
  return [`${"clients".padStart(width)}  room`, ...lines, `${rooms.length} rooms on ${nodes} nodes${end}`].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
