/** One request over HTTP and its answer, as routes see them. */
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { ProtocolError } from "../../protocol/codes.js";
import { BodyRead, type Traffic } from "./body.js";
import { plainReply, type Reply, safeHeaders } from "./http.js";

/**
 * One request. What it says (`method`, `path`, `param`, `query`, `header`) can be asked in the turn it came in, and not
 * after an `await`: the native request is gone by then. It is answered once, by `answer`; what comes after the other side
 * has gone is dropped.
 */
export class Exchange {
  readonly response: HttpResponse;
  readonly #request: HttpRequest;
  readonly #traffic: Traffic;
  readonly method: string;
  #isOver = false;
  #onGone: (() => void) | undefined;
  #body: BodyRead | undefined;
  #isWatched = false;
  #isTaken = false;

  constructor(response: HttpResponse, request: HttpRequest, method: string, traffic: Traffic) {
    this.response = response;
    this.#request = request;
    this.#traffic = traffic;
    this.method = method;
    traffic.open++;
  }

  /** Whether it was answered, or the other side has gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get path(): string {
    return this.#request.getUrl();
  }

  /** What stands behind the `?`, as it came. */
  get query(): string {
    return this.#request.getQuery() ?? "";
  }

  /** The first header of this name, which is given in lower case; "" where there is none. */
  header(name: string): string {
    return this.#request.getHeader(name);
  }

  /** The path's parameter of this place, decoded; throws `ProtocolError` for an escape that is none. */
  param(index: number, name: string): string {
    const raw = this.#request.getParameter(index) ?? "";
    if (!raw.includes("%")) return raw;
    try {
      return decodeURIComponent(raw);
    } catch {
      throw new ProtocolError(name, "a path with whole escapes", JSON.stringify(raw.slice(0, 64)));
    }
  }

  /** For parts that need more of the native request, in its turn. */
  get native(): HttpRequest {
    return this.#request;
  }

  /** Has `gone` called if the other side goes before the answer; and lets the answer come after this turn. Once. */
  watch(gone?: () => void): void {
    this.#onGone = gone;
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.response.onAborted(() => {
      if (this.#isOver && !this.#isTaken) return;
      if (!this.#isTaken) this.#end();
      this.#body?.fail(new Error("the request was given up"));
      this.#onGone?.();
    });
  }

  /**
   * The whole body; called in the request's own turn. Rejects with `BodyError` where it is longer than `maxBytes`, takes too
   * long, or too much is being read already, and with another error where the other side goes.
   */
  body(maxBytes: number): Promise<Buffer> {
    // The bytes are another's after the call.
    return new Promise((resolve, reject) => this.read(maxBytes, (bytes) => resolve(Buffer.from(bytes)), reject));
  }

  /** The whole body, as by `body`: `take` gets bytes that are good for the call alone. It throws nothing. */
  read(maxBytes: number, take: (bytes: Buffer) => void, failed: (error: Error) => void): void {
    this.watch(this.#onGone);
    const body = new BodyRead(this.#traffic, maxBytes, take, failed);
    this.#body = body;
    this.response.onData((part, isLast) => body.add(part, isLast));
  }

  #end(): void {
    this.#isOver = true;
    this.#traffic.open--;
  }

  /** Answers, now or later, unless it is over; throws nothing: in a route that would end the process. */
  answer(reply: Reply | Promise<Reply>, onError: (error: unknown) => void): void {
    if (reply instanceof Promise) {
      this.watch(this.#onGone);
      const failed = (error: unknown): Reply => {
        if (!this.#isOver) onError(error);
        return failure();
      };
      void reply.catch(failed).then((now) => this.answer(now, onError));
      return;
    }
    if (this.#isOver) return;
    this.#end();
    try {
      // Who takes too long would go on with it.
      const isLast = this.#traffic.isEnding || reply.status === 408;
      this.response.cork(() => write(this.response, this.method, reply, isLast));
    } catch (error) {
      onError(error);
      this.response.close();
    }
  }

  /** The response is somebody else's from here on, who answers and ends it; `gone` as in `watch`. */
  take(gone: () => void): HttpResponse {
    this.watch(gone);
    this.#isTaken = true;
    if (!this.#isOver) this.#end();
    return this.response;
  }
}

export const failure = (): Reply => plainReply(500, "the server failed at this");

const STATUS: { readonly [status: number]: string } = {
  200: "200 OK",
  201: "201 Created",
  202: "202 Accepted",
  204: "204 No Content",
  207: "207 Multi-Status",
  400: "400 Bad Request",
  401: "401 Unauthorized",
  403: "403 Forbidden",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  408: "408 Request Timeout",
  406: "406 Not Acceptable",
  409: "409 Conflict",
  413: "413 Content Too Large",
  415: "415 Unsupported Media Type",
  422: "422 Unprocessable Content",
  426: "426 Upgrade Required",
  429: "429 Too Many Requests",
  500: "500 Internal Server Error",
  503: "503 Service Unavailable",
  504: "504 Gateway Timeout",
};

export const statusLine = (status: number): string => STATUS[status] ?? String(status);

/** All headers but the name of the first and what follows it, as they are written. */
type Written = { readonly first: Uint8Array; readonly rest: Uint8Array };

function writtenOf(headers: Reply["headers"]): Written {
  const [[first, value] = ["", ""], ...others] = Object.entries({ ...safeHeaders, ...headers });
  const rest = [value, ...others.map(([name, text]) => `${name}: ${text}`)].join("\r\n");
  return { first: Buffer.from(first), rest: Buffer.from(rest) };
}

/** The headers that many answers have alike, put together once. */
const written = new WeakMap<Reply["headers"], Written>();

/**
 * Writes headers, those that go with every answer among them: all by one call, since each costs as much as reading a
 * header does. Those of frozen objects are put together once.
 */
export function writeHeaders(response: HttpResponse, headers: Reply["headers"]): void {
  let known = written.get(headers);
  if (known === undefined) {
    known = writtenOf(headers);
    if (Object.isFrozen(headers)) written.set(headers, known);
  }
  response.writeHeader(known.first, known.rest);
}

function write(response: HttpResponse, method: string, reply: Reply, isLast: boolean): void {
  if (reply.status !== 200) response.writeStatus(statusLine(reply.status));
  writeHeaders(response, reply.headers);
  if (method !== "head") {
    response.end(reply.body, isLast);
    return;
  }
  // With a length given to `endWithoutBody` itself, uWebSockets.js waits for a body, and ends the process.
  response.writeHeader("content-length", String(Buffer.byteLength(reply.body)));
  response.endWithoutBody();
}
