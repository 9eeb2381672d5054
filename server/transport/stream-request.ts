/** What a stream of server-sent events is asked for, read from the request. Pure. */
import { ProtocolError } from "../../protocol/codes.js";
import { isRoomName } from "../../protocol/names.js";
import type { Position } from "../../protocol/positions.js";
import { RequestError } from "../api/problems.js";
import type { RequestHead } from "./client-head.js";
import { parsePositions } from "./positions.js";

/** The longest id of a stream of several rooms, in characters: a browser sends it back as a header, beside its others. */
const MAX_ID_LENGTH = 4096;
/** What a room takes in it beside its name: an epoch, an offset, and what is between them. */
const PLACE_LENGTH = 40;

const MEDIA_TYPE = "text/event-stream";

/** What the address and the headers ask for. */
export type Asked = {
  readonly rooms: readonly string[];
  readonly since: ReadonlyMap<string, Position>;
  /** The rooms that are joined with presence. */
  readonly presence: ReadonlySet<string>;
  /**
   * Whether each room is answered for itself, as the SDK wants it that opens streams one after another: a room that is refused
   * is told and the stream goes on, it begins with the welcome, a move is told at once, and one that is replaced by another of
   * its session is read for a moment more.
   */
  readonly each: boolean;
};

/** `room` is the path's, where it names one. Throws `ProtocolError` and `RequestError`. */
export function readStreamRequest(head: RequestHead, room: string | undefined, maxRooms: number): Asked {
  const accept = head.header("accept");
  if (accept !== "" && !/text\/(event-stream|\*)|\*\/\*/.test(accept)) {
    throw new RequestError("bad_request", `accept: expected ${MEDIA_TYPE}`, 406);
  }
  const query = new URLSearchParams(head.query);
  const rooms = room === undefined ? [...new Set(query.getAll("room"))] : [room];
  const each = query.has("each");
  checkRooms(rooms, maxRooms, each ? 0 : 1);
  const presence = presenceIn(query, rooms);
  const lastId = head.header("last-event-id");
  const since = query.get("since");
  if (lastId !== "") return { rooms, each, presence, since: parsePositions(lastId, rooms, "Last-Event-ID") };
  return { rooms, each, presence, since: since === null ? new Map() : parsePositions(since, rooms, "since") };
}

/** `presence=true` is for every room of the stream, `presence=` and a name for that one. */
function presenceIn(query: URLSearchParams, rooms: readonly string[]): ReadonlySet<string> {
  const asked = query.getAll("presence");
  if (asked.includes("true")) return new Set(rooms);
  const other = asked.find((name) => name !== "false" && !rooms.includes(name));
  if (other !== undefined) {
    throw new ProtocolError("presence", "true, false, or a room of this stream", JSON.stringify(other.slice(0, 64)));
  }
  return new Set(asked.filter((name) => name !== "false"));
}

function checkRooms(rooms: readonly string[], maxRooms: number, least: number): void {
  if (rooms.length < least) throw new ProtocolError("room", "the name of a room, or of several", "none");
  if (rooms.length > maxRooms) throw new ProtocolError("room", `at most ${maxRooms} rooms`, String(rooms.length));
  for (const name of rooms) {
    if (!isRoomName(name)) throw new ProtocolError("room", "a room's name", JSON.stringify(name.slice(0, 64)));
  }
  if (rooms.length === 1) return;
  const length = rooms.reduce((sum, { length }) => sum + length + PLACE_LENGTH, 0);
  if (length <= MAX_ID_LENGTH) return;
  throw new ProtocolError(
    "room",
    `fewer rooms in one stream, or shorter names: ids of at most ${MAX_ID_LENGTH}`,
    `${length}`,
  );
}
