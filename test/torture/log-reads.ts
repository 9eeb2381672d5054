/** How often nodes read logs, as Redis sees it: what they say of themselves is not taken on trust. */
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { scripts } from "../../server/engine/redis/scripts.js";
import type { Scope } from "../support/services/scope.js";

/** The script that reads a log, its two keys and three words, and how many events it asks for. */
const READ = new RegExp(`"evalsha" "${scripts.history.sha}" "2"(?: "(?:[^"\\\\]|\\\\.)*"){5} "(\\d+)"`, "i");

export class LogReads {
  /** How many reads have asked for events; those that ask for the log's end alone are not counted. */
  count = 0;

  /** Begins to count. Resolves once it does. */
  static async start(scope: Scope, redis: { readonly host: string; readonly port: number }): Promise<LogReads> {
    const reads = new LogReads();
    const socket = connect(redis);
    scope.after(async () => {
      socket.destroy();
    });
    await once(socket, "connect");
    const lines = createInterface(socket);
    const begun = once(lines, "line");
    lines.on("line", (line) => {
      const limit = READ.exec(line)?.[1];
      if (limit !== undefined && limit !== "0") reads.count++;
    });
    socket.write("MONITOR\r\n");
    await begun;
    return reads;
  }
}
