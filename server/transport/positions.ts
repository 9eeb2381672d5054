/** Positions as text: `epoch:offset`, and `room=epoch:offset,room=epoch:offset` where there are several rooms. Pure. */
import { ProtocolError } from "../../protocol/codes.js";
import { isRoomName } from "../../protocol/names.js";
import type { Position } from "../../protocol/positions.js";

/** What engines make epochs of; none has a comma, an equals sign or a colon. */
const POSITION = /^([A-Za-z0-9_.-]{1,64}):(\d{1,16})$/;

const shown = (text: string): string => JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);

export const positionText = ({ epoch, offset }: Position): string => `${epoch}:${offset}`;

/** Throws `ProtocolError` for what is none, by the name of where it stood. */
export function parsePosition(text: string, field: string): Position {
  const [, epoch = "", digits = ""] = POSITION.exec(text) ?? [];
  const offset = Number(digits);
  if (epoch === "" || !Number.isSafeInteger(offset)) {
    throw new ProtocolError(field, "a position as epoch:offset", shown(text));
  }
  return { epoch, offset };
}

/**
 * The position of each room that the text names. A stream of one room has it alone; of several rooms each that has history is
 * named. Throws `ProtocolError` for what is none, and for rooms that are not of `rooms`.
 */
export function parsePositions(text: string, rooms: readonly string[], field: string): Map<string, Position> {
  const [only] = rooms;
  if (rooms.length === 1 && only !== undefined && !text.includes("=")) {
    return new Map([[only, parsePosition(text, field)]]);
  }
  const positions = new Map<string, Position>();
  for (const part of text.split(",")) {
    const [room = "", position = "", ...rest] = part.split("=");
    if (!isRoomName(room) || rest.length > 0)
      throw new ProtocolError(field, "room=epoch:offset, by commas", shown(part));
    if (!rooms.includes(room)) throw new ProtocolError(field, "rooms of this stream alone", shown(room));
    positions.set(room, parsePosition(position, field));
  }
  return positions;
}
