/** Refuses what cannot be asked about, naming it. */
import { ProtocolError } from "../../protocol/codes.js";
import { describe, isUser, MAX_USER_LENGTH } from "../../protocol/fields.js";
import { isRoomName, isTenantOrNone, TENANT_TEXT } from "../../protocol/names.js";

export function checkUser(user: unknown): void {
  if (!isUser(user)) throw new ProtocolError("user", `1 to ${MAX_USER_LENGTH} characters`, describe(user));
}

export function checkTenant(tenant: unknown): void {
  if (!isTenantOrNone(tenant)) {
    throw new ProtocolError("tenant", TENANT_TEXT, describe(tenant));
  }
}

export function checkRoom(room: unknown): void {
  if (typeof room !== "string" || !isRoomName(room)) throw new ProtocolError("room", "a room's name", describe(room));
}

/** A whole number between two others; `usual` where there is none. */
export function checkNumber(field: string, value: unknown, usual: number, least: number, most: number): number {
  if (value === undefined) return usual;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new ProtocolError(field, `a whole number from ${least} to ${most}`, describe(value));
}
