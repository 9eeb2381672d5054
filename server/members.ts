/** Who is in a room, as the application asks. */
import { checkRoom, checkTenant } from "./cluster/checks.js";
import { checkAfter, checkLimit, type PageOptions } from "./cluster/everywhere.js";
import { fullName } from "./room/names.js";
import { PAGE_BYTES } from "./room/room.js";
import { fitting } from "./session/members.js";
import type { MembersList } from "./session/presence.js";
import type { SessionContext } from "./session/session.js";

/** Users in a room, in the order of the UTF-16 code units of their names. */
export type MembersPage = {
  /** How many sessions each has, on all nodes; `info` is what the application, or the token, says of the user. */
  readonly members: readonly { readonly user: string; readonly info?: unknown; readonly sessions: number }[];
  /** How many there are in the whole room: different users, and sessions without one. */
  readonly count: number;
  /** How many sessions without a user are among them. */
  readonly anonymous: number;
  /** Where there are more: what `after` is for the next page. */
  readonly next?: string;
};

const NOBODY: MembersList = { members: [], count: 0, anonymous: 0 };

/** See `Server.members`. */
export async function readMembers(
  { rooms, presences }: Pick<SessionContext, "rooms" | "presences">,
  room: string,
  options: PageOptions = {},
): Promise<MembersPage> {
  const { tenant = "" } = options;
  checkRoom(room);
  checkTenant(tenant);
  const query = { ...checkAfter(options.after), limit: checkLimit(options.limit) };
  const name = fullName(tenant, room);
  const rules = rooms.rulesFor(name);
  if (rules.presence.of === "nobody") return NOBODY;
  return fitting(await presences.page(name, rules, query), PAGE_BYTES);
}
