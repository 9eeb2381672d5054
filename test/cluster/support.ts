/** Nodes of a cluster on one memory log, without servers around them. */
import type { TestContext } from "node:test";
import type { NewEvent } from "../../protocol/event.js";
import { Payload } from "../../protocol/payload.js";
import { Cluster, type ClusterOptions, NODES_ROOM, type NodeActions } from "../../server/cluster/cluster.js";
import { type Broker, EngineError } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";
import { createLog, type Log } from "../../server/log.js";

export type Line = { readonly level: string; readonly message: string; readonly [field: string]: unknown };

/** A log whose lines can be looked at. */
export function linesLog(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  const write = (line: string) => lines.push(JSON.parse(line) as Line);
  return { log: createLog({ level: "debug", destination: { write }, readable: false }), lines };
}

export const newLog = (): MemoryLog => new MemoryLog({ maxBytes: 1 << 20 });

/** How an engine may treat what goes through it. */
export type Faults = {
  /** Delivers everything this many times, as an engine of several shards does. */
  copies?: number;
  /** Refuses everything. */
  isAway?: boolean;
  /** Nothing goes in or out, and nobody is told. */
  isMute?: boolean;
};

/** What a node did because it was asked. */
export type Acts = { readonly disconnected: string[]; readonly removed: [user: string, room: string][] };

export type TestNode = {
  readonly cluster: Cluster;
  readonly faults: Faults;
  readonly acts: Acts;
  readonly lines: readonly Line[];
};

/** The broker of a node, with what may go wrong on the way. */
function faulty(log: MemoryLog, faults: Faults, deliver: (room: string, events: never) => void): Broker {
  const broker = new MemoryBroker(log, (room, _epoch, events) => {
    if (faults.isMute === true || faults.isAway === true) return;
    for (let copy = 0; copy < (faults.copies ?? 1); copy++) deliver(room, events as never);
  });
  const checked = <A extends unknown[], R>(act: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (faults.isAway === true) throw new EngineError("unavailable", "away");
      return act(...args);
    };
  };
  return {
    publish: checked(async (room, event: NewEvent, rules) =>
      faults.isMute === true ? undefined : broker.publish(room, event, rules),
    ),
    subscribe: checked((room, _rules) => broker.subscribe(room)),
    unsubscribe: checked((room) => broker.unsubscribe(room)),
    history: checked((...args) => broker.history(...args)),
    problems: () => (faults.isAway === true ? ["memory: away"] : []),
    close: () => broker.close(),
  };
}

export type NodeOptions = Partial<Pick<ClusterOptions, "leaseMs" | "answerMs">> & {
  readonly actions?: Partial<NodeActions>;
  /** Only asks, and is no node. */
  readonly asksOnly?: boolean;
  readonly faults?: Faults;
};

/** A node on the log; it has been started where `start` has resolved. */
export function newNode(t: TestContext, log: MemoryLog, name: string, options: NodeOptions = {}): TestNode {
  const { leaseMs = 15_000, answerMs = 5000, faults = {} } = options;
  const acts: Acts = { disconnected: [], removed: [] };
  const { log: said, lines } = linesLog();
  const actions: NodeActions = {
    state: () => ({ connections: 3, sessions: 2, rooms: 1, problems: [], draining: false }),
    disconnect: (user) => acts.disconnected.push(user),
    remove: (user, _tenant, room) => acts.removed.push([user, room]),
    revoke: async () => undefined,
    revocations: () => ({ listed: [], count: 0 }),
    count: () => 1,
    rooms: async () => ({ entries: [], more: false }),
    call: async () => ({ sessions: 0, replies: [] }),
    forget: () => undefined,
    occupied: () => [],
    ...options.actions,
  };
  const broker = faulty(log, faults, (room, events) => cluster.deliver(room, events));
  const cluster = new Cluster({
    ...{ name, version: "1.2.3", broker, leaseMs, answerMs, log: said },
    actions: options.asksOnly === true ? undefined : actions,
  });
  t.after(async () => {
    await cluster.close();
    await broker.close();
  });
  return { cluster, faults, acts, lines };
}

export async function startNode(
  t: TestContext,
  log: MemoryLog,
  name: string,
  options?: NodeOptions,
): Promise<TestNode> {
  const node = newNode(t, log, name, options);
  await node.cluster.start();
  return node;
}

export const namesIn = ({ cluster }: TestNode): readonly string[] => cluster.nodes().map((node) => node.name);

/** Says something in the nodes' room that a node would not. */
export async function say(log: MemoryLog, type: string, data: unknown): Promise<void> {
  await sayPayload(log, type, Payload.ofValue(data));
}

export async function sayPayload(log: MemoryLog, type: string, data: Payload): Promise<void> {
  const rules = { history: { size: 0, ageMs: 1 }, keyWindowMs: 1 };
  await log.publish(NODES_ROOM, { event: type, data, at: Date.now() }, rules);
}
