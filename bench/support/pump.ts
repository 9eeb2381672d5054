import { setImmediate as turn } from "node:timers/promises";
import { nowUs } from "./event-data.js";

export type Load = {
  readonly seconds: number;
  /** How many are published before the first of them must be answered. */
  readonly underWay: number;
  /** They are published in so many rooms, one after the other. */
  readonly rooms: number;
  /** In rooms with history. */
  readonly history: boolean;
};
export type Pumped = {
  readonly published: number;
  readonly startUs: number;
  readonly endUs: number;
  /** Of the process that published. */
  readonly cpuUs: number;
};

/** Question to a process that publishes. */
export type PumpQuestion = { readonly pump: Load };

/** Publishes `count` events, the first in this room, the others in the next ones. Resolves once all are answered. */
export type Publish = (room: number, count: number) => Promise<unknown>;

/**
 * Publishes for so long, with so many under way, as fast as answers come; the same for a node and for what it is held
 * against. `batch` are handed over at once. The event loop turns at least once for as many as are under way.
 */
export async function pump(load: Load, publish: Publish, batch = 1): Promise<Pumped> {
  const { seconds, underWay, rooms } = load;
  const cpu = process.cpuUsage();
  const startUs = nowUs();
  const until = performance.now() + seconds * 1000;
  let published = 0;
  let sinceTurn = 0;
  let turning: Promise<void> | undefined;
  const chain = async (): Promise<void> => {
    while (performance.now() < until) {
      const room = published % rooms;
      published += batch;
      await publish(room, batch);
      sinceTurn += batch;
      if (sinceTurn < underWay) continue;
      turning ??= turn().then(() => {
        turning = undefined;
        sinceTurn = 0;
      });
      await turning;
    }
  };
  await Promise.all(Array.from({ length: Math.ceil(underWay / batch) }, chain));
  const endUs = nowUs();
  const { user, system } = process.cpuUsage(cpu);
  return { published, startUs, endUs, cpuUs: user + system };
}
