/** A client of the HTTP API for backends: the methods of `Server`, asked of a server somewhere else. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import type { ErrorCode } from "../../protocol/codes.js";
import type { Position } from "../../protocol/positions.js";
import { type OperationId, table } from "./operations.js";
import type { FieldError, Problem } from "./problems.js";

type Table = typeof table;
/** What a part of a request holds; nothing where the operation has no such part. */
type Part<Shape extends z.ZodObject> = keyof Shape["shape"] extends never ? unknown : z.input<Shape>;
/** What an operation takes: the parameters of its path, its query and its body, in one object. */
export type ApiInput<Id extends OperationId> = Part<Table[Id]["params"]> &
  Part<Table[Id]["query"]> &
  Part<Table[Id]["body"]>;
export type ApiAnswer<Id extends OperationId> = z.output<Table[Id]["answer"]>;

/** What an operation takes beside what its method names. */
type Options<Id extends OperationId, Named extends string> = Omit<ApiInput<Id>, Named>;

export type ServerClientOptions = {
  /** Where the server is, `https://rooms.example`; or several of its nodes, to go on with another where one is away. */
  readonly url: string | readonly string[];
  /** An API key, as `roomcast key` makes it. Left out: a server in development, on this machine. */
  readonly key?: string | undefined;
  /** How often a request is tried at the most; 5. */
  readonly tries?: number | undefined;
  /** How long one try may take, in milliseconds; 10,000. */
  readonly timeoutMs?: number | undefined;
};

/** The server's refusal, or that no answer came (`status` 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: ErrorCode;
  /** The fields that were wrong. */
  readonly errors: readonly FieldError[];
  /** After how many milliseconds another try makes sense; left out: it does not. */
  readonly retryMs: number | undefined;

  constructor({
    status,
    code,
    detail,
    errors,
    retryMs,
  }: Pick<Problem, "status" | "code" | "detail" | "errors" | "retryMs">) {
    super(detail);
    this.status = status;
    this.code = code;
    this.errors = errors ?? [];
    this.retryMs = retryMs;
  }
}

/** The pause before the next try where the server names none, in milliseconds: doubled up to the second, with jitter. */
const PAUSE_MS = [100, 5000] as const;
/** Asking users' sessions twice is asking them twice; everything else may be repeated. */
const ONCE: ReadonlySet<OperationId> = new Set<OperationId>(["call"]);
/** No answer, or one of a balancer: the request may have been done. */
const lost = (detail: string): ApiError => new ApiError({ status: 0, code: "unavailable", detail, retryMs: 0 });

const isTemporary = ({ status, retryMs }: ApiError): boolean => retryMs !== undefined || status >= 502;

/**
 * Asks a server by its HTTP API. Every method rejects with `ApiError`. What fails for the moment is tried again, `tries`
 * times in all: a publish goes by a key, its own or one made up here, so it is one event however often it was sent.
 */
export class ServerClient {
  readonly #urls: readonly string[];
  readonly #key: string | undefined;
  readonly #tries: number;
  readonly #timeoutMs: number;
  #at = 0;

  /** Throws `TypeError` for a URL that is none. */
  constructor({ url, key, tries = 5, timeoutMs = 10_000 }: ServerClientOptions) {
    this.#urls = typeof url === "string" ? [url] : url;
    if (this.#urls.length === 0 || !this.#urls.every((one) => /^https?:$/.test(protocolOf(one)))) {
      throw new TypeError(`url: expected http(s)://…, got ${JSON.stringify(url)}`);
    }
    this.#key = key;
    this.#tries = tries;
    this.#timeoutMs = timeoutMs;
  }

  /** Publishes an event; resolves once it is in the log, with its position: `undefined` in a room without history. */
  async publish(
    room: string,
    event: string,
    data: unknown,
    options: Options<"publish", "room" | "event" | "data"> = {},
  ): Promise<Position | undefined> {
    return (await this.ask("publish", { room, event, data, ...options, key: options.key ?? randomUUID() })).position;
  }

  /** One event in many rooms, with a result for each. */
  publishMany(
    rooms: string[],
    event: string,
    data: unknown,
    options: Options<"publishMany", "rooms" | "event" | "data"> = {},
  ) {
    return this.ask("publishMany", { rooms, event, data, ...options, key: options.key ?? randomUUID() });
  }

  /** Many events at once, with a result for each, in their order. */
  batch(items: ApiInput<"batch">["items"], key: string = randomUUID()) {
    return this.ask("batch", { items }, key);
  }

  history(room: string, options: Options<"history", "room"> = {}) {
    return this.ask("history", { room, ...options });
  }

  members(room: string, options: Options<"members", "room"> = {}) {
    return this.ask("members", { room, ...options });
  }

  rooms(options: Options<"rooms", never> = {}) {
    return this.ask("rooms", options);
  }

  count(room: string, options: Options<"countRoom", "room"> = {}) {
    return this.ask("countRoom", { room, ...options });
  }

  remove(user: string, room: string, options: Options<"remove", "room" | "user"> = {}) {
    return this.ask("remove", { room, user, ...options });
  }

  disconnect(user: string, options: Options<"disconnect", "user"> = {}) {
    return this.ask("disconnect", { user, ...options });
  }

  /** Keeps the user out until then, in Unix milliseconds. */
  async block(user: string, until: number, options: Options<"block", "user" | "until"> = {}): Promise<void> {
    await this.ask("block", { user, until, ...options });
  }

  async unblock(user: string, options: Options<"unblock", "user"> = {}): Promise<void> {
    await this.ask("unblock", { user, ...options });
  }

  async revoke(what: ApiInput<"revoke">): Promise<void> {
    await this.ask("revoke", what);
  }

  /** Asks the user's sessions and collects their answers. Never tried twice: a session may have been asked. */
  call(user: string, method: string, data: unknown, options: Options<"call", "user" | "method" | "data"> = {}) {
    return this.ask("call", { user, method, data, ...options });
  }

  forget(what: ApiInput<"forget"> = {}) {
    return this.ask("forget", what);
  }

  nodes() {
    return this.ask("nodes", {});
  }

  /** Any operation of the table, with all it takes in one object. */
  async ask<Id extends OperationId>(id: Id, input: ApiInput<Id>, key?: string): Promise<ApiAnswer<Id>> {
    const { method, path, query } = table[id];
    const rest: { [name: string]: unknown } = { ...(input as object) };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const value = rest[name];
      delete rest[name];
      return encodeURIComponent(String(value));
    });
    const asked = Object.entries(rest).filter(([name, value]) => name in query.shape && value !== undefined);
    const search = new URLSearchParams(asked.map(([name, value]): [string, string] => [name, String(value)]));
    const body = method === "get" ? undefined : JSON.stringify(rest);
    const target = method === "get" && search.size > 0 ? `${filled}?${search}` : filled;
    return (await this.#tryAll(ONCE.has(id) ? 1 : this.#tries, method, target, body, key)) as ApiAnswer<Id>;
  }

  async #tryAll(
    tries: number,
    method: string,
    path: string,
    body: string | undefined,
    key: string | undefined,
  ): Promise<unknown> {
    for (let pauseMs: number = PAUSE_MS[0], left = tries - 1; ; left--) {
      try {
        return await this.#try(method, path, body, key);
      } catch (error) {
        if (!(error instanceof ApiError) || left <= 0 || !isTemporary(error)) throw error;
        // The next one may be on a node that is well.
        this.#at = (this.#at + 1) % this.#urls.length;
        await pause(Math.max(error.retryMs ?? 0, pauseMs * (0.5 + Math.random() / 2)));
        pauseMs = Math.min(pauseMs * 2, PAUSE_MS[1]);
      }
    }
  }

  async #try(method: string, path: string, body: string | undefined, key: string | undefined): Promise<unknown> {
    const headers: { [name: string]: string } = { accept: "application/json" };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (this.#key !== undefined) headers["authorization"] = `Bearer ${this.#key}`;
    if (key !== undefined) headers["idempotency-key"] = key;
    const url = new URL(path, this.#urls[this.#at]);
    const ending = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        ending.abort();
        reject(lost(`no answer within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
    });
    const asked = this.#fetch(url, {
      method: method.toUpperCase(),
      headers,
      signal: ending.signal,
      redirect: "error",
      ...(body === undefined ? {} : { body }),
    });
    // Node 20's fetch may pass over the signal: whoever comes first decides.
    return Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }

  async #fetch(url: URL, init: RequestInit): Promise<unknown> {
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(url, init);
      answer = await response.json();
    } catch (error) {
      const { cause } = error as { readonly cause?: { readonly code?: string } };
      throw lost(`no answer of the server: ${cause?.code ?? "the connection was lost"}`);
    }
    if (response.ok) return answer;
    const {
      code = "unavailable",
      detail = "no answer of this API",
      errors,
      retryMs,
    } = (answer ?? {}) as Partial<Problem>;
    throw new ApiError({
      ...{ status: response.status, code, detail },
      ...(errors === undefined ? {} : { errors }),
      ...(retryMs === undefined ? {} : { retryMs }),
    });
  }
}

const protocolOf = (url: string): string => (URL.canParse(url) ? new URL(url).protocol : "");
