import type { RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { pageLength, type Room } from "./room.js";

/** The cut between what a joiner gets in the answer and what reaches it as a member. */
export type Cut = {
  readonly position: Position | undefined;
  /** Whether everything after `since` was or is handed over. Else there is the room's latest event, or none. */
  readonly recovered: boolean;
  readonly events: readonly RoomEvent[];
};

/** Who is being brought up to the room. */
export interface Joiner {
  /**
   * `undefined` where the joiner may be given more at once; else resolves when it has read so far, or it is its turn, so
   * that it is worth asking again: others may be waiting for the same joiner, and the first of them may fill it up again.
   */
  ready(): Promise<void> | undefined;
  /** How many bytes of events a page may hold, and the answer itself. */
  readonly pageBytes: number;
  /** Takes a full page that comes before the cut. */
  page(events: readonly RoomEvent[], previous: number): void;
  /**
   * Takes the rest and becomes a member, before it returns: a promise here, even one that is settled, would let other
   * things happen between the two. What waited in the room was flushed to those who were members, so that what is
   * appended from now on reaches the joiner as a member, and nothing else does.
   */
  cut(cut: Cut): void;
  /** Whether the joiner has gone meanwhile: nothing more is done for it. */
  readonly gone: boolean;
}

/**
 * Brings a joiner from `since` to the room's tail, a page at a time, and makes the cut: `undefined` means
 * that it is made already, a promise that it is made, or the joiner gone, once it resolves.
 */
export function stitch(room: Room, since: Position | undefined, joiner: Joiner): Promise<void> | undefined {
  if (since !== undefined && room.hasHistory) return catchUp(room, since, joiner);
  return nothingRecovered(room, joiner);
}

/** The cut of who resumes nothing. */
function nothingRecovered(room: Room, joiner: Joiner): Promise<void> | undefined {
  return room.givesLatest ? cutWithLatest(room, joiner) : cutAt(room, joiner, [], false);
}

function cutWithLatest(room: Room, joiner: Joiner): Promise<void> | undefined {
  const waiting = joiner.ready();
  if (waiting === undefined && room.knowsLatest) return cutAtLatest(room, joiner);
  return whenKnown(room, joiner, waiting);
}

async function whenKnown(room: Room, joiner: Joiner, until: Promise<void> | undefined): Promise<void> {
  let waiting = until;
  while (!joiner.gone) {
    if (waiting !== undefined) await waiting;
    else if (!room.knowsLatest) await room.findLatest();
    else return cutAtLatest(room, joiner);
    waiting = joiner.ready();
  }
}

function cutAtLatest(room: Room, joiner: Joiner): undefined {
  const { latest } = room;
  return cutAt(room, joiner, latest === undefined ? [] : [latest], false);
}

async function catchUp(room: Room, since: Position, joiner: Joiner): Promise<void> {
  let from = since;
  /** Read from the log, and not handed over yet: a short rest goes into the answer itself. */
  let read: readonly RoomEvent[] = [];
  let refreshed = false;
  /** The log does not reach back to `from`. */
  let lost = false;
  while (!joiner.gone) {
    const waiting = joiner.ready();
    if (waiting !== undefined) {
      await waiting;
      continue;
    }
    const position = room.position as Position;
    // The log would say so too; this spares it the question.
    if (lost || position.epoch !== since.epoch) return nothingRecovered(room, joiner);
    const previous = read.length > 0 ? (read[read.length - 1] as RoomEvent).offset : from.offset;
    if (previous > position.offset) {
      // A reader ahead of this node: look once how far the log really is, and believe nobody beyond it.
      if (refreshed) return nothingRecovered(room, joiner);
      refreshed = true;
      await room.refresh();
      continue;
    }
    const rest = room.after({ epoch: since.epoch, offset: previous });
    const events = rest === undefined ? read : read.length === 0 ? rest : [...read, ...rest];
    const count = pageLength(events, 0, joiner.pageBytes);
    if (rest !== undefined && count === events.length) return cutAt(room, joiner, events, true);
    if (events.length > 0) {
      const page = events.slice(0, count);
      joiner.page(page, from.offset);
      from = { epoch: since.epoch, offset: (page[page.length - 1] as RoomEvent).offset };
      // What of the log's page is left goes first; what was the tail's is asked of the tail again, as it is then.
      read = read.slice(count);
      if (read.length > 0 || rest !== undefined) continue;
    }
    // Many may have waited for the same read: each goes on when it is ready again.
    read = (await room.read(from)) ?? [];
    lost = read.length === 0;
  }
}

function cutAt(room: Room, joiner: Joiner, events: readonly RoomEvent[], recovered: boolean): undefined {
  room.flush();
  joiner.cut({ position: room.position, recovered, events });
}
