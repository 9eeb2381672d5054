import { Worker } from "node:worker_threads";
import type { Contestant } from "./dialects.js";

export type PublisherStart = { readonly name: Contestant; readonly port: number };
export type PublisherTask = {
  readonly events: number;
  readonly perSecond: number;
  /** Of Roomcast alone: another room than the one that all others are in. */
  readonly room?: string;
};
/** How late events left, in microseconds after their due time: what the load generator itself adds. */
export type PublisherDone = {
  readonly lateP50Us: number;
  readonly lateP99Us: number;
  readonly troubles: readonly string[];
};

/** A thread that publishes evenly: it sleeps to the due time of each event, with nothing beside it in its loop. */
export class Publisher {
  readonly #worker: Worker;

  static async start(name: Contestant, port: number): Promise<Publisher> {
    const publisher = new Publisher({ name, port });
    await publisher.#next();
    return publisher;
  }

  private constructor(start: PublisherStart) {
    this.#worker = new Worker(new URL("./publisher-thread.js", import.meta.url), { workerData: start });
  }

  #next<Answer>(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onError = (error: unknown) => reject(error);
      this.#worker.once("error", onError);
      this.#worker.once("message", (answer: Answer) => {
        this.#worker.off("error", onError);
        resolve(answer);
      });
    });
  }

  publish(task: PublisherTask): Promise<PublisherDone> {
    const done = this.#next<PublisherDone>();
    this.#worker.postMessage(task);
    return done;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
