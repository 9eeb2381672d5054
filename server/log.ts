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

export type LogOptions = {
  readonly level: LogLevel;
  /** Where the lines go; by default standard output. */
  readonly destination?: { write(line: string): unknown };
  /** Whether lines are written for people; by default only where standard output is a terminal. */
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

let standardOutput: ReturnType<typeof openDestination> | undefined;

/** A reader of the log that has stalled must not stall the server: hence not `sync`. */
function openStandardOutput(): NonNullable<LogOptions["destination"]> {
  standardOutput ??= openDestination({ dest: 1, sync: false });
  return standardOutput;
}

/** Opens a log. Nothing of it holds the process open, beyond the lines that are still being written. */
export function createLog({ level, destination, readable }: LogOptions): Log {
  const forPeople = readable ?? (destination === undefined && process.stdout.isTTY === true);
  const out = destination ?? (forPeople ? process.stdout : openStandardOutput());
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
