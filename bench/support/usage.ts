import { readdirSync } from "node:fs";
import { answerParent } from "./child.js";

/** What a server's process has used: CPU since its start, memory as it is. */
export type Usage = {
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** The JavaScript heap and what it holds outside. */
  readonly heapBytes: number;
  /** Sockets and whatever else is open: so it shows when the last connection is gone. */
  readonly openFiles: number;
};

/** In a server's process: tells the parent the port, then what it uses as often as asked; `gc` collects garbage first. */
export function reportUsage(port: number): void {
  answerParent(async (question: { gc?: boolean }): Promise<Usage> => {
    const { user, system } = process.cpuUsage();
    // More than once: the next time frees what the last one's finalizers let go.
    for (let times = question.gc === true ? 3 : 0; times > 0; times--) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    const openFiles = readdirSync("/dev/fd").length;
    return { cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed + external, openFiles };
  });
  process.send?.({ port });
}
