/**
 * The contract of an engine's presence: what each node says of who is in a room, kept where all nodes can read it, and for
 * how long a node's word is good. `conformance-presence.ts` is its test.
 *
 * Every register has one writer, the node in its name: so nothing here is to be compared and swapped, and what two nodes
 * say of one session stands side by side. That a register has changed nodes tell each other by a room of the broker.
 */

/** What one node has written of a room in one of its parts. `value` is the node's own affair, at most 64 KiB. */
export type Register = { readonly node: string; readonly part: number; readonly value: Buffer };

/** A node's lease, by the engine's clock. */
export type Lease = {
  readonly node: string;
  /** How long it is good yet, in milliseconds; 0 or less: it has lapsed. */
  readonly leftMs: number;
};

export type Beat = {
  /** Whether the node had no lease before, or one that had lapsed: others may have erased what it has written. */
  readonly isNew: boolean;
  /** All nodes' leases, this one's among them, and those that have lapsed as long as nobody has cleared them. */
  readonly leases: readonly Lease[];
};

/**
 * Every method may reject with an `EngineError`, and settles within a bounded time: an engine that is away is found out,
 * and from then on calls are refused at once. Nodes are called `[A-Za-z0-9_.-]{1,64}`, rooms as for the broker.
 */
export interface Presence {
  /**
   * Writes one register, or erases it where `value` is `undefined`: one write of the engine. Calls for one room take effect
   * in the order they were made. Of a node without a lease it may be erased at any time.
   */
  write(room: string, node: string, part: number, value: Buffer | undefined): Promise<void>;
  /** All that nodes with a lease, good or lapsed, have written of the room and not erased, in any order. */
  read(room: string): Promise<readonly Register[]>;
  /**
   * Renews the node's lease, good from now on for so long, and reads all: one write, however much the node has written
   * elsewhere. `leaseMs` 0 ends it: it has lapsed at once. A node that hears `isNew` where it had a lease goes on under another
   * name: a `clear` of the one it had may still be under way.
   */
  beat(node: string, leaseMs: number): Promise<Beat>;
  /**
   * Erases all that a node has written, and its lease: `false`, and nothing done, where its lease is good. It may be called
   * again, and by several nodes at once.
   */
  clear(node: string): Promise<boolean>;
  /** What cannot be reached now, a line each without any secret, beginning with the engine's name. */
  problems(): readonly string[];
  /** Ends connections and timers. What is still under way rejects. */
  close(): Promise<void>;
}

/** Opens a node's way to it; connects in the background and for ever. */
export type OpenPresence = () => Presence;
