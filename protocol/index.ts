/** The wire protocol, for anyone who writes a client, a proxy or a test: frames, codecs, codes and names. */
export type { ClientCodec, CodecName, ServerCodec, Wire } from "./codec.js";
export {
  type AfterClose,
  afterClose,
  type CloseCode,
  closeCodes,
  type ErrorCode,
  errorCodes,
  ProtocolError,
} from "./codes.js";
export {
  type ClientFrame,
  clientFrames,
  type Limits,
  type Member,
  type ServerFrame,
  serverFrames,
  structures,
  type WireEvent,
} from "./frames.js";
export { json } from "./json.js";
export { jsonServer } from "./json-server.js";
export { msgpack } from "./msgpack.js";
export { msgpackServer } from "./msgpack-server.js";
export { isEventName, isRoomName, kindOf } from "./names.js";
export { type Position, samePosition } from "./positions.js";
