/** A running node, as the application has it: the interface. */
import type { Position } from "../protocol/positions.js";
import type { Revoke } from "./access/revocations/revocation.js";
import type { Forget } from "./cluster/asks.js";
import type { Answered, Count, Counts, NodeInfo } from "./cluster/cluster.js";
import type { Called, CallOptions, PageOptions, RoomsOptions, RoomsPage } from "./cluster/everywhere.js";
import type { Settings } from "./config.js";
import type { HistoryOptions, HistoryPage } from "./history.js";
import type { MembersPage } from "./members.js";

export type PublishOptions = {
  /** Names this publish: the same key from the same sender within the window is not a second event. */
  readonly key?: string;
  /** The user it is from. */
  readonly from?: string;
  /** Whose room it is; left out: the room of a server without tenants. */
  readonly tenant?: string;
};

export type TenantOptions = {
  /** Whose user or room it is; left out: one of a server without tenants. */
  readonly tenant?: string | undefined;
};

/** A running node. */
export interface Server {
  /** The TCP port it listens on. */
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  /** `http://host:port/metrics`, where `metricsPort` is set. */
  readonly metricsUrl: string | undefined;
  readonly settings: Settings;
  /** How many clients are connected, those included that have not said hello. */
  readonly connections: number;
  /** How many rooms are open: with someone here, or lingering. */
  readonly openRooms: number;
  /** What of the engines cannot be reached now, a line each; empty when everything works. */
  problems(): readonly string[];
  /** The nodes that are there, this one first: those that gave a sign of life within `leaseMs`. */
  nodes(): readonly NodeInfo[];
  /**
   * Closes every session of the user, on all nodes (close code 4201: the SDK does not come back by itself). Whether the
   * user may come back is for `authenticate` to say. Resolves with how many there were. Rejects with `ProtocolError` for
   * what cannot be a user, and with `EngineError` where the other nodes cannot be asked; it is done on this one then too.
   */
  disconnect(user: string, options?: TenantOptions): Promise<Count>;
  /** Takes the user's sessions out of the room, on all nodes, and tells each. Resolves and rejects as `disconnect` does. */
  remove(user: string, room: string, options?: TenantOptions): Promise<Count>;
  /**
   * Takes back a token, all of a user's tokens, a user's right to be connected, or actions in rooms, on all nodes, until
   * the tokens that allow it have expired. Sessions that it concerns are closed (code 4200) or taken out of the rooms.
   * Resolves once it is in the log that all nodes read, and done on this one. Rejects with `ProtocolError` for what cannot
   * be, naming the field, and with `EngineError` where the log cannot be written now: it is done on this node then too, and
   * is written later.
   */
  revoke(what: Revoke): Promise<void>;
  /** How many clients and open rooms there are, on all nodes. Rejects with `EngineError` where they cannot be asked. */
  counts(): Promise<Counts>;
  /** How many clients are in the room, on all nodes. Rejects as `counts` does, and with `ProtocolError`. */
  count(room: string, options?: TenantOptions): Promise<Count>;
  /**
   * The rooms with clients, on all nodes, and how many are in each: a page, in order, each room once. Rejects as `count`
   * does. It is no snapshot: who comes and goes while pages are read may be on none of them, or on one that is behind.
   */
  rooms(options?: RoomsOptions): Promise<RoomsPage>;
  /**
   * The room's members on all nodes: users, how many sessions each has, and what is shown of them, a page, in order. Who is a
   * member is for the kind's rule `presence` to say. Rejects with `ProtocolError` for what cannot be asked, and with `EngineError`.
   */
  members(room: string, options?: PageOptions): Promise<MembersPage>;
  /** What the room's log holds. Rejects with `ProtocolError` for what cannot be asked, and with `EngineError`. */
  history(room: string, options?: HistoryOptions): Promise<HistoryPage>;
  /**
   * Asks every session of the user, on all nodes, and collects what they answer: within `timeoutMs` (5000 by default), and a
   * second later where a node is missing. `method` has the form of an event's name; `data` is a JSON value of at most
   * 16,384 bytes. A session is asked at most once, and not again after a lost connection; asked for again it is another question.
   * Rejects with `ProtocolError` for what cannot be, and with `EngineError` where the other nodes cannot be asked; the sessions
   * of this one are asked then too.
   */
  call(user: string, method: string, data: unknown, options?: CallOptions): Promise<Called>;
  /**
   * Forgets what nodes remember of the application's answers to `connect` and `join`: about a user, a room, a whole tenant,
   * or, where none is named, everything. Rejects as `disconnect` does; `missing` names nodes that may go by it for as long as
   * they were told to.
   */
  forget(what?: Forget): Promise<Answered>;
  /**
   * Publishes an event, as the application. Resolves once it is in the log, with its position; with `undefined` in a
   * room without history. Rejects with `ProtocolError` for names or data that cannot travel, and with `EngineError`.
   */
  publish(room: string, event: string, data: unknown, options?: PublishOptions): Promise<Position | undefined>;
  /**
   * Ends without any client noticing: `/ready` says no, load balancers have `noticeMs` to see it, then each client is
   * told to move to another node, in its turn within `drainMs`, and is served until it is there. Those who have not moved shortly
   * before `deadlineMs` are closed as by `close`. Where there is no other node to move to, it is `close`. Resolves
   * once everything has ended, after `deadlineMs` at the latest.
   */
  drain(): Promise<void>;
  /**
   * Takes no new connections, tells every client to come back (close code 4100, each after a delay of its own), waits
   * for publishes under way and ends. Resolves after `deadlineMs` at the latest. Cuts a drain short.
   */
  close(): Promise<void>;
}
