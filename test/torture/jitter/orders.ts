/** What the harness asks of a process of clients, and what it is told. */
import type { PackedRecords } from "../packed.js";
import type { Kills } from "./way.js";

/** Whose server and client it is. */
export type Contestant = "Roomcast" | "plain uWS" | "Socket.IO";

export type Order =
  /** Clients with the numbers from `first` on, all in the one room. */
  | { readonly type: "subscribe"; readonly count: number; readonly first: number }
  /** One client that publishes, and is not cut. */
  | { readonly type: "publish"; readonly eventsPerSecond: number }
  | ({ readonly type: "kill" } & Kills)
  /** Publishes no more. */
  | { readonly type: "stop" }
  | { readonly type: "progress" }
  | { readonly type: "collect" };

export type Progress = {
  readonly joined: number;
  readonly deliveries: number;
  /** Events published so far; those without an answer are not among them. */
  readonly published: number;
};

export type Collected = {
  readonly records: PackedRecords;
  readonly cuts: number;
  /** How often a client came back and the server did not know it any more. */
  readonly unrecovered: number;
};
