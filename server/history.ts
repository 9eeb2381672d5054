/** A room's history, as the application reads it. */
import { ProtocolError } from "../protocol/codes.js";
import type { RoomEvent } from "../protocol/event.js";
import { describe } from "../protocol/fields.js";
import type { WireEvent } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";
import { checkNumber, checkRoom, checkTenant } from "./cluster/checks.js";
import { fullName } from "./room/names.js";
import { HISTORY_LIMIT, pageOf } from "./room/pages.js";
import { PAGE_BYTES } from "./room/room.js";
import type { Rooms } from "./room/rooms.js";

export type HistoryOptions = {
  /** Whose room; left out: one of a server without tenants. */
  readonly tenant?: string | undefined;
  /** The first events after this position. */
  readonly since?: Position | undefined;
  /** The last events before this position. Without either: the latest. */
  readonly before?: Position | undefined;
  /** The most events, 1 to 1000; 100 by default. They are fewer where they would be more than 256 KiB: `more` says. */
  readonly limit?: number | undefined;
};

export type HistoryPage = {
  /** Where the log ends; left out in a room without history. */
  readonly position?: Position;
  /** In order, binary in their data as base64; `undefined` where the log no longer reaches back to the position that was given. */
  readonly events: readonly WireEvent[] | undefined;
  /** Whether there are more of what was asked for. */
  readonly more: boolean;
};

function checkPosition(field: string, position: unknown): void {
  if (position === undefined) return;
  if (typeof position !== "object" || position === null) {
    throw new ProtocolError(field, "a position: {epoch, offset}", describe(position));
  }
  const { epoch, offset } = position as { readonly epoch?: unknown; readonly offset?: unknown };
  if (typeof epoch !== "string") throw new ProtocolError(`${field}.epoch`, "a string", describe(epoch));
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) {
    throw new ProtocolError(`${field}.offset`, "a whole number from 0", describe(offset));
  }
}

const onWire = ({ offset, event, data, from, at, key }: RoomEvent): WireEvent => ({
  offset,
  event,
  data: JSON.parse(data.json),
  ...(from === undefined ? {} : { from }),
  at,
  ...(key === undefined ? {} : { key }),
});

/** See `Server.history`. */
export async function readHistory(rooms: Rooms, room: string, options: HistoryOptions = {}): Promise<HistoryPage> {
  const { tenant = "", since, before } = options;
  checkRoom(room);
  checkTenant(tenant);
  checkPosition("since", since);
  checkPosition("before", before);
  if (since !== undefined && before !== undefined) {
    throw new ProtocolError("before", "either since or before", "both");
  }
  const limit = checkNumber("limit", options.limit, HISTORY_LIMIT.usual, 1, HISTORY_LIMIT.most);
  const name = fullName(tenant, room);
  const rules = rooms.rulesFor(name);
  if (rules.history.size === 0) return { events: [], more: false };
  const { position, events, more } = await rooms.reads.read(name, { since, before }, limit, rules);
  if (events === undefined) return { position, events, more: false };
  const page = pageOf(events, since !== undefined, PAGE_BYTES);
  return { position, events: page.map(onWire), more: more || page.length < events.length };
}
