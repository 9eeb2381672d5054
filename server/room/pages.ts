/** Pages of a room's history, for whoever asks for them. */
import type { RoomEvent } from "../../protocol/event.js";
import { pageLength } from "./room.js";

/** How many events a page of history holds where it is not said, and at the most. */
export const HISTORY_LIMIT = { usual: 100, most: 1000 } as const;

/** What of a read fits `maxBytes`: from the front when reading on, from the back when paging back. */
export function pageOf(events: readonly RoomEvent[], forward: boolean, maxBytes: number): readonly RoomEvent[] {
  if (forward) return events.slice(0, pageLength(events, 0, maxBytes));
  const length = pageLength([...events].reverse(), 0, maxBytes);
  return length === events.length ? events : events.slice(events.length - length);
}
