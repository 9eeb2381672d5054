/** What the application asks of a session: a question of the server's own, and the client's answer. */
import type { PlainServerFrame, ReceivedFrame } from "../../protocol/codec.js";

/** What a session answered, as JSON text with binary as base64; or why there is no answer of it. */
export type Reply = { readonly json: string } | { readonly error: { readonly code: string; readonly message: string } };

/** The most questions that wait for one session. */
const MOST_OPEN = 32;
/** The largest answer, in bytes: as large as a question may be. */
const MAX_BYTES = 16_384;
/** How much of an error's words is carried on, in UTF-16 code units. */
const MAX_CODE = 64;
const MAX_MESSAGE = 200;

export const noAnswer = (code: string, message: string): Reply => ({ error: { code, message } });

/** Text of a client's, no longer than that, and well-formed also where it was cut within a pair. */
const cut = (text: string, length: number): string => text.slice(0, length).replace(/\p{Surrogate}/gu, "\ufffd");

/**
 * What waits for the answer of one session. Each question has an id of the node's own, is put once, and ends once: with
 * the client's answer, with the session, or by `forget`. An answer that nobody asked for is passed over.
 */
export class Answers {
  readonly #open = new Map<number, (reply: Reply) => void>();
  /** They count down: a client that takes every `id` for one of its requests is not misled. */
  #next = -1;

  /** How many wait. */
  get size(): number {
    return this.#open.size;
  }

  /** Puts a question. `done` is called once, in this turn where too many wait already; gives the id for `forget`. */
  ask(send: (frame: PlainServerFrame) => void, method: string, data: unknown, done: (reply: Reply) => void): number {
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
    if (code !== undefined) done(noAnswer(cut(code, MAX_CODE), cut(message ?? "", MAX_MESSAGE)));
    else if (data === undefined) done({ json: "null" });
    else if (data.isWithin(MAX_BYTES)) done({ json: data.json });
    else done(noAnswer("too_large", `the answer: expected at most ${MAX_BYTES} bytes, got ${data.size}`));
  }

  /** Nobody waits for it any more: what comes later is passed over. Whether it still waited. */
  forget(id: number): boolean {
    return this.#open.delete(id);
  }

  /** The session has ended. */
  close(): void {
    const waiting = [...this.#open.values()];
    this.#open.clear();
    for (const done of waiting) done(noAnswer("unavailable", "the session has ended"));
  }
}

/** What a session is to who asks it. */
type Askable = {
  readonly id: string;
  readonly state: string;
  readonly toldToMove: boolean;
  readonly link: { readonly isOneWay?: boolean };
  answers: Answers | undefined;
  send(frame: PlainServerFrame): void;
};

/**
 * Asks all of them the same, each once, and resolves with an answer or an error of each: when all have answered, or after
 * `withinMs`. A stream that goes one way is not asked. Who was told to move is not either: its client may be there on another connection already.
 */
export function askAll(
  sessions: readonly Askable[],
  method: string,
  data: unknown,
  withinMs: number,
): Promise<(readonly [session: string, reply: Reply])[]> {
  const replies = new Map<Askable, Reply>();
  const ids = new Map<Askable, number>();
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      const late = noAnswer("timeout", `no answer within ${withinMs} ms`);
      for (const [session, id] of ids) if (!replies.has(session)) session.answers?.forget(id);
      resolve(sessions.map((session) => [session.id, replies.get(session) ?? late]));
    };
    const timer = setTimeout(end, withinMs);
    // A server that has closed does not live on for an answer that never comes.
    timer.unref();
    for (const session of sessions) {
      const done = (reply: Reply): void => {
        replies.set(session, reply);
        if (replies.size === sessions.length) end();
      };
      if (session.state !== "open") done(noAnswer("unavailable", "the session has ended"));
      else if (session.link.isOneWay) done(noAnswer("unavailable", "the session is a stream, which cannot answer"));
      else if (session.toldToMove) done(noAnswer("unavailable", "the session was told to move to another node"));
      else {
        session.answers ??= new Answers();
        ids.set(
          session,
          session.answers.ask((frame) => session.send(frame), method, data, done),
        );
      }
    }
    if (sessions.length === 0) end();
  });
}
