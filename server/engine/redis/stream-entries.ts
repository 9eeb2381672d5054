/** What Redis answers of streams. Pure. */
import type { Reply } from "./wire.js";

/** Of an answer to XREADGROUP on one stream: the places and what is written there. */
export function entriesOf(reply: Reply): [string, Reply | undefined][] {
  // In RESP3 a map, of which the connection makes a list of names and values.
  const entries = ((reply as Reply[] | null)?.[1] ?? []) as Reply[][];
  return entries.map(([place, fields]) => [String(place), fields]);
}

export function fieldsOf(reply: Reply | undefined): Map<string, Buffer> {
  const fields = new Map<string, Buffer>();
  const list = (reply ?? []) as Buffer[];
  for (let at = 0; at + 1 < list.length; at += 2) fields.set(String(list[at]), list[at + 1] as Buffer);
  return fields;
}
