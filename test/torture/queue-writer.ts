/** A backend that writes commands into the queue, and asks again until each is known to be there. */
import { setTimeout as pause } from "node:timers/promises";
import { parseSettings } from "../../server/config.js";
import { openQueues } from "../../server/engine/open-queue.js";
import type { QueueNumbers, WorkQueue } from "../../server/engine/queue.js";
import type { SettingsInput } from "../../server/server.js";
import type { Torture } from "./torture.js";

/** So many writes at once. */
const AT_ONCE = 16;
const AGAIN_MS = 50;
const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export type Command = { readonly id: string; readonly command: object };

export class QueueWriter {
  readonly #work: WorkQueue;
  /** Commands that are in the queue, or were. */
  written = 0;
  /** Writes that had to be asked again. */
  repeated = 0;
  readonly sentAt = new Map<string, number>();

  private constructor(work: WorkQueue) {
    this.#work = work;
  }

  /** Closed with the torture. */
  static async open(torture: Torture, queue: "redis" | "nats", input: SettingsInput): Promise<QueueWriter> {
    const settings = parseSettings({ ...input, queue }, { authenticates: false });
    const queues = await openQueues({ ...settings, queue }, log);
    const { queuePrefetch: prefetch, queueAckMs: ackMs, recordsAgeMs: deadAgeMs, apiMaxBytes: maxBytes } = settings;
    const work = queues.openWork({ prefetch, ackMs, deadAgeMs, maxBytes });
    torture.after(() => work.close(0));
    await torture.until(() => work.problems().length === 0, 20_000);
    return new QueueWriter(work);
  }

  /** Writes them all, so many a second; resolves once they are all there. */
  async write(commands: readonly Command[], perSecond: number): Promise<void> {
    const startedAt = performance.now();
    let next = 0;
    const writeNext = async (): Promise<void> => {
      for (let index = next++; index < commands.length; index = next++) {
        const dueMs = startedAt + (index * 1000) / perSecond - performance.now();
        if (dueMs > 1) await pause(dueMs);
        const { id, command } = commands[index] as Command;
        this.sentAt.set(id, Date.now());
        await this.#add(id, Buffer.from(JSON.stringify(command)));
        this.written++;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, writeNext));
  }

  async #add(id: string, bytes: Uint8Array): Promise<void> {
    for (;;) {
      try {
        await this.#work.add(id, bytes);
        return;
      } catch {
        this.repeated++;
        await pause(AGAIN_MS);
      }
    }
  }

  /** How the queue is; `undefined` while that cannot be said. */
  async numbers(): Promise<QueueNumbers | undefined> {
    return this.#work.numbers().catch(() => undefined);
  }
}
