/** Processes that clients live in, which do as they are told: both ends of the line. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Scope } from "../support/services/scope.js";

type Answer = { readonly answer: unknown } | { readonly error: string };

/** How long an order may take, in milliseconds, on top of the time it asks for. */
const PATIENCE_MS = 120_000;

/** A process of a program that calls `obey`. It ends with its scope. */
export class Part<Order extends { readonly type: string }> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #id = 0;

  /** `program` is a file's path. */
  constructor(scope: Scope, program: string, args: readonly string[] = []) {
    // Plain JSON would take a minute over what the larger rows write down.
    this.#child = fork(program, [...args], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#child.on("message", ({ id, ...answer }: Answer & { id: number }) => {
      this.#waiting.get(id)?.(answer as Answer);
      this.#waiting.delete(id);
    });
    this.#child.on("exit", () => {
      for (const answer of this.#waiting.values()) answer({ error: "a process of clients has ended" });
      this.#waiting.clear();
    });
    scope.after(() => this.end());
  }

  /** Resolves with the answer; rejects with the error, or where there is no answer in time. */
  ask<T>(order: Order, takesMs = 0): Promise<T> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`a process of clients did not answer ${order.type}`));
      const timer = setTimeout(late, PATIENCE_MS + takesMs);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        if ("error" in answer) reject(new Error(answer.error));
        else resolve(answer.answer as T);
      });
      this.#child.send({ id, order }, () => undefined);
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** In the process: answers each order by what `act` makes of it, and ends when the one who orders does. */
export function obey<Order>(act: (order: Order) => unknown): void {
  process.on("message", async ({ id, order }: { id: number; order: Order }) => {
    let answer: Answer;
    try {
      answer = { answer: await act(order) };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.send?.({ id, ...answer });
  });
  process.on("disconnect", () => process.exit(0));
}
