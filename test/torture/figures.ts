/** Times, from what was written down. */
import { quantile } from "../../bench/support/statistics.js";
import type { Published, Records } from "./records.js";

const keyOf = (one: { readonly room: string; readonly publisher: number; readonly counter: number }): string =>
  `${one.room} ${one.publisher} ${one.counter}`;

export type Spread = { readonly p50: number; readonly p99: number; readonly max: number };

export function spread(values: readonly number[]): Spread {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1) };
}

/** `p50 3, p99 40, most 120 ms` */
export const spreadText = ({ p50, p99, max }: Spread): string =>
  `p50 ${Math.round(p50)}, p99 ${Math.round(p99)}, most ${Math.round(max)} ms`;

/** When an event was seen, in Unix milliseconds, and how long it took from the moment it was published, in milliseconds. */
export type Delivery = readonly [at: number, tookMs: number];

/** Every delivery of a share of the events. */
export function deliveriesOf(records: Records, of: (one: Published) => boolean = () => true): Delivery[] {
  const sentAt = new Map(records.published.filter(of).map((one) => [keyOf(one), one.sentAt]));
  const all: Delivery[] = [];
  for (const { room, entries } of records.logs) {
    for (const entry of entries) {
      if (entry.type !== "event") continue;
      const at = sentAt.get(keyOf({ ...entry, room }));
      if (at !== undefined) all.push([entry.at, entry.at - at]);
    }
  }
  return all;
}

/** How long each delivery took, in milliseconds, from the moment its event was published; by a share of the events. */
export const latencies = (records: Records, of?: (one: Published) => boolean): number[] =>
  deliveriesOf(records, of).map(([, tookMs]) => tookMs);

/**
 * Each client's longest wait for an event: from the moment it was published to the moment the client saw it, in
 * milliseconds. Of a share of the events; a client that has seen none of them is left out.
 */
export function longestByClient(records: Records, of: (one: Published) => boolean): number[] {
  const sentAt = new Map(records.published.filter(of).map((one) => [keyOf(one), one.sentAt]));
  const longest = new Map<string, number>();
  for (const { subscriber, room, entries } of records.logs) {
    for (const entry of entries) {
      const at = entry.type === "event" ? sentAt.get(keyOf({ ...entry, room })) : undefined;
      if (at !== undefined) longest.set(subscriber, Math.max(longest.get(subscriber) ?? 0, entry.at - at));
    }
  }
  return [...longest.values()];
}

/** Deliveries that come later than this after their acknowledgement show that a room is not whole yet, in milliseconds. */
const LATE_MS = 1000;

/**
 * How long after `since` every room was whole again for every subscriber: the first new event had come, the last that
 * was late had, and the last reset. Looks at what came before `until`. Infinite where a subscriber has seen no event.
 */
export function wholeAfterMs(records: Records, since: number, until = Number.POSITIVE_INFINITY): number {
  const answeredAt = new Map(records.published.map((one) => [keyOf(one), one.answeredAt]));
  let wholeAt = since;
  for (const { room, entries } of records.logs) {
    const later = entries.filter((entry) => entry.at >= since && entry.at < until);
    const first = later.find((entry) => entry.type === "event");
    if (first === undefined) return Number.POSITIVE_INFINITY;
    wholeAt = Math.max(wholeAt, first.at);
    for (const entry of later) {
      const isLate =
        entry.type === "reset" ||
        (entry.type === "event" && entry.at - (answeredAt.get(keyOf({ ...entry, room })) ?? entry.at) > LATE_MS);
      if (isLate) wholeAt = Math.max(wholeAt, entry.at);
    }
  }
  return wholeAt - since;
}
