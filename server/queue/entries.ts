/** The stream of what happened, as backends read it: one JSON object each. Fields are only ever added. */
import type { NewEvent } from "../../protocol/event.js";
import type { Payload } from "../../protocol/payload.js";
import type { Position } from "../../protocol/positions.js";

/** The largest data that a record has, in bytes: of larger ones it says how large they are. */
export const MAX_DATA_BYTES = 524_288;

/** A room, as its clients know it, and whose it is: "" where there are no tenants. */
export type RoomName = { readonly room: string; readonly tenant: string };

/** Who connected. */
export type Who = {
  readonly user: string | undefined;
  readonly tenant: string;
  readonly session: string;
};

/** Why a session left: it goes on somewhere else; one of the two sides ended it; or its connection was lost. */
export type LeftReason = "moved" | "closed" | "lost";

const text = (value: string): string => JSON.stringify(value);

const optional = (name: string, value: string | undefined): string =>
  value === undefined || value === "" ? "" : `,"${name}":${text(value)}`;

const where = ({ room, tenant }: RoomName): string => `"room":${text(room)}${optional("tenant", tenant)}`;

const at = ({ epoch, offset }: Position): string => `{"epoch":${text(epoch)},"offset":${offset}}`;

const dataOf = (data: Payload): string =>
  data.isWithin(MAX_DATA_BYTES) ? `"data":${data.json}` : `"dataBytes":${data.size}`;

const bytes = (json: string): Buffer => Buffer.from(json);

/** What an entry of a node begins with. `id` is the entry's own. */
const head = (type: string, id: string, { name, instance }: NodeName, at = Date.now()): string =>
  `{"type":"${type}","id":${text(id)},"at":${at},"node":${text(name)},"instance":${text(instance)}`;

export type NodeName = {
  /** The node's name, by the setting. */
  readonly name: string;
  /** Made up at each start. */
  readonly instance: string;
};

/** An event of a room; without a position in a room without history, where the entry's `id` is the node's. */
export function published(name: RoomName, event: NewEvent, place: Position | { readonly id: string }): Buffer {
  const isPlaced = "epoch" in place;
  const full = name.tenant === "" ? name.room : `${name.tenant}|${name.room}`;
  const id = isPlaced ? `${full}@${place.epoch}:${place.offset}` : place.id;
  return bytes(
    `{"type":"published","id":${text(id)},"at":${event.at},${where(name)}${isPlaced ? `,"position":${at(place)}` : ""}` +
      `,"event":${text(event.event)},${dataOf(event.data)}${optional("from", event.from)}${optional("key", event.key)}}`,
  );
}

/** What was published in the room after `from`, up to `to`, was gone before it was recorded. */
export function gap(name: RoomName, from: Position, to: Position): Buffer {
  const full = name.tenant === "" ? name.room : `${name.tenant}|${name.room}`;
  const id = text(`${full}@gap:${to.epoch}:${to.offset}`);
  return bytes(`{"type":"gap","id":${id},"at":${Date.now()},${where(name)},"from":${at(from)},"to":${at(to)}}`);
}

const of = ({ user, tenant, session }: Who): string =>
  `${optional("user", user)}${optional("tenant", tenant)}${optional("session", session)}`;

/** A session as it began, `at` Unix milliseconds. */
export type Beginning = { readonly who: Who; readonly id: string; readonly at: number; readonly isResumed: boolean };

export function connected(node: NodeName, { who, id, at, isResumed }: Beginning): Buffer {
  return bytes(`${head("connected", id, node, at)}${of(who)},"resumed":${isResumed}}`);
}

/** `since` is the id of the entry that told of its beginning. */
export function left(
  node: NodeName,
  id: string,
  who: Who,
  { since, code, reason }: { readonly since: string; readonly code: number | undefined; readonly reason: LeftReason },
): Buffer {
  const ending = `,"connected":${text(since)}${code === undefined ? "" : `,"code":${code}`},"reason":"${reason}"`;
  return bytes(`${head("left", id, node)}${of(who)}${ending}}`);
}

/** The node has ended without a word: who was connected there is not any more. */
export function nodeGone(node: NodeName): Buffer {
  return bytes(`${head("node_gone", `gone-${node.instance}`, node)}}`);
}

/** The node was silent for so long that others may have told of its end, and was there all the same. */
export function nodeBack(node: NodeName, id: string): Buffer {
  return bytes(`${head("node_back", id, node)}}`);
}

/** So many entries of the node could not be kept until they could be written. */
export function lost(node: NodeName, id: string, count: number): Buffer {
  return bytes(`${head("lost", id, node)},"count":${count}}`);
}
