import { EngineError } from "../engine/engine.js";
import type { Numbers } from "./note.js";

/** What all nodes answered, added up. */
export type Collected = {
  readonly numbers: Numbers;
  /** How many nodes answered. */
  readonly nodes: number;
  /** The names of nodes that did not answer in time, or could not do it: their part is not in the numbers. */
  readonly missing: readonly string[];
  /** What was listed, by all nodes. */
  readonly listed?: readonly unknown[];
  /** What each node listed, where any has, and its own numbers. */
  readonly lists?: readonly List[];
};

export type List = { readonly id: string; readonly numbers: Numbers; readonly listed: readonly unknown[] };

type Question = {
  /** The nodes whose answer is waited for, by their instances: their names. */
  readonly waiting: Map<string, string>;
  readonly answered: Set<string>;
  readonly sums: Map<string, number>;
  readonly failed: string[];
  readonly lists: List[];
  readonly timers: NodeJS.Timeout[];
  /** Until then nodes may be there that are not in the list yet. */
  early: boolean;
  readonly resolve: (collected: Collected) => void;
  readonly reject: (error: EngineError) => void;
};

/** The requests of this node that wait for answers. Each ends: with all answers, in time, or with the node. */
export class Questions {
  readonly #open = new Map<number, Question>();
  #next = 1;

  /** How many wait. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Opens a request to the nodes in `waiting`. `answered` resolves once all of them have answered, but not within the
   * first `earlyMs`, or after `withinMs`. It rejects with an `EngineError` only by `fail`.
   */
  open(
    waiting: Map<string, string>,
    earlyMs: number,
    withinMs: number,
  ): { request: number; answered: Promise<Collected> } {
    const request = this.#next++;
    const answered = new Promise<Collected>((resolve, reject) => {
      const timers = [setTimeout(() => this.#end(request), withinMs)];
      const question: Question = {
        ...{ waiting, answered: new Set(), sums: new Map(), failed: [], lists: [], timers, resolve, reject },
        early: earlyMs > 0,
      };
      this.#open.set(request, question);
      if (!question.early) return;
      const look = () => {
        question.early = false;
        this.#look(request, question);
      };
      timers.push(setTimeout(look, Math.min(earlyMs, withinMs)));
    });
    return { request, answered };
  }

  /** Takes an instance's answer; what comes late or twice is passed over. `name` is the node's, where it is known. */
  take(request: number, id: string, name: string, numbers: Numbers | undefined, listed?: readonly unknown[]): void {
    const question = this.#open.get(request);
    if (question === undefined || question.answered.has(id)) return;
    question.waiting.delete(id);
    if (numbers === undefined) question.failed.push(name);
    else {
      question.answered.add(id);
      if (listed !== undefined) question.lists.push({ id, numbers, listed });
      for (const [key, value] of Object.entries(numbers)) {
        question.sums.set(key, (question.sums.get(key) ?? 0) + value);
      }
    }
    this.#look(request, question);
  }

  /** The node has said that it has gone: nothing of it is left to answer. */
  left(id: string): void {
    for (const [request, question] of this.#open) if (question.waiting.delete(id)) this.#look(request, question);
  }

  #look(request: number, { waiting, early }: Question): void {
    if (waiting.size === 0 && !early) this.#end(request);
  }

  #end(request: number): void {
    const question = this.#take(request);
    if (question === undefined) return;
    const { sums, answered, failed, waiting, lists } = question;
    const missing = [...failed, ...waiting.values()];
    const list = lists.length === 0 ? {} : { lists, listed: lists.flatMap(({ listed }) => listed) };
    question.resolve({ numbers: Object.fromEntries(sums), nodes: answered.size, missing, ...list });
  }

  /** The request could not be put. */
  fail(request: number, error: EngineError): void {
    this.#take(request)?.reject(error);
  }

  #take(request: number): Question | undefined {
    const question = this.#open.get(request);
    this.#open.delete(request);
    for (const timer of question?.timers ?? []) clearTimeout(timer);
    return question;
  }

  /** Ends all of them. */
  close(): void {
    const error = new EngineError("unavailable", "this node is closed", 0);
    for (const request of [...this.#open.keys()]) this.fail(request, error);
  }
}
