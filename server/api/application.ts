/** What the API needs of the server: a node has it. */
import type { WireEvent } from "../../protocol/frames.js";
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

type PageOf = Whose & { readonly after?: string | undefined; readonly limit?: number | undefined };
type Page = Answered & {
  /** Where there are more: what `after` is for the next page. */
  readonly next?: string;
};

export type RoomsPage = Page & { readonly rooms: readonly { readonly room: string; readonly clients: number }[] };
export type MembersPage = {
  readonly members: readonly { readonly user: string; readonly sessions: number; readonly info?: unknown }[];
  /** Different users and sessions without one, in the whole room; and how many of them have none. */
  readonly count: number;
  readonly anonymous: number;
  /** Where there are more: what `after` is for the next page. */
  readonly next?: string;
};

export type HistoryAsk = Whose & {
  readonly since?: Position | undefined;
  readonly before?: Position | undefined;
  readonly limit?: number | undefined;
};
export type HistoryPage = {
  readonly position?: Position;
  /** `undefined` where the log no longer reaches back to the position that was given. */
  readonly events: readonly WireEvent[] | undefined;
  readonly more: boolean;
};

export type Called = Answered & {
  readonly sessions: number;
  readonly answers: readonly ({ readonly data: unknown } | { readonly error: { code: string; message: string } })[];
};

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
  rooms(options?: PageOf & { readonly prefix?: string | undefined }): Promise<RoomsPage>;
  members(room: string, options?: PageOf): Promise<MembersPage>;
  history(room: string, options?: HistoryAsk): Promise<HistoryPage>;
  call(
    user: string,
    method: string,
    data: unknown,
    options?: Whose & { timeoutMs?: number | undefined },
  ): Promise<Called>;
  forget(what: Whose & { readonly user?: string | undefined; readonly room?: string | undefined }): Promise<Answered>;
  nodes(): readonly NodeFacts[];
}
