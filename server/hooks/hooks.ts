/** The application's answers, asked in its own process. Every hook may be left out, and may be asynchronous. */
import type { ErrorCode } from "../../protocol/codes.js";

/** Who a session is, as the application says. */
export type Identity = {
  /** Who published an event (`from`), and who a key belongs to. Left out: anonymous. */
  readonly user?: string | undefined;
  /** What the application wants told about the user; any JSON value. */
  readonly info?: unknown;
  /** When the right to be connected ends, in Unix milliseconds. */
  readonly expiresAt?: number | undefined;
  /** Whose rooms these are: others' can be neither seen nor reached. 1 to 32 of `A-Z a-z 0-9 _ - .`; left out: no tenant. */
  readonly tenant?: string | undefined;
  /**
   * What the client may beyond its rooms' rules, by patterns of rooms' names as in tokens:
   * `{ "chat:*": ["join", "publish"], "user:{sub}:*": "join history" }`. At most 100.
   */
  readonly rooms?: { readonly [pattern: string]: string | readonly string[] } | undefined;
};

export type AuthenticateQuestion = {
  readonly token?: string | undefined;
  /** The page's origin, as the browser says. */
  readonly origin?: string | undefined;
  /** The IP address of the client: the other end of the TCP connection, or what a balancer in `trustProxy` says of it. */
  readonly address: string;
  /** Left out at a hello. A session shows a newer token: whose it is; the answer has to be of the same user and tenant. */
  readonly renewal?: Renewal | undefined;
};

export type Renewal = {
  readonly user?: string | undefined;
  readonly tenant?: string | undefined;
  readonly session: string;
};

type Asker = {
  readonly user?: string | undefined;
  readonly info?: unknown;
  /** Left out where there are no tenants. Names of rooms are the client's own, without it. */
  readonly tenant?: string | undefined;
  readonly session: string;
};
export type Action = "join" | "publish" | "history" | "members" | "call";
export type AuthorizeQuestion = Asker & {
  readonly action: Action;
  readonly room?: string | undefined;
  /** The room token that came with a join. */
  readonly token?: string | undefined;
};
export type PublishQuestion = Asker & { readonly room: string; readonly event: string; readonly data: unknown };
export type CallQuestion = Asker & { readonly method: string; readonly data: unknown };

type Answer<T> = T | Promise<T>;
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks has no return statement at all.
type PublishAnswer = void | undefined | { readonly data: unknown } | false;

export type Hooks = {
  /** Who is it? `undefined` refuses. It takes the place of tokens; without it and without keys everyone is let in. */
  readonly authenticate?: ((question: AuthenticateQuestion) => Answer<Identity | undefined>) | undefined;
  /**
   * May it, where neither the rules of the room's kind nor the client's token allow it? Without this hook it may not, unless
   * nobody is asked who they are either. It is asked about every `call`.
   */
  readonly authorize?: ((question: AuthorizeQuestion) => Answer<boolean>) | undefined;
  /** A look at every event that a client publishes: nothing lets it pass, `{ data }` replaces its data, `false` refuses. */
  readonly onPublish?: ((question: PublishQuestion) => Answer<PublishAnswer>) | undefined;
  /** Answers a client's `call`. */
  readonly onCall?: ((question: CallQuestion) => Answer<unknown>) | undefined;
};

/** What a hook throws to refuse with words of its own: the client gets `code` and `message`. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: ErrorCode;
  /** After how many milliseconds another try makes sense; left out: it does not. */
  readonly retryMs: number | undefined;

  constructor(code: ErrorCode, message: string, retryMs?: number) {
    super(message);
    this.code = code;
    this.retryMs = retryMs;
  }
}

/** How long a hook may take, in milliseconds. */
export const HOOK_TIMEOUT_MS = 10_000;

const bounded = new WeakSet<object>();

/** Says of an answer that it comes, or fails, within a time of its own: `inTime` leaves it alone. */
export function hasLimit<T>(answer: Promise<T>): Promise<T> {
  bounded.add(answer);
  return answer;
}

/** Applications in plain JavaScript also hand over promises that are none of this realm's class. */
function isPending<T>(answer: Answer<T>): answer is Promise<T> {
  return typeof (answer as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * A hook's answer, in the same turn where it has it at once: a session that asks nobody waits for nobody. Throws or
 * rejects with what the hook threw, or with a `Refusal` of code `timeout`.
 */
export function inTime<T>(answer: Answer<T>): Answer<T> {
  if (!isPending(answer) || bounded.has(answer)) return answer;
  return new Promise<T>((resolve, reject) => {
    const late = new Refusal("timeout", `the application did not answer within ${HOOK_TIMEOUT_MS} ms`, 1000);
    const timer = setTimeout(() => reject(late), HOOK_TIMEOUT_MS);
    // A server that has closed does not live on for an answer that never comes.
    timer.unref();
    Promise.resolve(answer)
      .finally(() => clearTimeout(timer))
      .then(resolve, reject);
  });
}

/** Goes on with an answer: in the same turn where it is there, else once it is. */
export function whenAnswered<T, R>(answer: Answer<T>, next: (value: T) => Answer<R>): Answer<R> {
  const bounded = inTime(answer);
  return bounded instanceof Promise ? bounded.then(next) : next(bounded);
}
