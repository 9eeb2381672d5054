/** The log: JSON lines for programs, plain ones for people at a terminal. */
import { write, writeSync } from "node:fs";
import { pino, stdSerializers } from "pino";

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

/** How long a reader that takes nothing now is waited for between two tries, in milliseconds. */
const BUSY_MS = 50;
/** How often it is tried again while the process ends. */
const LAST_TRIES = 20;
/** Lines are dropped while so much waits for the reader, in UTF-16 units. */
const MOST_WAITING = 8_388_608;

const isBusy = (error: unknown): boolean => ["EAGAIN", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "");

const droppedLine = (dropped: number): string => {
  const message = "lines of this log were dropped: its reader does not keep up";
  return `${JSON.stringify({ level: "warn", time: new Date().toISOString(), message, dropped })}\n`;
};

/**
 * Writes lines to a file descriptor, without waiting: a reader of the log that has stalled must not stall the server, nor
 * keep it from its end. Once the reader has gone nothing is written any more, and the server goes on. What pino has for
 * this (sonic-boom) tries for ever, where it finds only as the process ends that the reader has gone or stands still: the
 * process would never end.
 */
class LineWriter {
  readonly #fd: number;
  #waiting = "";
  /** What a busy reader did not take. */
  #refused: Buffer = Buffer.alloc(0);
  #writing = false;
  #gone = false;
  #dropped = 0;

  constructor(fd: number) {
    this.#fd = fd;
    process.once("exit", () => this.#writeLast());
  }

  write(line: string): void {
    if (this.#gone) return;
    if (this.#waiting.length > MOST_WAITING) this.#dropped++;
    else this.#waiting += line;
    if (!this.#writing) this.#writeNext();
  }

  /** What waits, and what is to be said of what does not. */
  #take(): Buffer {
    const bytes = Buffer.from(this.#dropped > 0 ? this.#waiting + droppedLine(this.#dropped) : this.#waiting);
    this.#waiting = "";
    this.#dropped = 0;
    return bytes;
  }

  #writeNext(): void {
    const bytes = this.#take();
    this.#writing = bytes.length > 0;
    if (this.#writing) this.#write(bytes);
  }

  #write(bytes: Buffer): void {
    write(this.#fd, bytes, (error, written) => {
      if (error === null) {
        if (written < bytes.length) this.#write(bytes.subarray(written));
        else this.#writeNext();
      } else if (isBusy(error)) {
        this.#refused = bytes;
        setTimeout(() => this.#retry(), BUSY_MS).unref();
      } else {
        this.#gone = true;
        this.#waiting = "";
      }
    });
  }

  #retry(): void {
    const bytes = this.#refused;
    this.#refused = Buffer.alloc(0);
    this.#write(bytes);
  }

  /** The process ends: what waits is written now, as far as the reader takes it. */
  #writeLast(): void {
    if (this.#gone) return;
    let bytes = Buffer.concat([this.#refused, this.#take()]);
    for (let tries = 0; bytes.length > 0 && tries < LAST_TRIES; ) {
      try {
        bytes = bytes.subarray(writeSync(this.#fd, bytes));
      } catch (error) {
        if (!isBusy(error)) return;
        tries++;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
      }
    }
  }
}

/** One for each, however many servers there are in the process. */
const opened = new Map<Stream, LineWriter>();

function openStream(stream: Stream): LineWriter {
  const writer = opened.get(stream) ?? new LineWriter(stream === "stdout" ? 1 : 2);
  opened.set(stream, writer);
  return writer;
}

/** Opens a log. Nothing of it holds the process open, beyond lines that a reader takes. */
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
