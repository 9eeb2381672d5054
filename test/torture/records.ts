/** What publishers and subscribers write down, for the checker to judge. All times are Unix milliseconds. */
import type { Position } from "../../protocol/positions.js";

/**
 * What became of a publish. `refused`: it is not in the log, nor ever will be. `unknown`: it is in the log or it is not,
 * but at most once.
 */
export type Outcome = "acknowledged" | "refused" | "unknown";

/** One event that a publisher meant to publish, all tries under its key taken together. */
export type Published = {
  /** Names the publisher among all of a run. */
  readonly publisher: number;
  /** Counts this publisher's events of this room, from 1. */
  readonly counter: number;
  readonly room: string;
  readonly outcome: Outcome;
  /** Where the server said it is; missing unless acknowledged, and in rooms without history. */
  readonly position?: Position | undefined;
  readonly sentAt: number;
  readonly answeredAt: number;
};

/** What a subscriber saw, in the order it saw it. In rooms without history `epoch` is "" and `offset` 0. */
export type Entry =
  /** It is in the room, and has been given everything up to this position. */
  | { readonly type: "joined"; readonly at: number; readonly position: Position | undefined }
  | {
      readonly type: "event";
      readonly at: number;
      readonly epoch: string;
      readonly offset: number;
      readonly publisher: number;
      readonly counter: number;
    }
  /** It was told that events may be missing, and that it goes on after this position. */
  | { readonly type: "reset"; readonly at: number; readonly position: Position | undefined };

/** One subscriber's view of one room. */
export type SubscriberLog = {
  readonly subscriber: string;
  readonly room: string;
  readonly entries: readonly Entry[];
  /** Whether it wanted to be in the room to the very end, so that what is missing at the end is missing. */
  readonly stayed: boolean;
};

export type Records = { readonly published: readonly Published[]; readonly logs: readonly SubscriberLog[] };
