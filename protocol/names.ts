/** What may be called what: rooms, kinds of rooms, events, and the other short strings of the protocol. */

/** The characters of room and event names. All of them stand for themselves in JSON and in a URL's path. */
const NAME = /^[\w.:@/-]+$/;

/** The longest room name, in characters. */
export const MAX_ROOM_LENGTH = 128;
/** The longest event name, in characters. */
export const MAX_EVENT_LENGTH = 64;
/** The longest key of a publish, in UTF-16 code units. */
export const MAX_KEY_LENGTH = 128;

/** Whether clients may use `name` as a room's name: 1 to 128 of `A-Z a-z 0-9 _ - . : @ /`. */
export function isRoomName(name: string): boolean {
  return name.length <= MAX_ROOM_LENGTH && NAME.test(name);
}

/** Whether `name` can be an event's name: 1 to 64 of `A-Z a-z 0-9 _ - . : @ /`. */
export function isEventName(name: string): boolean {
  return name.length <= MAX_EVENT_LENGTH && NAME.test(name);
}

const TENANT = /^[A-Za-z0-9_.-]{1,32}$/;
/** What `isTenant` expects, for errors. */
export const TENANT_TEXT = "1 to 32 characters of A-Z a-z 0-9 _ - .";

/** Whether `value` can be a tenant's name. */
export const isTenant = (value: unknown): value is string => typeof value === "string" && TENANT.test(value);

/** Whether it is a tenant's name, or "" for none. */
export const isTenantOrNone = (value: unknown): value is string => value === "" || isTenant(value);

/** A room's kind: the part of its name before the first `:`, the whole name where it has none. */
export function kindOf(room: string): string {
  const colon = room.indexOf(":");
  return colon < 0 ? room : room.slice(0, colon);
}
