/** What a node's process keeps in memory, once it has been asked to collect its garbage. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeProcess } from "../node-process.js";

const SAYS = "memory probe ";

/** Runs in the node: at SIGUSR2 it collects and says what is left. */
const program = `import { writeSync } from "node:fs";
process.on("SIGUSR2", () => {
  globalThis.gc();
  globalThis.gc();
  writeSync(2, ${JSON.stringify(SAYS)} + JSON.stringify(process.memoryUsage()) + "\\n");
});`;

/** What Node is to be told so that the node can be probed. */
export const probeFlags: readonly string[] = [
  "--expose-gc",
  "--import",
  `data:text/javascript,${encodeURIComponent(program)}`,
];

/** In megabytes: what JavaScript holds, on its heap and beside it; and what the process has of the machine. */
export type Memory = { readonly held: number; readonly rss: number };

const MEGABYTE = 1_048_576;

/** Collects the garbage of a node started with `probeFlags`, and resolves with what it holds then. */
export async function probe(node: NodeProcess): Promise<Memory> {
  const count = () => node.output.split(SAYS).length;
  const before = count();
  node.signal("SIGUSR2");
  while (count() === before) await pause(20);
  const text = node.output.split(SAYS).at(-1)?.split("\n")[0] ?? "";
  const { heapUsed, external, rss } = JSON.parse(text) as NodeJS.MemoryUsage;
  return { held: (heapUsed + external) / MEGABYTE, rss: rss / MEGABYTE };
}
