/** One request of a client that keeps no connection: a session that lasts as long as the answer takes. */
import type { Wire } from "../../protocol/codec.js";
import { afterClose, type CloseCode, closeCodes, type ErrorCode } from "../../protocol/codes.js";
import { jsonServer } from "../../protocol/json-server.js";
import { Refusal } from "../hooks/hooks.js";
import type { Link } from "./link.js";
import { type Registry, Session, type SessionContext } from "./session.js";

const HELLO = 1;
const REQUEST = 2;
/** How every answer begins: its type and its request's number. */
const HEAD = /^\{"type":"\w+","id":(\d+),?/;

/** Who asks. */
export type Asking = {
  /** The IP address of the client, as `normalAddress` writes it. */
  readonly address: string;
  readonly origin: string | undefined;
  readonly token: string | undefined;
  /** The ticket of a session: with it the application need not be asked again who this is. */
  readonly session: string | undefined;
};

/** The word for a close without an error before it. */
export function wordOf(code: CloseCode): ErrorCode {
  if (code === closeCodes.expired) return "expired";
  if (code === closeCodes.protocolError) return "bad_request";
  return afterClose(code) === "never" ? "unauthorized" : "unavailable";
}

/** What a close says of why there is no answer. */
function refusalOf(code: CloseCode, reason: string): Refusal {
  const word = wordOf(code);
  if (word !== "unavailable") return new Refusal(word, reason);
  return new Refusal(word, "the server cannot do it now: try again", retryMsIn(reason) ?? 1000);
}

/** When to come back, as a close's reason says it. */
export function retryMsIn(reason: string): number | undefined {
  if (!reason.startsWith("{")) return undefined;
  try {
    const { retryMs } = JSON.parse(reason) as { readonly retryMs?: unknown };
    return typeof retryMs === "number" && Number.isFinite(retryMs) ? Math.max(0, retryMs) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The request is put as a client would put it: a hello, and one frame behind it. So every rule, token, hook and limit holds for
 * it that holds for sessions. It is in no list of sessions: nothing is sent to it, and nobody can close it from outside.
 */
export class Brief implements Link, Registry {
  readonly codec = jsonServer;
  readonly address: string;
  readonly origin: string | undefined;
  readonly context: SessionContext;
  readonly #all: Registry;
  readonly #session: Session;
  #refusal: Refusal | undefined;
  #resolve: ((fields: string) => void) | undefined;
  #reject: ((error: Refusal) => void) | undefined;

  /** `all`: this node's sessions, whose limits and numbers it counts in. */
  constructor(all: Registry, { address, origin }: Asking) {
    this.#all = all;
    this.context = all.context;
    this.address = address;
    this.origin = origin;
    this.#session = new Session(this, this);
  }

  /**
   * Asks `request`, a frame as JSON text under the number `Brief.request`. Once. Resolves with the answer's own fields as JSON text (those
   * behind its type and number), and rejects with `Refusal`.
   */
  ask(asking: Asking, request: string): Promise<string> {
    const { token, session } = asking;
    const answer = new Promise<string>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#session.receive(JSON.stringify({ type: "hello", id: HELLO, token, session }));
    // It waits behind the hello where that takes time.
    this.#session.receive(request);
    return answer.finally(() => this.#session.ended());
  }

  /** The number that a request is to have. */
  static readonly request = REQUEST;

  /** Whoever asked has gone. What is under way is done all the same. */
  gone(): void {
    this.#session.ended();
    this.#fail(new Refusal("unavailable", "the client has gone"));
  }

  send(frame: Wire): void {
    const text = frame as string;
    const [head, id] = HEAD.exec(text) ?? [];
    if (text.startsWith('{"type":"error"')) {
      const { code, message, retryMs } = JSON.parse(text) as { code: ErrorCode; message: string; retryMs?: number };
      this.#refusal ??= new Refusal(code, message, retryMs);
      // A hello that is refused ends with a close, which may say when to come back.
      if (id !== String(HELLO)) this.#fail(this.#refusal);
    } else if (head !== undefined && id === String(REQUEST)) {
      this.#resolve?.(`{${text.slice(head.length)}`);
    }
  }

  #fail(error: Refusal): void {
    this.#reject?.(error);
  }

  close(code: CloseCode, reason = ""): void {
    const byClose = refusalOf(code, reason);
    const { code: word, message, retryMs = byClose.retryMs } = this.#refusal ?? byClose;
    this.#fail(new Refusal(word, message, retryMs));
  }

  buffered(): number {
    return 0;
  }

  join(): void {}

  leave(): void {}

  beat(): void {}

  /** The end of the node waits for it as for others. */
  get pending(): number {
    return this.#all.pending;
  }

  set pending(count: number) {
    this.#all.pending = count;
  }

  opened(): void {}

  timed(): void {}

  remove(session: Session): void {
    if (session.use === undefined) return;
    this.context.usage.users.leave(session.use, true, performance.now());
    session.use = undefined;
  }
}
