import type { Payload } from "./payload.js";

/** An event as it is handed to an engine. */
export type NewEvent = {
  readonly event: string;
  readonly data: Payload;
  /** The publisher's user, where it has one. */
  readonly from?: string | undefined;
  /** Unix milliseconds. */
  readonly at: number;
  /** Names this publish for its sender: see `docs/protocol.md`, "Publishing once". */
  readonly key?: string | undefined;
};

/**
 * An event on a server: what was published, where it stands in its room's log, and its bytes in each codec, made when
 * first wanted. One object serves every frame and every subscriber of the node.
 */
export class RoomEvent {
  /** The place in the log; 0 in a room without history. */
  readonly offset: number;
  readonly event: string;
  readonly data: Payload;
  readonly from: string | undefined;
  readonly at: number;
  readonly key: string | undefined;
  /** Set by the JSON codec alone. */
  json: string | undefined = undefined;
  /** Set by the MessagePack codec alone. */
  msgpack: Uint8Array | undefined = undefined;

  constructor(offset: number, event: NewEvent) {
    this.offset = offset;
    this.event = event.event;
    this.data = event.data;
    this.from = event.from;
    this.at = event.at;
    this.key = event.key;
  }

  /** About what it takes on the wire and in memory, in bytes: the data and a fixed part. */
  get size(): number {
    return this.data.size + 100;
  }
}
