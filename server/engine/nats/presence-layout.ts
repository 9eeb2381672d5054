/** Where presence is in NATS, and how it is written there. Pure. */
import { tokenOf } from "./subjects.js";

/** What a node's first subject of a room holds: which other parts have a subject of their own, and its own part, 0. */
export type Root = { readonly parts: readonly number[]; readonly value: Buffer | undefined };

/** What stands in the subject of a node's lease. */
export type LeaseWord = {
  /** `undefined` in the mark that the node has been cleared. */
  readonly leaseMs: number | undefined;
  /** It was not a beat that wrote it: see `PresenceNodes.note`. */
  readonly isNote?: boolean;
};

const HEAD_BYTES = 3;
const PART_BYTES = 4;
/** The most parts of one node and room, so that their list stays small beside a value. */
export const MAX_PARTS = 16_384;

/** A byte that says whether there is a value, two that count the parts, four for each; then the value. */
export function encodeRoot({ parts, value }: Root): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + parts.length * PART_BYTES + (value?.length ?? 0));
  bytes.writeUInt8(value === undefined ? 0 : 1);
  bytes.writeUInt16BE(parts.length, 1);
  let at = HEAD_BYTES;
  for (const part of parts) at = bytes.writeUInt32BE(part, at);
  value?.copy(bytes, at);
  return bytes;
}

/** `undefined` for what nobody of us wrote. The value is a copy. */
export function decodeRoot(bytes: Buffer): Root | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const count = bytes.readUInt16BE(1);
  const end = HEAD_BYTES + count * PART_BYTES;
  if (bytes.length < end) return undefined;
  const parts = Array.from({ length: count }, (_, index) => bytes.readUInt32BE(HEAD_BYTES + index * PART_BYTES));
  return { parts, value: bytes.readUInt8(0) === 1 ? Buffer.from(bytes.subarray(end)) : undefined };
}

/** A part's value after a byte that tells it from a grave, which is empty. */
export const encodePart = (value: Buffer): Buffer => Buffer.concat([Buffer.of(1), value]);
export const GRAVE = Buffer.alloc(0);

/** A copy; `undefined` for a grave. */
export const decodePart = (bytes: Buffer): Buffer | undefined =>
  bytes.length === 0 ? undefined : Buffer.from(bytes.subarray(1));

export const encodeLease = ({ leaseMs, isNote }: LeaseWord): Buffer =>
  Buffer.from(JSON.stringify(leaseMs === undefined ? { cleared: true } : { leaseMs, ...(isNote ? { isNote } : {}) }));

/** What nobody of us wrote is a lease that is over, so that it is cleared. */
export function decodeLease(bytes: Buffer): LeaseWord {
  try {
    const word = JSON.parse(bytes.toString()) as { leaseMs?: unknown; cleared?: unknown; isNote?: unknown };
    if (word.cleared === true) return { leaseMs: undefined };
    const leaseMs = typeof word.leaseMs === "number" && word.leaseMs > 0 ? word.leaseMs : 0;
    return { leaseMs, isNote: word.isNote === true };
  } catch {
    return { leaseMs: 0 };
  }
}

/** The subjects of one namespace's presence: all in one stream, so that its numbers tell what came before what. */
export class PresenceSubjects {
  readonly stream: string;

  constructor(namespace: string) {
    this.stream = `${namespace}-presence`;
  }

  get all(): string {
    return `${this.stream}.>`;
  }

  lease(node: string): string {
    return `${this.stream}.lease.${tokenOf(node)}`;
  }

  get leases(): string {
    return `${this.stream}.lease.*`;
  }

  /** The stream hands leases on once it has them. */
  get republish(): { readonly src: string; readonly dest: string } {
    return { src: `${this.stream}.lease.>`, dest: `${this.stream}-heard.>` };
  }

  get heard(): string {
    return `${this.stream}-heard.*`;
  }

  /** The node that a subject of `leases` or `heard` is of: names have no comma of their own. */
  nodeOf(subject: string): string {
    return subject.slice(subject.lastIndexOf(".") + 1).replaceAll(",", ".");
  }

  /** What is written here is of no use but for its time, the server's. */
  get clock(): string {
    return `${this.stream}.clock`;
  }

  /** Everything that a node has written of rooms. */
  written(node: string): string {
    return `${this.stream}.in.${tokenOf(node)}.>`;
  }

  root(room: string, node: string): string {
    return `${this.stream}.in.${tokenOf(node)}.${tokenOf(room)}`;
  }

  part(room: string, node: string, part: number): string {
    return `${this.root(room, node)}.${part}`;
  }
}
