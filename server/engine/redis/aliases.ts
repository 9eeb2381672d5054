/**
 * The server's own rooms in a Redis Cluster. One room is in one slot, and these have to work while any primary does: so
 * each goes by several names, which are in different slots.
 */
import { RESERVED } from "../engine.js";

/** How many names: of three primaries, one is left out by one room of 219. */
const NAMES = 16;
/** No room's name has it. */
const MARK = "#";
const MARK_BYTE = 0x23;
const END = Buffer.from("}");

export const isReserved = (room: string): boolean => room.startsWith(RESERVED);

/** All names of a room of the server's own; its own one is the first. */
export const aliasesOf = (room: string): readonly string[] => [
  room,
  ...Array.from({ length: NAMES - 1 }, (_, index) => room + MARK + index),
];

/** The room that has this name. */
export function roomOfAlias(alias: string): string {
  const mark = alias.indexOf(MARK);
  return mark < 0 ? alias : alias.slice(0, mark);
}

/** What an alias is called in pub/sub, as what its room is. */
export function nameOfAlias(name: Buffer): Buffer {
  const mark = name.indexOf(MARK_BYTE);
  return mark < 0 ? name : Buffer.concat([name.subarray(0, mark), END]);
}
