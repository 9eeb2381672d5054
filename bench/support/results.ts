/** The line that each program prints. */
import type { Contestant } from "./dialects.js";

export type FanOutRow = {
  readonly contestant: Contestant;
  readonly eventsPerSecond: number;
  /** The server's CPU for one event to one subscriber: the median of the rounds. */
  readonly cpuUsPerDelivery: number;
  /** The same, of the best and of the worst round. */
  readonly cpuUsRange: readonly [number, number];
  /** Against plain uWebSockets.js: the median of each round's quotient. */
  readonly timesUws?: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Payload bytes, the data's 100 among them. */
  readonly bytesPerDelivery: number;
  readonly deliveries: number;
  /** The server's CPU by the time that the deliveries took. */
  readonly cpuPercent: number;
  /** How long the deliveries took by how long the publishing took; well over 1 the server falls behind the rate. */
  readonly stretch: number;
};
export type FanOutResult = {
  readonly program: "fan-out";
  readonly subscribers: number;
  readonly dataBytes: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly rows: readonly FanOutRow[];
};

export type IdleRow = {
  readonly contestant: Contestant;
  /** Of the process: what the operating system counts as resident. */
  readonly rssBytesPerConnection: number;
  /** Of the JavaScript heap and what it holds outside. */
  readonly heapBytesPerConnection: number;
  /** Resident, as soon as the last connection had come. */
  readonly earlyRssBytesPerConnection: number;
};
export type IdleResult = {
  readonly program: "idle";
  readonly connections: number;
  /** How long a process rested before its memory was read. */
  readonly restSeconds: number;
  readonly rows: readonly IdleRow[];
};

export type ConnectRow = {
  readonly contestant: Contestant;
  /** The server's CPU for one connection: the median of the rounds. */
  readonly cpuUsPerConnect: number;
  readonly cpuUsRange: readonly [number, number];
  /** Against plain uWebSockets.js: the median of each round's quotient. */
  readonly timesUws?: number;
};
export type ConnectResult = {
  readonly program: "connect";
  readonly connects: number;
  readonly concurrency: number;
  readonly rounds: number;
  readonly rows: readonly ConnectRow[];
};

export type SizeRow = { readonly entry: string; readonly minifiedBytes: number; readonly gzipBytes: number };
export type SizeResult = {
  readonly program: "client-size";
  readonly limitBytes: number;
  readonly rows: readonly SizeRow[];
};

/** Of one run: a program that failed has no result. */
export type Results = {
  readonly fanOut?: FanOutResult;
  readonly idle?: IdleResult;
  readonly connect?: ConnectResult;
  readonly size?: SizeResult;
};
