import type { CodecName, Wire } from "./client-codec.js";
import type { RoomEvent } from "./event.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import type { Payload } from "./payload.js";

export type { ClientCodec, CodecName, Wire } from "./client-codec.js";

/** A client's frame as a server takes it: what the application's clients put in stays in the bytes it came in. */
export type ReceivedFrame =
  | Exclude<ClientFrame, { type: "publish" | "call" | "answer" }>
  | (Omit<ClientFrame<"publish">, "data"> & { readonly data: Payload })
  | (Omit<ClientFrame<"call">, "data"> & { readonly data: Payload })
  | (Omit<ClientFrame<"answer">, "data"> & { readonly data?: Payload });

/**
 * The frames that end in a list of events, without that list. The epoch of `events` is for codecs that name each event's
 * position; it is not on the wire of frames.
 */
export type EventsHead =
  | (Omit<ServerFrame<"events">, "events"> & { readonly epoch?: string | undefined })
  | Omit<ServerFrame<"joined">, "events">
  | Omit<ServerFrame<"history">, "events">;

/** The frames that carry no events. */
export type PlainServerFrame = Exclude<ServerFrame, { type: "events" | "joined" | "history" }>;

/**
 * One way to write frames, as a server needs it. An event is encoded once, and its bytes then go into as many frames as
 * want it.
 */
export interface ServerCodec {
  readonly name: CodecName;
  readonly subprotocol: string;
  /** Whether its frames travel as binary messages. */
  readonly binary: boolean;
  /** Throws `ProtocolError` and nothing else, whatever the bytes; a text message as a string, a binary one as bytes. */
  decode(wire: Wire): ReceivedFrame;
  encode(frame: PlainServerFrame): Wire;
  /** The event in this codec; made at the first call and kept with the event. */
  encodeEvent(event: RoomEvent): Wire;
  encodeEvents(head: EventsHead, events: readonly RoomEvent[]): Wire;
}
