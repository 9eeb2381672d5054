/** The numbers of a node, for Prometheus. The parts keep them as plain numbers; they are read when somebody asks. */
import { Counter, Gauge, Registry } from "prom-client";
import type { AddressReason } from "./access/limits/address-limits.js";
import type { LimitName } from "./access/limits/limits.js";
import type { HookNumbers } from "./application.js";
import type { CacheNumbers } from "./hooks/decision-cache.js";
import type { PresenceNumbers } from "./presence/rosters.js";
import { ProcessNumbers } from "./process-numbers.js";
import type { CommandNumbers } from "./queue/commands.js";
import type { RecordNumbers } from "./queue/records.js";
import type { RefusalReason } from "./transport/admission.js";

export const nodeStates = ["starting", "ready", "draining"] as const;
export type NodeState = (typeof nodeStates)[number];

/** How far a drain has come; all 0 before there is one. */
export type DrainNumbers = {
  /** Clients that are still to go. */
  readonly left: number;
  /** Clients that have moved: were told to, and closed their connection themselves. */
  readonly moved: number;
  /** Clients that were closed, since they had not moved in time. */
  readonly closed: number;
};

/** What a node counts, as it is now; totals count since its start. */
export type NodeNumbers = {
  readonly state: NodeState;
  /** Clients that are connected, those included that have not said hello. */
  readonly connections: number;
  /** Those of them that were welcomed. */
  readonly sessions: number;
  /** Rooms that are open: with someone here, or lingering. */
  readonly rooms: number;
  readonly drain: DrainNumbers;
  /** Connections that were not taken, by why; a total each. */
  readonly refused: Readonly<Record<RefusalReason | AddressReason | "draining", number>>;
  /** What was refused by limits other than those of connections, by the limit; a total each. */
  readonly limited: Readonly<Record<LimitName, number>>;
  /** Requests to the HTTP API, by operation and the class of the answer's status: `publish 2xx`; a total each. */
  readonly requests: Readonly<Record<string, number>>;
  /** Connections that have not been welcomed yet. */
  readonly handshakes: number;
  /** Streams of server-sent events that are open. */
  readonly streams: number;
  /** Requests of clients over HTTP, by what was asked; a total each. */
  readonly clientRequests: Readonly<Record<"publish" | "history" | "call", number>>;
  /** Reads of a room's log; a total. */
  readonly logReads: number;
  /** Deliveries that came for rooms that are not open here; a total. */
  readonly strays: number;
  /** Bytes of all frames published to rooms, each counted once whatever the number of its readers; a total. */
  readonly publishedBytes: number;
  /** How much of the engines cannot be reached now. */
  readonly problems: number;
  /** Posts to hooks, by the hook and what became of them, totals; seconds that they took; the state of circuits. */
  readonly hooks: HookNumbers;
  /** Of the answers of hooks that are remembered. */
  readonly decisions: CacheNumbers;
  /** Of the queue of commands, where there is one. */
  readonly commands: CommandNumbers | undefined;
  /** Of the stream of what happened, where there is one. */
  readonly records: RecordNumbers | undefined;
  /** Of who is in the rooms. */
  readonly presence: PresenceNumbers;
};

/** Where the numbers of a node come from: asked at each scrape. */
export type MetricsSource = {
  readonly node: string;
  readonly version: string;
  readonly numbers: () => NodeNumbers;
};

/** A metric, and what it says: one number, or one for each value of its label. */
type Definition<Source> = {
  readonly name: string;
  readonly help: string;
  readonly kind: "gauge" | "counter";
  /**
   * The label, or two; values of two are told with a space between them. They are words that stand in the code: rooms,
   * users or addresses would be a series each, and every one be kept.
   */
  readonly label?: string | readonly [string, string];
  readonly read: (source: Source) => number | Readonly<Record<string, number>>;
};

const ofNode: readonly Definition<NodeNumbers>[] = [
  {
    name: "roomcast_node_state",
    help: "The state that this node is in is 1, the others are 0.",
    kind: "gauge",
    label: "state",
    read: ({ state }) => Object.fromEntries(nodeStates.map((each) => [each, each === state ? 1 : 0])),
  },
  {
    name: "roomcast_connections",
    help: "Clients that are connected, those included that have not said hello.",
    kind: "gauge",
    read: ({ connections }) => connections,
  },
  {
    name: "roomcast_sessions",
    help: "Clients that were welcomed.",
    kind: "gauge",
    read: ({ sessions }) => sessions,
  },
  {
    name: "roomcast_handshakes",
    help: "Connections that have not been welcomed yet.",
    kind: "gauge",
    read: ({ handshakes }) => handshakes,
  },
  {
    name: "roomcast_streams",
    help: "Streams of server-sent events that are open; they are connections, too.",
    kind: "gauge",
    read: ({ streams }) => streams,
  },
  {
    name: "roomcast_client_requests_total",
    help: "Requests of clients over HTTP, by what was asked.",
    kind: "counter",
    label: "request",
    read: ({ clientRequests }) => clientRequests,
  },
  {
    name: "roomcast_refused_connections_total",
    help: "Connections that were not taken, by why: too many in a second, too many not welcomed yet, too many at all, too many in a second or at once from one address, or the node drains.",
    kind: "counter",
    label: "reason",
    read: ({ refused }) => refused,
  },
  {
    name: "roomcast_limited_total",
    help: "Requests and sessions that were refused, by the limit, which is a setting; flood: sessions that were closed, since they went on for too long after they were refused.",
    kind: "counter",
    label: "limit",
    read: ({ limited }) => limited,
  },
  {
    name: "roomcast_api_requests_total",
    help: "Requests to the HTTP API that were answered, by operation and the class of the answer's status: 2xx, 4xx, 5xx.",
    kind: "counter",
    label: ["operation", "status"],
    read: ({ requests }) => requests,
  },
  {
    name: "roomcast_rooms",
    help: "Rooms that are open on this node: with someone here, or lingering.",
    kind: "gauge",
    read: ({ rooms }) => rooms,
  },
  {
    name: "roomcast_published_bytes_total",
    help: "Bytes of all frames published to rooms, each counted once whatever the number of its readers.",
    kind: "counter",
    read: ({ publishedBytes }) => publishedBytes,
  },
  {
    name: "roomcast_log_reads_total",
    help: "Reads of a room's log, for clients that join or resume and for this node's own repairs.",
    kind: "counter",
    read: ({ logReads }) => logReads,
  },
  {
    name: "roomcast_stray_deliveries_total",
    help: "Deliveries that came for rooms that are not open here: a few for rooms just left, or the engine is at fault.",
    kind: "counter",
    read: ({ strays }) => strays,
  },
  {
    name: "roomcast_engine_problems",
    help: "How much of the engines cannot be reached now; 0 when everything works.",
    kind: "gauge",
    read: ({ problems }) => problems,
  },
  {
    name: "roomcast_drain_clients_left",
    help: "Clients that are still to go while this node drains.",
    kind: "gauge",
    read: ({ drain }) => drain.left,
  },
  {
    name: "roomcast_drain_moved_total",
    help: "Clients that have moved: were told to, and closed their connection themselves.",
    kind: "counter",
    read: ({ drain }) => drain.moved,
  },
  {
    name: "roomcast_drain_closed_total",
    help: "Clients that had not moved in time, and were closed.",
    kind: "counter",
    read: ({ drain }) => drain.closed,
  },
];

const ofHooks: readonly Definition<NodeNumbers>[] = [
  {
    name: "roomcast_hook_calls_total",
    help: "Posts to hooks, by the hook and what became of them: answered, rejected (a status from 400 to 499), failed, timeout; not sent: refused (the circuit was open), busy (too many waited).",
    kind: "counter",
    label: ["hook", "result"],
    read: ({ hooks }) => hooks.calls,
  },
  {
    name: "roomcast_hook_seconds_total",
    help: "How long hooks were waited for, all posts together.",
    kind: "counter",
    label: "hook",
    read: ({ hooks }) => hooks.seconds,
  },
  {
    name: "roomcast_hook_circuit",
    help: "The state that the circuit of a hook is in is 1, the others are 0: closed, open (it is not asked), half_open (it is asked one thing, to see).",
    kind: "gauge",
    label: ["hook", "state"],
    read: ({ hooks }) => hooks.circuits,
  },
  {
    name: "roomcast_hook_cache_total",
    help: "Questions for hooks whose answers may be remembered, by the hook and where the answer came from: l1 (this process), l2 (what nodes share in Redis), shared (the same question was under way), stale (an answer past its age, while the application was away), asked (the application, if it answered).",
    kind: "counter",
    label: ["hook", "result"],
    read: ({ decisions }) => decisions.results,
  },
  {
    name: "roomcast_hook_cache_answers",
    help: "Answers of hooks that this process remembers.",
    kind: "gauge",
    read: ({ decisions }) => decisions.answers,
  },
  {
    name: "roomcast_hook_cache_bytes",
    help: "How much these answers take, by an estimate.",
    kind: "gauge",
    read: ({ decisions }) => decisions.bytes,
  },
  {
    name: "roomcast_hook_cache_passed_over_total",
    help: "How often the answers that nodes share in Redis were passed over: Redis was away, too slow, or not yet told what was forgotten.",
    kind: "counter",
    read: ({ decisions }) => decisions.passedOver,
  },
  {
    name: "roomcast_members",
    help: "Places of members of rooms on this node, those included whose session is waited for after it has lost its connection.",
    kind: "gauge",
    read: ({ presence }) => presence.members,
  },
  {
    name: "roomcast_rosters",
    help: "Rooms whose members this node knows, or has some of.",
    kind: "gauge",
    read: ({ presence }) => presence.rosters,
  },
  {
    name: "roomcast_presence_frames_total",
    help: "Frames that told of members who came and went, each counted once whatever the number of its readers.",
    kind: "counter",
    read: ({ presence }) => presence.frames,
  },
  {
    name: "roomcast_presence_operations_total",
    help: "What was done at the engine: registers of members written, rooms read, leases renewed.",
    kind: "counter",
    label: "operation",
    read: ({ presence }) => ({ write: presence.writes, read: presence.reads, beat: presence.beats }),
  },
  {
    name: "roomcast_presence_leases_total",
    help: "Leases that ended without a word: of other nodes, whose members are gone then, and own ones, which were taken anew.",
    kind: "counter",
    label: "whose",
    read: ({ presence }) => ({ other: presence.nodesGone, own: presence.leasesLost }),
  },
  {
    name: "roomcast_commands_total",
    help: "Commands of the queue that this node has taken, by what became of them: applied, retried (given out again later), dead (among the dead letters).",
    kind: "counter",
    label: "outcome",
    read: ({ commands }) => ({
      applied: commands?.applied ?? 0,
      retried: commands?.retried ?? 0,
      dead: commands?.dead ?? 0,
    }),
  },
  {
    name: "roomcast_commands_under_way",
    help: "Commands of the queue that this node has in hand.",
    kind: "gauge",
    read: ({ commands }) => commands?.underWay ?? 0,
  },
  {
    name: "roomcast_queue_commands",
    help: "Commands in the queue, the same at every node: waiting, under_way (taken by some node, or given back for a later try), dead (dead letters that are kept).",
    kind: "gauge",
    label: "state",
    read: ({ commands }) => ({
      waiting: commands?.queue.waiting ?? 0,
      under_way: commands?.queue.underWay ?? 0,
      dead: commands?.queue.dead ?? 0,
    }),
  },
  {
    name: "roomcast_records_total",
    help: "Entries of the stream of what happened, by what became of them on this node: written, lost (they did not fit while the engine was away; the stream says so), gaps (places where a room's log no longer had what was to be told).",
    kind: "counter",
    label: "outcome",
    read: ({ records }) => ({ written: records?.written ?? 0, lost: records?.lost ?? 0, gaps: records?.gaps ?? 0 }),
  },
  {
    name: "roomcast_records_waiting",
    help: "What this node has yet to write into the stream of what happened: entries, and rooms whose log is ahead of it.",
    kind: "gauge",
    label: "what",
    read: ({ records }) => ({ entries: records?.waiting ?? 0, rooms: records?.behind ?? 0 }),
  },
];

const ofTelling: readonly Definition<NodeNumbers>[] = [
  {
    name: "roomcast_hook_waiting",
    help: "What the application is to be told, and has not taken yet.",
    kind: "gauge",
    read: ({ hooks }) => hooks.told.waiting,
  },
  {
    name: "roomcast_hook_dropped_total",
    help: "What the application was to be told, and was not: tried too often, or too much waited.",
    kind: "counter",
    read: ({ hooks }) => hooks.told.dropped,
  },
];

// Named as most programs name them, so that dashboards fit.
const ofProcess: readonly Definition<ProcessNumbers>[] = [
  {
    name: "roomcast_event_loop_delay_seconds",
    help: "By how much the event loop was late since the scrape before: the half, the hundredth worst and the worst time.",
    kind: "gauge",
    label: "statistic",
    read: (process) => process.takeDelays(),
  },
  {
    name: "roomcast_gc_seconds_total",
    help: "How long the garbage collector has held the event loop.",
    kind: "counter",
    read: ({ gcSeconds }) => gcSeconds,
  },
  {
    name: "nodejs_heap_size_total_bytes",
    help: "The size of the JavaScript heap.",
    kind: "gauge",
    read: ({ memory }) => memory.heapTotal,
  },
  {
    name: "nodejs_heap_size_used_bytes",
    help: "What of the JavaScript heap is used.",
    kind: "gauge",
    read: ({ memory }) => memory.heapUsed,
  },
  {
    name: "nodejs_external_memory_bytes",
    help: "Memory of JavaScript objects outside the heap, buffers among it.",
    kind: "gauge",
    read: ({ memory }) => memory.external,
  },
  {
    name: "process_resident_memory_bytes",
    help: "The memory of the process, without what the kernel holds for its sockets.",
    kind: "gauge",
    read: ({ memory }) => memory.rss,
  },
  {
    name: "process_cpu_seconds_total",
    help: "The processor time that the process has used.",
    kind: "counter",
    read: ({ cpuSeconds }) => cpuSeconds,
  },
  {
    name: "process_start_time_seconds",
    help: "When the process began, in seconds since 1970.",
    kind: "gauge",
    read: ({ startedAt }) => startedAt,
  },
];

/** A metric as the documents have it. */
export type MetricInfo = {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly labels: readonly string[];
  readonly help: string;
};

const BUILD_INFO = {
  ...{ name: "roomcast_build_info", labels: ["node", "version"] as const },
  help: "Always 1: the name of this node, and its version.",
};

const labelsOf = (label: string | readonly string[] = []): readonly string[] =>
  typeof label === "string" ? [label] : label;

/** All metrics there are. */
export const metricInfos: readonly MetricInfo[] = [
  { ...BUILD_INFO, type: "gauge" },
  ...[...ofNode, ...ofHooks, ...ofTelling, ...ofProcess].map(({ name, kind, label, help }) => {
    return { name, type: kind, labels: labelsOf(label), help };
  }),
];

/** The metrics of one node, in a registry of their own: several nodes in one process do not meet. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #process = new ProcessNumbers();

  constructor(source: MetricsSource) {
    const { name, labels, help } = BUILD_INFO;
    const info = new Gauge({ name, help, labelNames: labels, registers: [this.#registry] });
    info.set({ node: source.node, version: source.version }, 1);
    for (const definition of [...ofNode, ...ofHooks, ...ofTelling]) define(this.#registry, source.numbers, definition);
    for (const definition of ofProcess) define(this.#registry, () => this.#process, definition);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics as they are now, in Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Ends what measures the process. */
  close(): void {
    this.#process.close();
  }
}

function define<Source>(registry: Registry, source: () => Source, definition: Definition<Source>): void {
  const { name, help, kind, label, read } = definition;
  const labels = labelsOf(label);
  const options = { name, help, labelNames: labels, registers: [registry] };
  const values = (): [labels: { [label: string]: string }, value: number][] => {
    const value = read(source());
    if (label === undefined || typeof value === "number") return [[{}, Number(value)]];
    return Object.entries(value).map(([words, number]) => {
      const each = labels.length === 1 ? [words] : words.split(" ");
      return [Object.fromEntries(labels.map((one, index) => [one, each[index] ?? ""])), number];
    });
  };
  if (kind === "gauge") {
    new Gauge({
      ...options,
      collect() {
        for (const [labels, value] of values()) this.set(labels, value);
      },
    });
  } else {
    new Counter({
      ...options,
      // It knows only how to grow: from nothing to where the number is.
      collect() {
        this.reset();
        for (const [labels, value] of values()) this.inc(labels, value);
      },
    });
  }
}
