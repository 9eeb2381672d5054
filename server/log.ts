/** The log: JSON lines for programs, plain ones for people at a terminal. */
import { destination as openDestination, pino, stdSerializers } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";
type Fields = { readonly [name: string]: unknown };

/** What parts of the server write to. What stands in fields named `secret`, `token` and the like is not written. */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

type Stream = "stdout" | "stderr";

export type LogOptions = {
  readonly level: LogLevel;
  /** Where the lines go; by default standard error, which leaves standard output to the application. */
  readonly destination?: Stream | { write(line: string): unknown };
  /** Whether lines are written for people; by default only where they go to a terminal. */
  readonly readable?: boolean;
};

const SECRETS = ["secret", "token", "ticket", "authorization", "cookie"];

/** One line for a person: the time of day, the level, the text, and what else there is. */
function readableLine(line: string): string {
  const { time, level, message, ...fields } = JSON.parse(line) as { [name: string]: unknown };
  const rest = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
    return `${name}=${text}`;
  });
  const head = `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${String(message)}`;
  return `${rest.length === 0 ? head : `${head}  ${rest.join(" ")}`}\n`;
}

const opened = new Map<Stream, ReturnType<typeof openDestination>>();

/** A reader of the log that has stalled must not stall the server: hence not `sync`. */
function openStream(stream: Stream): ReturnType<typeof openDestination> {
  const destination = opened.get(stream) ?? openDestination({ dest: stream === "stdout" ? 1 : 2, sync: false });
  opened.set(stream, destination);
  return destination;
}

/** Opens a log. Nothing of it holds the process open, beyond the lines that are still being written. */
export function createLog({ level, destination = "stderr", readable }: LogOptions): Log {
  const toStream = typeof destination === "string";
  const forPeople = readable ?? (toStream && process[destination].isTTY === true);
  const out = !toStream ? destination : forPeople ? process[destination] : openStream(destination);
  const lines = pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`]), censor: "(not shown)" },
    },
    forPeople ? { write: (line: string) => out.write(readableLine(line)) } : out,
  );
  return {
    debug: (message, fields) => lines.debug(fields ?? {}, message),
    info: (message, fields) => lines.info(fields ?? {}, message),
    warn: (message, fields) => lines.warn(fields ?? {}, message),
    error: (message, fields) => lines.error(fields ?? {}, message),
  };
}
