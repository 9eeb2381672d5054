/** The contracts of an engine: what makes several nodes one server. `conformance.ts` is their test. */
import type { NewEvent, RoomEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";

/** What a room's kind asks of its log. */
export type LogRules = {
  readonly history: {
    /** How many events the log keeps at the most; 0: the room keeps no history and has no positions. */
    readonly size: number;
    /** How long it keeps an event at the most, in milliseconds. */
    readonly ageMs: number;
  };
  /** How long a publish's key is remembered, in milliseconds. */
  readonly keyWindowMs: number;
};

/** Which events of a log are asked for: those after a position, those before one, or (neither) the latest. */
export type Range = { readonly since?: Position | undefined; readonly before?: Position | undefined };

export type History = {
  /** The log's end, at the moment the events were read. */
  readonly position: Position;
  /**
   * The events asked for, rising; `undefined` when the log no longer reaches back to `since`, or is of another epoch.
   * With `since` they are the first ones after it, else the last ones of the range.
   */
  readonly events: readonly RoomEvent[] | undefined;
  /**
   * Whether the limit left out more of the range. Where `events` is `undefined`: whether `position` is not the log's end,
   * but an earlier place from which it can be read on without a hole.
   */
  readonly more: boolean;
};

/** What a room without history answers: it has no log, so nothing can be read on from anywhere. */
export const noHistory = ({ since, before }: Range): History => ({
  position: { epoch: "", offset: 0 },
  events: since === undefined && before === undefined ? [] : undefined,
  more: false,
});

/**
 * Where a node is told of events: called by the engine, in the order of the log, once for every event published in a
 * room that the node has subscribed, unless the way there loses it or swaps it with another. `previous` is the offset of
 * the event before the first one, so that a loss shows; an event that was passed over shows when it comes late. In a room without history `epoch` is "" and `previous` is 0.
 * It returns quickly and throws nothing.
 */
export type Deliver = (room: string, epoch: string, events: readonly RoomEvent[], previous: number) => void;

/**
 * Called by the engine when events of a room may not have reached this node: its connection was away, or the room's log
 * is somewhere else now. The room is subscribed again by then; what is missing is in its log.
 */
export type Suspect = (room: string) => void;

/** Makes a node's broker; it connects in the background and for ever. Several made of one are nodes of one cluster. */
export type OpenBroker = (deliver: Deliver, suspect: Suspect) => Broker;

/** Which engine holds a room. */
export const engineNames = ["memory", "redis", "nats"] as const;
export type EngineName = (typeof engineNames)[number];

/**
 * The start of names of rooms that are the server's own. They have no history; an engine of several shards publishes and
 * subscribes them on all of its shards, so that they work while one of them does, and may deliver an event more than once.
 */
export const RESERVED = "$";
/**
 * The start of other names of the server's own: see `server/room/names.ts`. Of those without history, too, the engine says when events may not have
 * come: what is told in them can be read elsewhere.
 */
export const OWN = "|";

/**
 * The log of every room and the way from a publisher to all nodes. Every method may reject with an `EngineError`, and
 * settles within a bounded time: a broker that is away is found out, and from then on calls are refused at once.
 */
export interface Broker {
  /**
   * Appends the event and hands it on in one step, so that the order of the log is the order of delivery. Calls for one
   * room take effect in the order they were made. Resolves with the event's position once it is in the log; in a room
   * without history, with `undefined`. With a key that this sender (`event.from`) has used within the window it appends
   * nothing and resolves with the position of the first.
   */
  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined>;
  /** Once resolved, nothing published later is kept from this node without a hole showing. */
  subscribe(room: string, rules: LogRules): Promise<void>;
  /** After it nothing more of the room need be delivered; something may still be. */
  unsubscribe(room: string): Promise<void>;
  /**
   * The log's end, and at most `limit` events of the range. `limit` 0 asks for the end alone, and with `since` by `more`
   * whether there is anything after it: a question that rooms ask all the time, so it is to cost little.
   */
  history(room: string, range: Range, limit: number, rules: LogRules): Promise<History>;
  /**
   * What of the engine cannot be reached now, a line each without any secret, beginning with the engine's name; empty
   * when everything works.
   */
  problems(): readonly string[];
  /** Ends connections and timers. What is still under way rejects. */
  close(): Promise<void>;
}

/**
 * When to try again what its connection has taken with it, in milliseconds: most connections are back in a moment, and
 * where one is not, the refusals that follow say how long to wait.
 */
export const LOST_RETRY_MS = 100;

/** The engine cannot do it now. `retryMs` says that it is worth another try, and when. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code: "unavailable" | "timeout";
  readonly retryMs: number;

  constructor(code: "unavailable" | "timeout", message: string, retryMs = 1000) {
    super(message);
    this.code = code;
    this.retryMs = retryMs;
  }
}
