/**
 * A server in a process of its own, for what might end it: run by `ChildServer`. Its settings are the first argument, as
 * JSON; with `hooks` the second argument, hooks do as the token, room, event or method that they are asked about is named.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createServer, type Hooks, type SettingsInput } from "../../server/server.js";

export type Report = {
  /** How long the event loop was held at the most since the last report, in milliseconds. */
  readonly stallMs: number;
  readonly rssBytes: number;
  readonly connections: number;
};

/** Does what a word says: the ways in which an application's hook goes wrong. */
function misbehave(word: string | undefined): unknown {
  switch (word) {
    case "throw":
      throw new Error("thrown by a hook");
    case "throw-nothing":
      // biome-ignore lint/style/useThrowOnlyError: what applications throw is not ours to say
      throw undefined;
    case "reject":
      return Promise.reject(new Error("rejected by a hook"));
    case "reject-later":
      return new Promise((_, reject) => setImmediate(reject, "rejected later"));
    case "never":
      return new Promise(() => undefined);
    default:
      return undefined;
  }
}

const hooks: Hooks = {
  authenticate: ({ token }) => (misbehave(token) ?? { user: token }) as { user?: string },
  authorize: ({ room }) => (misbehave(room) ?? true) as boolean,
  onPublish: ({ event }) => misbehave(event) as undefined,
  onCall: ({ method }) => misbehave(method) ?? "done",
};

const given = JSON.parse(process.argv[2] ?? "{}") as SettingsInput;
const server = await createServer({
  ...{ port: 0, page: false, logLevel: "silent", ...given },
  ...(process.argv[3] === "hooks" ? hooks : {}),
});
// Before any client was here: without a route this would be the end.
await server.publish("before", "n", 1);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on("message", () => {
  const report: Report = {
    stallMs: delay.max / 1e6,
    rssBytes: process.memoryUsage.rss(),
    connections: server.connections,
  };
  delay.reset();
  process.send?.(report);
});
// As the command line's program ends.
process.once("SIGTERM", () => void server.drain().finally(() => process.exit(0)));
process.send?.({ port: server.port });
