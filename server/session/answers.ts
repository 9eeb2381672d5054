/** What the application asks of a session: a question of the server's own, and the client's answer. */
import type { PlainServerFrame, ReceivedFrame } from "../../protocol/codec.js";

/** What a session answered, or why there is no answer of it. `data` is a JSON value, with binary as base64. */
export type Answer =
  | { readonly data: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

/** The most questions that wait for one session. */
const MOST_OPEN = 32;
/** How much of an error's words is carried on, in UTF-16 code units. */
const MAX_CODE = 64;
const MAX_MESSAGE = 200;

export const noAnswer = (code: string, message: string): Answer => ({ error: { code, message } });

/** Text of a client's, no longer than that, and well-formed also where it was cut within a pair. */
const cut = (text: string, length: number): string => text.slice(0, length).replace(/\p{Surrogate}/gu, "\ufffd");

/**
 * What waits for the answer of one session. Each question has an id of the node's own, is put once, and ends once: with
 * the client's answer, with the session, or by `forget`. An answer that nobody asked for is passed over.
 */
export class Answers {
  readonly #open = new Map<number, (answer: Answer) => void>();
  /** They count down: a client that takes every `id` for one of its requests is not misled. */
  #next = -1;

  /** How many wait. */
  get size(): number {
    return this.#open.size;
  }

  /** Puts a question. `done` is called once, in this turn where too many wait already; gives the id for `forget`. */
  ask(send: (frame: PlainServerFrame) => void, method: string, data: unknown, done: (answer: Answer) => void): number {
    const id = this.#next--;
    if (this.#open.size >= MOST_OPEN) {
      done(noAnswer("too_many", `${MOST_OPEN} questions wait for this session already`));
      return id;
    }
    this.#open.set(id, done);
    send({ type: "call", id, method, data });
    return id;
  }

  /** Takes what a client sent as an answer. */
  take({ id, data, code, message }: Extract<ReceivedFrame, { type: "answer" }>): void {
    const done = this.#open.get(id);
    if (done === undefined) return;
    this.#open.delete(id);
    if (code === undefined) done({ data: data === undefined ? null : JSON.parse(data.json) });
    else done(noAnswer(cut(code, MAX_CODE), cut(message ?? "", MAX_MESSAGE)));
  }

  /** Nobody waits for it any more: what comes later is passed over. */
  forget(id: number): void {
    this.#open.delete(id);
  }

  /** The session has ended. */
  close(): void {
    const waiting = [...this.#open.values()];
    this.#open.clear();
    for (const done of waiting) done(noAnswer("unavailable", "the session has ended"));
  }
}
