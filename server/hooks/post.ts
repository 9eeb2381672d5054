/** One post, to its end: its answer within bounds, whatever the other side does. */
import { type ClientRequest, type Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { type Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Addresses } from "./addresses.js";
import type { SignedHeaders } from "./signature.js";

/** A status, and the JSON that came with it; `undefined` where there was none, and none was wanted or the status is 400 or above. */
export type Answered = { readonly status: number; readonly json: unknown };

/** It came to nothing. */
export class Failed extends Error {
  override readonly name = "Failed";
  readonly result: "failed" | "timeout";
  readonly retryMs: number | undefined;
  /** Whether it says that the application is not well. */
  readonly counts: boolean;

  constructor(result: "failed" | "timeout", message: string, retryMs?: number) {
    super(message);
    this.result = result;
    this.retryMs = retryMs;
    this.counts = retryMs === undefined;
  }
}

export type PostOptions = {
  readonly url: URL;
  readonly agent: HttpAgent | HttpsAgent;
  readonly addresses: Addresses;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Signed anew for each try. */
  readonly headers: () => SignedHeaders;
  readonly body: string;
  readonly repeats: boolean;
  /** Whether there has to be JSON in the answer. */
  readonly wantsJson: boolean;
};

/** Where a host has several addresses, how long the first may take to connect: at the least, and as a part of the limit. */
const LEAST_CONNECT_MS = 250;
const CONNECT_PART = 3;
/** The longest that a status 429 puts off, in milliseconds. */
const MAX_PUT_OFF_MS = 60_000;

/** What is wrong, in words that hold nothing of the address but its host. */
function problemOf(error: NodeJS.ErrnoException): string {
  if (error.name === "AddressRefused") return error.message;
  return error.code ?? "the connection failed";
}

/** The seconds of a `Retry-After`, in milliseconds. */
function putOffMs({ headers }: IncomingMessage): number {
  const seconds = Number(headers["retry-after"] ?? 1);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0) * 1000, MAX_PUT_OFF_MS) : 1000;
}

export class Post {
  readonly #options: PostOptions;
  #request: ClientRequest | undefined;
  #reject: ((error: Failed) => void) | undefined;
  #ended: Failed | undefined;

  constructor(options: PostOptions) {
    this.#options = options;
  }

  /** Once. Rejects with `Failed`. */
  send(): Promise<Answered> {
    return new Promise<Answered>((resolve, reject) => {
      this.#reject = reject;
      if (this.#ended !== undefined) reject(this.#ended);
      else this.#try(resolve, this.#options.repeats);
    });
  }

  /** Ends it early. */
  end(error: Failed): void {
    this.#ended ??= error;
    this.#reject?.(error);
    this.#request?.destroy();
  }

  #fail(message: string, retryMs?: number): void {
    this.end(new Failed("failed", message, retryMs));
  }

  #try(resolve: (answered: Answered) => void, repeats: boolean): void {
    const { url, agent, addresses, timeoutMs, headers, body } = this.#options;
    try {
      addresses.checkLiteral(url);
    } catch (error) {
      this.#fail((error as Error).message);
      return;
    }
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const bytes = Buffer.from(body);
    const request = send(url, {
      method: "POST",
      agent,
      lookup: addresses.lookup,
      // The types know it of sockets alone, which get all that is said here.
      ...{ autoSelectFamilyAttemptTimeout: Math.max(LEAST_CONNECT_MS, Math.round(timeoutMs / CONNECT_PART)) },
      headers: {
        "content-type": "application/json",
        "content-length": bytes.length,
        accept: "application/json",
        "user-agent": "roomcast",
        ...headers(),
      },
    });
    this.#request = request;
    request.on("response", (response) => this.#read(response, resolve));
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      this.#read(response, resolve);
    });
    request.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#ended !== undefined) return;
      // The other side closed an idle connection just as it was used again: it has read nothing of this.
      const wasClosed = request.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      if (wasClosed && repeats) this.#try(resolve, false);
      else this.#fail(problemOf(error));
    });
    request.end(bytes);
  }

  #read(response: IncomingMessage, resolve: (answered: Answered) => void): void {
    const { maxBytes } = this.#options;
    const status = response.statusCode ?? 0;
    const tooLarge = (): void => this.#fail(`its answer is larger than ${maxBytes} bytes`);
    if (status < 200 || (status >= 300 && status < 400) || status >= 600) {
      return this.#fail(
        `expected a status of 200 to 299, got ${status}${status === 101 ? "" : ", which is not followed"}`,
      );
    }
    if (Number(response.headers["content-length"] ?? 0) > maxBytes) return tooLarge();
    const chunks: Buffer[] = [];
    let length = 0;
    response.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) tooLarge();
      else chunks.push(chunk);
    });
    response.on("error", (error: NodeJS.ErrnoException) => this.#fail(problemOf(error)));
    response.on("end", () => {
      if (this.#ended !== undefined) return;
      if (!response.complete) this.#fail("its answer ended too early");
      else this.#take(response, status, Buffer.concat(chunks).toString(), resolve);
    });
  }

  #take(response: IncomingMessage, status: number, text: string, resolve: (answered: Answered) => void): void {
    if (status >= 500) return this.#fail(`status ${status}`);
    if (status === 429) return this.#fail("status 429", putOffMs(response));
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      if (status < 300 && this.#options.wantsJson) return this.#fail("expected JSON");
    }
    resolve({ status, json });
  }
}
