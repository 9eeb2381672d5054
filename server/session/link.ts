import type { ServerCodec, Wire } from "../../protocol/codec.js";
import type { CloseCode } from "../../protocol/codes.js";

/** What a session sees of its transport. Every method may be called at any time, also after the end, and throws nothing. */
export interface Link {
  readonly codec: ServerCodec;
  /** The IP address of the client, in the one form that `normalAddress` gives it. */
  readonly address: string;
  readonly origin: string | undefined;
  /** Whether nothing can come back on it: what is asked there has no answer. */
  readonly isOneWay?: boolean;
  send(frame: Wire): void;
  /** From now on what is published in the room reaches this link. */
  join(room: string): void;
  leave(room: string): void;
  /** How many bytes wait here because the client does not read them. */
  buffered(): number;
  /** Lets the link have the heartbeats. Once, after the welcome. */
  beat(): void;
  /** Another link of the session has taken its place: whether it is read for a moment more, and then closes itself. */
  relieved?(): boolean;
  /** Closes with a code, and ends what the session had of it. */
  close(code: CloseCode, reason?: string): void;
}
