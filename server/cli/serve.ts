import { ConfigError, checksTokens, enginesIn, type Settings } from "../config.js";
import { createLog, type Log } from "../log.js";
import { isLoopback } from "../transport/upgrade.js";
import { checkText } from "./check.js";
import { serveHelp } from "./help.js";
import { loadSettings, readFlags } from "./sources.js";

/** What `createServer` gives, as far as the command needs it. */
type Running = {
  readonly url: string;
  readonly port: number;
  readonly metricsUrl: string | undefined;
  drain(): Promise<void>;
  close(): Promise<void>;
};

/** A second signal within this many milliseconds is the same one: a terminal and npm both pass on one Ctrl-C. */
const SAME_SIGNAL_MS = 500;

/** `roomcast serve`: starts a node and ends it at a signal. */
export async function serve(
  args: readonly string[],
  env: { readonly [name: string]: string | undefined },
): Promise<void> {
  const flags = readFlags(args, ["check", "json", "help"]);
  if (flags.switches.has("help")) return print(serveHelp());
  try {
    if (flags.switches.has("json") && !flags.switches.has("check"))
      flags.lines.push("--json: expected --check with it");
    const loaded = loadSettings(flags, env);
    if (flags.switches.has("check")) return print(checkText(loaded, flags.switches.has("json")));
    await start(loaded.settings);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.lines.join("\n")}\n`);
    process.exitCode = 2;
  }
}

async function start(settings: Settings): Promise<void> {
  const log = createLog({ level: settings.logLevel, destination: "stdout" });
  const running = open(settings, log);
  endAtSignal(running, log);
  try {
    announce(await running, settings, log);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    log.debug("cannot start", { error });
    process.stderr.write(`cannot start: ${firstLine(error)}\n`);
    process.exitCode = 1;
  }
}

/** Loaded here and not above, so that wrong settings are told before anything native is loaded. */
async function open(settings: Settings, log: Log): Promise<Running> {
  const { createServer } = await import("../server.js");
  return createServer({ ...settings, log });
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";

/** Says where it listens and what a person should know of it. The first line carries the address for programs, too. */
function announce({ url, port, metricsUrl }: Running, settings: Settings, log: Log): void {
  log.info(`listening on ${url}`, { url, port, metricsUrl, node: settings.node, pid: process.pid });
  const { hooks, apiKeys } = settings;
  if (!checksTokens(settings) && hooks.connect === undefined) {
    const isApiOpen = apiKeys.length === 0 && hooks.join === undefined;
    const what = isApiOpen ? "connect and use the HTTP API" : "connect";
    const reach = isLoopback(settings.host) ? "loopback only, anyone on this machine may" : "anyone may";
    log.warn(`NO SECRET CONFIGURED: ${reach} ${what}`);
  }
  const [engine] = enginesIn(settings);
  if (engine === "memory") {
    log.info("memory engine: what is published is kept in this process and ends with it", {
      memoryMaxBytes: settings.memoryMaxBytes,
    });
  }
  if (settings.page) log.info(`start page at ${url}/`);
}

/** What a signal asks for: whoever runs the process has time for a drain, whoever presses Ctrl-C has not. */
const ENDS = { SIGTERM: "drain", SIGINT: "close" } as const;

/**
 * Ends the server at the first SIGTERM or SIGINT. The process then ends by itself, since nothing holds it open; a
 * second signal ends it at once, with exit code 1.
 */
function endAtSignal(running: Promise<Running>, log: Log): void {
  let first: number | undefined;
  const onSignal = (signal: keyof typeof ENDS): void => {
    if (first === undefined) {
      first = performance.now();
      log.info(`${signal}: ${ENDS[signal] === "drain" ? "draining" : "closing"}; a second signal ends at once`);
      void end(running, ENDS[signal], log);
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      log.warn(`${signal} again: ending at once`);
      process.exit(1);
    }
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

async function end(running: Promise<Running>, way: "drain" | "close", log: Log): Promise<void> {
  // A server that could not start has been reported where it was started.
  const server = await running.catch(() => undefined);
  try {
    await server?.[way]();
  } catch (error) {
    log.error("closing failed", { error });
    process.exitCode = 1;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
