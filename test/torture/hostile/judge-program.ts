/** A server whose hooks look at whatever reaches them: run by `Judge`, in a process of its own. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createServer, type Server, type SettingsInput } from "../../../server/server.js";
import { obey } from "../part.js";
import type { Judged, JudgeOrder } from "./judge.js";
import { oddIn, prototypesAreWhole } from "./plainness.js";

/** How often the event loop is looked at, in milliseconds. */
const RESOLUTION_MS = 1;
const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
let server: Server | undefined;
let looked = 0;
const odd: string[] = [];

/** What came, to be looked at when somebody asks: the look itself takes longer than the server does. */
const came: unknown[] = [];

function look(data: unknown): undefined {
  came.push(data);
  return undefined;
}

function lookAtAll(): void {
  for (const data of came.splice(0)) {
    looked++;
    const words = oddIn(data);
    if (words !== undefined) odd.push(words);
  }
}

async function start(settings: SettingsInput): Promise<number> {
  server = await createServer({
    ...{ port: 0, page: false, logLevel: "silent", ...settings },
    onPublish: ({ data }) => look(data),
    onCall: ({ data }) => look(data) ?? "done",
  });
  delays.enable();
  return server.port;
}

function judged(): Judged {
  const stallMs = Math.max(0, delays.max / 1e6 - RESOLUTION_MS);
  lookAtAll();
  // Not before the look's own turn is over.
  setImmediate(() => setImmediate(() => delays.reset()));
  return {
    ...{ looked, odd: odd.slice(0, 20), oddCount: odd.length, prototypesAreWhole: prototypesAreWhole(), stallMs },
    ...{ rssBytes: process.memoryUsage.rss(), connections: server?.connections ?? 0 },
  };
}

obey<JudgeOrder>((order) => (order.type === "start" ? start(order.settings) : judged()));
