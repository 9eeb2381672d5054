import type { ClientFrame, ServerFrame } from "./frames.js";

/** A frame as it crosses the network: a string is sent as a text message, bytes as a binary one. */
export type Wire = string | Uint8Array;

export type CodecName = "json" | "msgpack";

/**
 * One way to write frames, as a client needs it. `decode` throws `ProtocolError` and nothing else, whatever the bytes.
 * Fields that the table does not know are passed over, and a frame type that it does not know is `undefined`: an old
 * client lives with a newer server.
 */
export interface ClientCodec {
  readonly name: CodecName;
  /** What the client offers in `Sec-WebSocket-Protocol`. */
  readonly subprotocol: string;
  encode(frame: ClientFrame): Wire;
  decode(wire: Wire): ServerFrame | undefined;
}
