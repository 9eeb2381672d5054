/**
 * What rooms are called inside the server. A tenant's rooms have its name before their own, with a character between that
 * no client can write: so no name that a client gives is another tenant's room.
 */

/** What stands between a tenant and the name of its room. */
const TENANT_END = "|";

/** The start of names of rooms that are the server's own and keep a log: as those of a tenant without a name. */
export const OWN = TENANT_END;

/** The name inside the server of a room that its clients know as `room`; `tenant` "" where there are no tenants. */
export const fullName = (tenant: string, room: string): string =>
  tenant === "" ? room : `${tenant}${TENANT_END}${room}`;

/** The start of names of the rooms in which nodes tell each other who is in a room: the room's own full name follows. */
const MEMBERS = `${OWN}members${TENANT_END}`;

export const membersRoom = (full: string): string => MEMBERS + full;

/** The full name of the room whose members are told of in this one; `undefined` where it is no such room. */
export const roomOfMembers = (name: string): string | undefined =>
  name.startsWith(MEMBERS) ? name.slice(MEMBERS.length) : undefined;

/** What the room's clients know it as. */
export const shownName = (full: string): string => full.slice(full.indexOf(TENANT_END) + 1);

/** Whose room it is; "" where there are no tenants. */
export const tenantOf = (full: string): string => full.slice(0, Math.max(0, full.indexOf(TENANT_END)));

/** The same, where it is a room of that tenant. */
export function roomOf(tenant: string, full: string): string | undefined {
  const start = fullName(tenant, "");
  const room = full.startsWith(start) ? full.slice(start.length) : "";
  return room === "" || room.includes(TENANT_END) ? undefined : room;
}
