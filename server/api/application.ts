/** What the API needs of the server: a node has it. */
import type { Position } from "../../protocol/positions.js";
import type { Revoke } from "../access/revocations/revocation.js";

/** Of how many nodes an answer is made. */
export type Answered = {
  readonly nodes: number;
  /** The names of nodes that did not answer in time. */
  readonly missing: readonly string[];
};
export type Count = Answered & { readonly count: number };

type Whose = { readonly tenant?: string | undefined };

export type Publish = Whose & { readonly key?: string | undefined; readonly from?: string | undefined };

/** A node, as another says of itself or it says of itself. */
export type NodeFacts = {
  readonly name: string;
  readonly version: string;
  readonly address?: string | undefined;
  readonly host: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly connections: number;
  readonly sessions: number;
  readonly rooms: number;
  readonly draining: boolean;
  readonly problems: readonly string[];
  readonly self: boolean;
};

/** Every method rejects with `ProtocolError` for what cannot be, and with `EngineError` where the engine is away. */
export interface Application {
  /** `data` is a JSON value, or the `Payload` of one, which may be in several events. */
  publish(room: string, event: string, data: unknown, options?: Publish): Promise<Position | undefined>;
  remove(user: string, room: string, options?: Whose): Promise<Count>;
  disconnect(user: string, options?: Whose): Promise<Count>;
  revoke(what: Revoke): Promise<void>;
  count(room: string, options?: Whose): Promise<Count>;
  nodes(): readonly NodeFacts[];
}
