import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A process of this program that answers questions, one at a time. */
export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;

  /** `file` is beside this one. */
  constructor(name: string, file: string, execArgv: readonly string[], args: readonly string[] = []) {
    this.#name = name;
    const path = fileURLToPath(new URL(file, import.meta.url));
    // What a child prints is for people: stdout is kept for the program's one line.
    this.#process = fork(path, args, { execArgv: [...execArgv], stdio: ["ignore", 2, 2, "ipc"] });
  }

  /** The child's next word; rejects when it ends instead. */
  next<Answer>(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onEnd = (code: number | null, signal: string | null) => {
        this.#process.off("message", onAnswer);
        reject(new Error(`${this.#name} ended (${signal ?? `exit ${code}`})`));
      };
      const onAnswer = (answer: unknown) => {
        this.#process.off("exit", onEnd);
        const { error } = answer as { error?: string };
        if (error === undefined) resolve(answer as Answer);
        else reject(new Error(`${this.#name}: ${error}`));
      };
      this.#process.once("exit", onEnd);
      this.#process.once("message", onAnswer);
    });
  }

  ask<Answer>(question: object): Promise<Answer> {
    const answer = this.next<Answer>();
    // A child that is gone shows as its end.
    this.#process.send(question, () => {});
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await ended;
  }
}

/** In the child: answers each question by what `answer` makes of it, and ends when the parent does. */
export function answerParent(answer: (question: never) => unknown): void {
  process.on("message", async (question) => {
    try {
      process.send?.(await answer(question as never));
    } catch (error) {
      process.send?.({ error: String(error) });
    }
  });
  process.on("disconnect", () => process.exit(0));
}
