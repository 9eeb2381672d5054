/** What every engine's queue and record log hold to: see `server/engine/queue.ts`. */
import type { TestContext } from "node:test";
import type {
  Queues,
  RecordLog,
  RecordLogOptions,
  TakenCommand,
  WorkQueue,
  WorkQueueOptions,
} from "../../server/engine/queue.js";
import { eventually } from "../support/eventually.js";

/** One engine, in a namespace that is a case's own. */
export type QueueGround = {
  /** Opens queues as another node does. */
  readonly queues: Queues;
  /** The engine is killed, and is there again once this has resolved. */
  outage(during: () => Promise<void>): Promise<void>;
  /** All records that are kept, oldest first, as backends read them. */
  records(): Promise<readonly string[]>;
};

/** Of a node, without the waits that only long commands need. */
export const QUICK: WorkQueueOptions = { prefetch: 20, ackMs: 30_000, deadAgeMs: 3_600_000, maxBytes: 65_536 };
export const KEPT: RecordLogOptions = { max: 10_000, ageMs: 3_600_000 };

export const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** What a node was given; the bytes copied, as they hold only until the command is settled. */
export type Seen = { readonly id: string; readonly text: string; readonly tries: number; readonly at: number };

export const seenOf = ({ id, bytes, tries, at }: TakenCommand): Seen => ({
  ...{ id, tries, at },
  text: Buffer.from(bytes).toString(),
});

/** A node's queue, once it is reached; closed with the test. */
export async function openWork(t: TestContext, { queues }: QueueGround, options: Partial<WorkQueueOptions> = {}) {
  const work = queues.openWork({ ...QUICK, ...options });
  t.after(() => work.close(0));
  await eventually(() => work.problems().length === 0, "the queue was never reached");
  return work;
}

export async function openRecords(t: TestContext, { queues }: QueueGround, options: Partial<RecordLogOptions> = {}) {
  const records: RecordLog = queues.openRecords({ ...KEPT, ...options });
  t.after(() => records.close());
  await eventually(() => records.problems().length === 0, "the record log was never reached");
  return records;
}

/** Adds commands with ids `c0`, `c1`, ... */
export async function addSome(work: WorkQueue, count: number): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, index) => `c${index}`);
  for (const id of ids) await work.add(id, bytesOf({ id }));
  return ids;
}

/** Resolves once nothing waits and nothing is under way. */
export function untilEmpty(work: WorkQueue): Promise<void> {
  return eventually(async () => {
    const { waiting, underWay } = await work.numbers().catch(() => ({ waiting: 1, underWay: 1 }));
    return waiting === 0 && underWay === 0;
  }, "the queue never became empty");
}

/** Tries it again while the engine is away. */
export async function atLast<T>(call: () => Promise<T>): Promise<T> {
  let result: { readonly value: T } | undefined;
  await eventually(async () => {
    result = await call().then(
      (value) => ({ value }),
      () => undefined,
    );
    return result !== undefined;
  }, "it never came about");
  return (result as unknown as { readonly value: T }).value;
}
