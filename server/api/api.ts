/** The API of one node: who asks for what, and the answer. */
import type { ApiKey, ApiKeys } from "../access/api-keys.js";
import type { Log } from "../log.js";
import type { Application } from "./application.js";
import { Callers, checkScope } from "./callers.js";
import { readJson } from "./json-body.js";
import type { Operation } from "./operation.js";
import { operations } from "./operations.js";
import { type Answer, problemOf, toldBy } from "./problems.js";
import { readInput, readQuery } from "./read.js";

/** What a request says, apart from its body. */
export type Head = {
  /** The path's parameters, decoded. */
  readonly params: { readonly [name: string]: unknown };
  /** What stands behind the `?`. */
  readonly query: string;
  readonly caller: ApiKey;
  /** The `Idempotency-Key`, where there is one. */
  readonly key: string | undefined;
};

/** The first digit of an answer's status, and what it was. */
const classes = ["2xx", "4xx", "5xx"] as const;
type StatusClass = (typeof classes)[number];
const noneYet = (): { [status in StatusClass]: number } => ({ "2xx": 0, "4xx": 0, "5xx": 0 });

/** Frozen: so they are put together once. */
const JSON_HEADERS = Object.freeze({ "content-type": "application/json" });

export type ApiOptions = {
  /** Asked at each request: a node is there once it listens. */
  readonly app: () => Application;
  readonly keys: ApiKeys;
  /** Nobody is asked for a key. */
  readonly isOpen: boolean;
  readonly log: Log;
};

export class Api {
  readonly callers: Callers;
  readonly #counts = new Map(operations.map((operation) => [operation, noneYet()]));
  readonly #app: () => Application;
  readonly #log: Log;

  constructor({ app, keys, isOpen, log }: ApiOptions) {
    this.callers = new Callers(keys, isOpen);
    this.#app = app;
    this.#log = log;
  }

  /** How many requests were answered, by operation and the class of the answer's status: `publish 2xx`; a total each. */
  get requests(): Readonly<Record<string, number>> {
    const counts = [...this.#counts].flatMap(([{ id }, byClass]) =>
      classes.map((status) => [`${id} ${status}`, byClass[status]] as const),
    );
    return Object.fromEntries(counts);
  }

  /** Whose request it is. Throws `Refusal` where it is nobody's, or the key is not good for the operation. */
  callerOf(operation: Operation, authorization: string): ApiKey {
    const caller = this.callers.of(authorization);
    checkScope(caller, operation.scope);
    return caller;
  }

  /** Does what was asked for, and answers, in this turn or later. Throws nothing. `bytes` are read before it returns. */
  answer(
    operation: Operation,
    { params, query, caller, key }: Head,
    bytes: Buffer,
    done: (answer: Answer) => void,
  ): void {
    let answer: Promise<object>;
    try {
      const input = readInput(operation, params, readQuery(query, operation.query), readJson(bytes, operation.carries));
      answer = operation.run(this.#app(), input, { caller, key });
    } catch (error) {
      done(this.failed(operation, error));
      return;
    }
    void answer.then(
      (value) => done(this.#done(operation, value)),
      (error: unknown) => done(this.failed(operation, error)),
    );
  }

  #done(operation: Operation, answer: object): Answer {
    this.#count(operation, 200);
    const status = operation.isPartial?.(answer) === true ? 207 : 200;
    return { status, headers: JSON_HEADERS, body: operation.print?.(answer) ?? JSON.stringify(answer) };
  }

  /** The answer for what went wrong. */
  failed(operation: Operation, error: unknown): Answer {
    if (toldBy(error) === undefined) {
      this.#log.error("an unexpected error", { operation: operation.id, error: String(error) });
    }
    const answer = problemOf(error);
    this.#count(operation, answer.status);
    return answer;
  }

  /** The answer for a request that is for no operation. */
  refused(error: Error): Answer {
    return problemOf(error);
  }

  #count(operation: Operation, status: number): void {
    const counts = this.#counts.get(operation);
    if (counts !== undefined) counts[status < 400 ? "2xx" : status < 500 ? "4xx" : "5xx"]++;
  }
}
