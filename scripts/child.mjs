// A program that runs beside others: its lines carry its name, it is started again when it ends, and ended in order.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

// Where there is one, no program outlives this process, however this one ends.
const SETPRIV = "/usr/bin/setpriv";
const READY_MS = 20_000;
const AGAIN_MS = 3000;
const MOST_FAILURES = 3;
const KEPT_LINES = 8;

export class Child {
  name;
  #program;
  #args;
  #ready;
  #onLine;
  #quiet;
  #kept = [];
  #process;
  #ended = Promise.resolve();
  #ending = false;
  #failures = 0;

  /**
   * `ready` resolves once the program does its work; `onLine` gets every line it prints, and what is said of it here. Of a
   * `quiet` one it gets the last lines alone, and only when it ends without being asked to.
   */
  constructor({ name, program, args, ready, onLine, quiet = false }) {
    this.name = name;
    this.#program = program;
    this.#args = args;
    this.#ready = ready;
    this.#onLine = (line) => onLine(name, line);
    this.#quiet = quiet;
  }

  get pid() {
    return this.#process?.pid;
  }

  /** Resolves once it is ready. Rejects when it ends before that, or takes too long. */
  async start() {
    const gone = this.#spawn();
    const late = new AbortController();
    try {
      await Promise.race([
        this.#ready(this),
        gone.then((how) => Promise.reject(new Error(`${this.name} ended before it was ready (${how})`))),
        pause(READY_MS, undefined, late).then(() => Promise.reject(new Error(`${this.name} does not get ready`))),
      ]);
    } finally {
      late.abort();
    }
    this.#failures = 0;
    void gone.then((how) => this.#again(how));
  }

  /** Asks it to end by `signal`, and sees to it after `mostMs`. Resolves once it is gone; it is not started again. */
  async end(mostMs, signal = "SIGTERM") {
    this.#ending = true;
    const running = this.#process;
    if (running === undefined) return;
    running.kill(signal);
    const timer = setTimeout(() => running.kill("SIGKILL"), mostMs);
    await this.#ended;
    clearTimeout(timer);
  }

  kill() {
    this.#ending = true;
    this.#process?.kill("SIGKILL");
  }

  /** Resolves with the first of its lines that `matches`. */
  line(matches) {
    return new Promise((resolve) => {
      const look = (line) => {
        if (!matches.test(line)) return;
        this.#lines.off("line", look);
        resolve(line);
      };
      this.#lines.on("line", look);
    });
  }

  #lines;

  /** Resolves once it is gone, with how it ended. */
  #spawn() {
    const bound = existsSync(SETPRIV);
    const [program, args] = bound
      ? [SETPRIV, ["--pdeathsig", "TERM", this.#program, ...this.#args]]
      : [this.#program, this.#args];
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ROOMCAST_")));
    // In a group of its own: a terminal's Ctrl-C reaches this process alone, which then ends the others in order.
    const started = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env });
    this.#process = started;
    this.#lines = createInterface(started.stdout).on("line", (line) => this.#take(line));
    createInterface(started.stderr).on("line", (line) => this.#take(line));
    const gone = new Promise((resolve) => {
      started.once("error", (error) => resolve(error.message));
      started.once("close", (code, signal) => resolve(signal ?? `code ${code}`));
    });
    this.#ended = gone.then(() => {
      this.#process = undefined;
      if (!this.#ending) for (const line of this.#kept) this.#onLine(line);
      this.#kept = [];
    });
    return gone;
  }

  #take(line) {
    if (!this.#quiet) return this.#onLine(line);
    this.#kept.push(line);
    if (this.#kept.length > KEPT_LINES) this.#kept.shift();
  }

  async #again(how) {
    while (!this.#ending) {
      this.#onLine(`ended (${how}); the others go on. It starts again in ${AGAIN_MS / 1000} s.`);
      await pause(AGAIN_MS, undefined, { ref: false });
      if (this.#ending) return;
      try {
        await this.start();
        this.#onLine(`runs again, pid ${this.pid}`);
        return;
      } catch (error) {
        this.#process?.kill("SIGKILL");
        this.#failures++;
        if (this.#failures === MOST_FAILURES) return this.#onLine(`${error.message}; it is given up`);
      }
    }
  }
}
