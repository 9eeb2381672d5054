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

export type PublishSide = {
  readonly perSecond: number;
  /** CPU of the process that publishes, for one event. */
  readonly cpuUs: number;
  /** CPU of the broker for one event. */
  readonly brokerCpuUs: number;
};
export type PublishRow = {
  readonly history: boolean;
  readonly underWay: number;
  readonly node: PublishSide;
  /** The broker's client alone, by the way it was used. */
  readonly bare: { readonly [way: string]: PublishSide };
  /** The node's rate by that of the fastest bare one: the median of each round's quotient. */
  readonly share: number;
  readonly shareRange: readonly [number, number];
};
export type PublishResult = {
  readonly program: "publish-redis" | "publish-nats";
  readonly dataBytes: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly rooms: number;
  readonly rows: readonly PublishRow[];
};

export type LatencyRow = {
  readonly engine: "memory" | "redis" | "nats";
  /** The kind's rule. */
  readonly batchMs: number;
  /** Where the subscriber is: at the node that was published to, or at the other one. */
  readonly at: "same node" | "other node";
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Over one node on the memory engine: the median of each round's difference of the p50. */
  readonly addedMs?: number;
  readonly samples: number;
};
/** What reaches a node of rooms that nobody on it has joined. */
export type InterestRow = {
  readonly engine: "redis" | "nats";
  readonly rooms: number;
  readonly joined: number;
  readonly published: number;
  /** Events on their way from the broker to the node: of the rooms joined there, and of others. */
  readonly reached: number;
  readonly strangers: number;
  /** What the client there got. */
  readonly delivered: number;
};
export type AcrossNodesResult = {
  readonly program: "across-nodes";
  readonly perSecond: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly rows: readonly LatencyRow[];
  readonly interest: readonly InterestRow[];
};

export type ResubscribeRow = {
  readonly engine: "redis" | "nats";
  /** How long the joins of all rooms took. */
  readonly joinSeconds: number;
  readonly awayMs: number;
  /** From the broker's first answer until all rooms are subscribed again. */
  readonly againMs: number;
  /** The node's event loop from the kill until all rooms were looked at: the longest turn, as it was, and without the time
   * that the process waited for a core. */
  readonly stallMs: number;
  readonly ownStallMs: number;
  /** The same with all rooms joined and nothing going on. */
  readonly restStallMs: number;
  readonly ownRestStallMs: number;
  /** Events published in a part of the rooms afterwards, and those that their readers got. */
  readonly published: number;
  readonly delivered: number;
  /** Rooms whose readers were told that their log was lost. */
  readonly resets: number;
};
export type ResubscribeResult = {
  readonly program: "resubscribe";
  readonly rooms: number;
  readonly sessions: number;
  readonly rows: readonly ResubscribeRow[];
};

export type LimitsRow = {
  readonly case: string;
  /** Nanoseconds of CPU for each, the median of all rounds. */
  readonly ns: number;
  readonly nsRange: readonly [best: number, worst: number];
  /** The same loop, without asking. */
  readonly nsWithout: number;
};

export type LimitsResult = {
  readonly program: "limits";
  readonly publishes: number;
  readonly sessions: number;
  readonly rooms: number;
  readonly addresses: number;
  readonly rounds: number;
  readonly rows: readonly LimitsRow[];
};

export type PermissionsRow = {
  readonly case: string;
  readonly roomLength: number;
  /** The median of the rounds, and the best and the worst. */
  readonly nsPerCheck: number;
  readonly nsRange: readonly [number, number];
};
export type PermissionsResult = {
  readonly program: "permissions";
  /** Kinds with rules of their own, and patterns in the token. */
  readonly kinds: number;
  readonly patterns: number;
  readonly checks: number;
  readonly rounds: number;
  readonly rows: readonly PermissionsRow[];
};

export type TokenHelloRow = {
  /** The algorithm of its signature, or `none` for a hello without a token. */
  readonly token: string;
  /** The server's CPU for one connection: the median of the rounds. */
  readonly cpuUsPerConnect: number;
  readonly cpuUsRange: readonly [number, number];
  /** Against a hello without: the median of each round's quotient. */
  readonly timesWithout: number;
};
export type TokenHelloResult = {
  readonly program: "token-hello";
  readonly connects: number;
  readonly concurrency: number;
  readonly rounds: number;
  readonly rows: readonly TokenHelloRow[];
};

export type HttpPublishRow = {
  readonly way: string;
  readonly eventsPerRequest: number;
  /** The server's CPU for one event: the median of the rounds. */
  readonly cpuUsPerEvent: number;
  readonly cpuUsRange: readonly [number, number];
  /** How many events a second of one core's time publishes. */
  readonly eventsPerCoreSecond: number;
  /** Against a request of the bare route: the median of each round's quotient. */
  readonly percentOfBare: number;
};
export type HttpPublishResult = {
  readonly program: "http-publish";
  readonly requests: number;
  readonly connections: number;
  readonly rounds: number;
  readonly rows: readonly HttpPublishRow[];
};

export type HooksRow = {
  /** Whether the dead application takes posts and never answers, or is not there. */
  readonly outage: "silent" | "gone";
  /** Questions that were under way before the circuit opened, and how long the longest of them took. */
  readonly firstFailures: number;
  readonly firstFailureMs: number;
  /** Questions that were refused at once, and how long clients waited for that. */
  readonly refusals: number;
  readonly refusalP50Ms: number;
  readonly refusalP99Ms: number;
  /** Questions that were asked to see whether the application is back, and waited for it. */
  readonly tries: number;
  /** From its return to the first answer of the application's. */
  readonly backMs: number;
  /** Requests in a room that needs no application: before the outage, and during it. */
  readonly othersUpP99Ms: number;
  readonly othersDownP99Ms: number;
  readonly othersFailed: number;
};
export type HooksResult = {
  readonly program: "hooks";
  readonly clients: number;
  readonly downMs: number;
  readonly timeoutMs: number;
  readonly retryMs: number;
  readonly failures: number;
  readonly rows: readonly HooksRow[];
};

export type HookCacheRow = {
  readonly answers: string;
  readonly joinsPerSecond: number;
  /** The server's CPU for a join and the leave after it. */
  readonly cpuUsPerJoin: number;
  /** How many questions reached the application. */
  readonly questionsPerThousandJoins: number;
};
export type HookCacheResult = {
  readonly program: "hook-cache";
  readonly clients: number;
  readonly rooms: number;
  readonly joins: number;
  readonly rounds: number;
  readonly rows: readonly HookCacheRow[];
};

/** Joins as fast as they come. */
export type PresenceJoins = {
  readonly perSecond: number;
  /** The nodes' CPU for one, in µs. */
  readonly cpuUs: number;
};
export type PresenceRow = {
  readonly engine: "memory" | "redis" | "nats";
  readonly nodes: number;
  /** From the first join to the last answer, and from there until everybody has been told of everybody. */
  readonly joinSeconds: number;
  readonly allKnownMs: number;
  /** Frames that told a member who is there: over all members, and of the one that had most of them. */
  readonly framesMean: number;
  readonly framesMost: number;
  /** The most that a member had beside the first, which says what is there as it comes, by the intervals that it was there. */
  readonly framesPerInterval: number;
  /** What the engine wrote while all of them came, signs of life included, by members. */
  readonly engineWritesPerMember: number;
  /** Registers that the nodes wrote meanwhile, by members. */
  readonly registersPerMember: number;
  /** Of the heap of one node, for each member of the cluster, beside a room that all are in without presence. */
  readonly nodeBytesPerMember: number;
  readonly engineBytesPerMember: number;
  /** What the engine writes for one sign of life of a node: without members, and with all of them. */
  readonly beatEmpty: number;
  readonly beatFull: number;
  readonly plain: PresenceJoins;
  readonly withPresence: PresenceJoins;
};
export type PresenceResult = {
  readonly program: "presence";
  readonly members: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly intervalMs: number;
  readonly rows: readonly PresenceRow[];
};

/** Of one run: a program that failed has no result. */
export type Results = {
  readonly fanOut?: FanOutResult;
  readonly idle?: IdleResult;
  readonly connect?: ConnectResult;
  readonly size?: SizeResult;
  readonly publishRedis?: PublishResult;
  readonly publishNats?: PublishResult;
  readonly acrossNodes?: AcrossNodesResult;
  readonly resubscribe?: ResubscribeResult;
  readonly permissions?: PermissionsResult;
  readonly limits?: LimitsResult;
  readonly tokenHello?: TokenHelloResult;
  readonly httpPublish?: HttpPublishResult;
  readonly hooks?: HooksResult;
  readonly hookCache?: HookCacheResult;
  readonly presence?: PresenceResult;
};
