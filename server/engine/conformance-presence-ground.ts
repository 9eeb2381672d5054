/** What the cases of the presence suite stand on: nodes' ways to it, names that nobody has used, time, outages. */
import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";
import { EngineError } from "./engine.js";
import type { Lease, Presence, Register } from "./presence.js";

/** A cluster of the engine under test. It may hold other rooms and nodes, never those that the suite uses. */
export type PresenceCluster = {
  /** A further node's way to it. Its engine is there. */
  node(): Promise<Presence>;
  /** Lets this much time pass for leases, in milliseconds. */
  advance(ms: number): Promise<void>;
  /**
   * How many writes the engine has taken so far, of all nodes, as it counts them itself. An engine without it skips the
   * cases on how many there are (`onPresenceWrites`).
   */
  writes?(): Promise<number>;
  /**
   * Takes the engine away from all nodes, cuts what they have under way, and brings the engine back, with all that was
   * written, once `during` has settled. An engine without it skips the cases on outages (`onPresenceOutages`).
   */
  outage?(during: () => Promise<void>): Promise<void>;
  /** The same, and the engine comes back with nothing. */
  loss?(during: () => Promise<void>): Promise<void>;
  /** Called after every way made here has been closed. */
  close(): Promise<void>;
};

/** One sentence about the contract, and the check of it. */
export type PresenceCases = { readonly [sentence: string]: (ground: PresenceGround) => Promise<void> };

/** A lease that outlasts every case, and one that does not, in milliseconds. */
export const LONG_MS = 600_000;
export const SHORT_MS = 500;

/** How long a case waits for the engine before it fails, in milliseconds. */
const PATIENCE_MS = 20_000;

export const bytes = (text: string): Buffer => Buffer.from(text);

/** Registers as text, sorted, so that two lists of them can be compared. */
export const texts = (registers: readonly Register[]): string[] =>
  registers.map(({ node, part, value }) => `${node} ${part} ${value}`).sort();

/** What is said of the node; fails where it is not said once. */
export function leaseOf(leases: readonly Lease[], node: string): Lease {
  const [lease, ...more] = leases.filter((each) => each.node === node);
  assert.ok(lease !== undefined && more.length === 0, `expected one lease of ${node}, got ${JSON.stringify(leases)}`);
  return lease;
}

/** How a call ended: "done", or the code of its `EngineError`. Anything else fails the case. */
export async function ending(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "done";
  } catch (error) {
    assert.ok(error instanceof EngineError, `expected an EngineError, got ${String(error)}`);
    return error.code;
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One case's cluster, and the ways to it that it has asked for. */
export class PresenceGround {
  readonly #cluster: PresenceCluster;
  readonly #opened: Presence[] = [];

  constructor(cluster: PresenceCluster) {
    this.#cluster = cluster;
  }

  async node(): Promise<Presence> {
    const presence = await this.#cluster.node();
    this.#opened.push(presence);
    return presence;
  }

  /** The name of a room that nobody has used. */
  room(): string {
    return `conformance:${randomBytes(9).toString("base64url")}`;
  }

  /** The name of a node that nobody has used. */
  name(): string {
    return `node-${randomBytes(9).toString("base64url")}.1`;
  }

  advance(ms: number): Promise<void> {
    return this.#cluster.advance(ms);
  }

  /** A node's name whose lease has lapsed, after it has written `value` into part 0 of the rooms. */
  async lapsed(presence: Presence, rooms: readonly string[], value = "of the lapsed"): Promise<string> {
    const name = this.name();
    await presence.beat(name, SHORT_MS);
    for (const room of rooms) await presence.write(room, name, 0, bytes(value));
    await this.advance(SHORT_MS * 1.5);
    return name;
  }

  /** How many writes the engine takes for it. */
  async writesOf(act: () => Promise<unknown>): Promise<number> {
    const { writes } = this.#cluster;
    if (writes === undefined) throw new Error("the cluster has no writes(): give it one, or skip onPresenceWrites");
    const before = await writes();
    await act();
    return (await writes()) - before;
  }

  async outage(during: () => Promise<void>, kind: "outage" | "loss" = "outage"): Promise<void> {
    const take = this.#cluster[kind];
    if (take === undefined)
      throw new Error(`the cluster has no ${kind}(during): give it one, or skip onPresenceOutages`);
    await take(during);
  }

  /** Resolves once the node knows that its engine is away. */
  noticed(presence: Presence): Promise<void> {
    return until(() => presence.problems().length > 0, "the node did not notice that its engine is away");
  }

  /** Resolves once nothing of the engine is away for this node. */
  whole(presence: Presence): Promise<void> {
    return until(
      () => presence.problems().length === 0,
      () => `still away: ${presence.problems().join("; ")}`,
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((presence) => presence.close()));
    await this.#cluster.close();
  }
}

async function until(holds: () => boolean, missing: string | (() => string)): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < end, typeof missing === "string" ? missing : missing());
    await pause(10);
  }
}
