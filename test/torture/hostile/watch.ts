/** What a node costs while something is done to it: its memory and its event loop, from its own metrics. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { type Scraped, scrape } from "../scrape.js";

/** How often it is looked, in milliseconds. */
const LOOK_MS = 200;

export type Watched = {
  /** The most that its event loop was late, in milliseconds. */
  readonly stallMs: number;
  /** The most memory that it held, and what it held at the beginning and at the end, in bytes. */
  readonly mostBytes: number;
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** Its processor time, as a share of the time that passed. */
  readonly cpuShare: number;
};

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
export const rssOf = (numbers: Scraped): number => numbers("process_resident_memory_bytes");

/** What all TCP sockets of this machine hold in the kernel, in bytes; 0 where it does not say. */
export function tcpBytes(): number {
  try {
    const pages = /^TCP:.* mem (\d+)/m.exec(readFileSync("/proc/net/sockstat", "utf8"))?.[1];
    return Number(pages ?? 0) * 4096;
  } catch {
    return 0;
  }
}

/** Looks at the node behind `metricsPort` again and again while `act` runs; `look` is shown all that is seen. */
export async function watching<T>(
  metricsPort: number,
  act: () => Promise<T>,
  look: (numbers: Scraped) => void = () => undefined,
): Promise<Watched & { readonly value: T }> {
  let stallMs = 0;
  let mostBytes = 0;
  // What was before does not count.
  const first = await scrape(metricsPort);
  const firstBytes = rssOf(first);
  const cpuOf = (numbers: Scraped): number => numbers("process_cpu_seconds_total");
  const startedAt = performance.now();
  let last = first;
  let lastBytes = firstBytes;
  const once = async () => {
    const numbers = await scrape(metricsPort);
    last = numbers;
    stallMs = Math.max(stallMs, 1000 * numbers("roomcast_event_loop_delay_seconds", "max"));
    lastBytes = rssOf(numbers);
    mostBytes = Math.max(mostBytes, lastBytes);
    look(numbers);
  };
  const state = { running: true };
  const looking = (async () => {
    while (state.running) {
      await once();
      await pause(LOOK_MS);
    }
  })();
  let value: T;
  try {
    value = await act();
  } finally {
    state.running = false;
    await looking;
  }
  await once();
  const cpuShare = (1000 * (cpuOf(last) - cpuOf(first))) / (performance.now() - startedAt);
  return { stallMs, mostBytes, firstBytes, lastBytes, cpuShare, value };
}
