/** One connection: says hello, matches answers to requests, brings newer tokens, notices when it is dead. */
import type { ClientCodec, Wire } from "../protocol/client-codec.js";
import type { ClientFrame, ServerFrame } from "../protocol/frames.js";
import { RoomcastError } from "./errors.js";
import type { Connection, Transport } from "./transport.js";

export type Token = string | (() => string | Promise<string>);

export type LinkSettings = {
  readonly url: string;
  readonly transport: Transport;
  readonly codec: ClientCodec;
  readonly token?: Token;
  readonly onCall?: (method: string, data: unknown) => unknown;
  /** How long the way from the token to `welcome` may take, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** How long an answer may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** A number for a request, never used before by this client. */
  readonly nextId: () => number;
};

/** Told of a link. Nothing comes after `down`, and `down` comes once. */
export interface LinkOwner {
  /** Hello is said: other requests may follow it without waiting for the answer. */
  opened(link: Link): void;
  welcomed(link: Link): void;
  /** The newer token was taken; a resume with it needs this session. */
  renewed(session: string | undefined): void;
  /** What the server sends unasked. */
  frame(link: Link, frame: ServerFrame): void;
  /** `retryMs` is the delay the server asked for. */
  down(link: Link, code: number, reason: string, retryMs: number | undefined): void;
  report(error: unknown): void;
}

/** A frame that asks for an answer, but for the number that it is given here. */
export type Question<F = ClientFrame> = F extends unknown ? Omit<F, "id"> : never;
export type Answer = Exclude<Extract<ServerFrame, { readonly id: number }>, { type: "error" }>;
/** Called once. Answers are handed on in the turn they arrive in, so that they keep their place among other frames. */
export type Done = (result: Answer | RoomcastError) => void;
type Request = {
  readonly id: number;
  readonly wire: Wire;
  readonly done: Done;
  /** How long the answer may take, in milliseconds; once it is sent, until when, in Unix milliseconds. */
  until: number;
};

/** Longer than anything takes, in milliseconds. */
export const NEVER_MS = 1e15;
/** Requests that may wait for an answer at first. */
const FIRST_WINDOW = 8;
/** How many more may with each answer. Slowly: who asks far too much before the first refusal is taken for a flood. */
const GROWTH = 0.25;
/** How long all requests may be held back; what was refused waits for as long as it was told. In milliseconds. */
const MOST_HELD_MS = 1000;
/** The least time between two attempts to renew the token, in milliseconds. */
const RENEW_MS = 250;
/** How long the other side may take to show a sign of life once it is asked for one, in milliseconds. */
const PROBE_MS = 5000;
const lost = () => new RoomcastError("disconnected", "the connection was lost");

export class Link {
  /** What the server said of this connection, once it has. */
  welcome: ServerFrame<"welcome"> | undefined;
  /** Whether hello is said and the link not down. */
  isOpen = false;
  readonly #settings: LinkSettings;
  readonly #owner: LinkOwner;
  readonly #startedAt = Date.now();
  readonly #sent = new Map<number, Request>();
  readonly #unsent: Request[] = [];
  #connection: Connection | undefined;
  #isDown = false;
  /** Once retired it ends, whatever was not answered by then; in Unix milliseconds. */
  #endAt: number | undefined;
  #lastSeenAt = 0;
  /** How many requests may be open: more with each answer, and one where the server was asked too much. */
  #window = FIRST_WINDOW;
  /** Until when the server wants less, in Unix milliseconds. */
  #limitedUntil = 0;
  #resume: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #probe: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: LinkSettings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  /** Asks for the token, connects and says hello, with the session to resume where there was one. */
  async start(session: string | undefined): Promise<void> {
    const { connectTimeoutMs, token, transport, url, codec } = this.#settings;
    if (this.#isDown) return;
    this.#timer = setInterval(() => this.#check(), connectTimeoutMs / 2);
    try {
      const value = typeof token === "function" ? await token() : token;
      if (this.#isDown) return;
      this.#connection = transport.open(url, codec.subprotocol, {
        open: () => this.#hello(value, session),
        message: (wire) => this.#receive(wire),
        close: (code, reason) => this.#down(code, reason, retryMsOf(reason)),
      });
    } catch (error) {
      this.#owner.report(error);
      this.end(`${error}`);
    }
  }

  /** Sends a request that is already written, as soon as the server's limit on open requests lets it. */
  request(id: number, wire: Wire, done: Done, timeoutMs = this.#settings.requestTimeoutMs): void {
    const error = this.#isDown ? lost() : tooLarge(wire, this.welcome);
    if (error) done(error);
    else {
      this.#unsent.push({ id, wire, done, until: timeoutMs });
      this.#pump();
    }
  }

  ask(question: Question, done: Done, timeoutMs?: number): void {
    const { codec, nextId } = this.#settings;
    const id = nextId();
    this.request(id, codec.encode({ ...question, id }), done, timeoutMs);
  }

  /** Sends what nobody answers, unless the server wants less. */
  tell(frame: ClientFrame): void {
    if (this.isOpen && !this.#isHeld) this.#connection?.send(this.#settings.codec.encode(frame));
  }

  /** Asks for a sign of life, and ends the link where none comes. */
  probe(): void {
    if (!this.welcome || this.#probe) return;
    // Sent past the window: answers that are slow must not hold it up.
    this.#connection?.send(this.#settings.codec.encode({ type: "ping", id: this.#settings.nextId() }));
    // With 1000 the others in its rooms would see it leave, and enter again.
    this.#probe = setTimeout(() => this.end("no sign of life", 4000), PROBE_MS);
  }

  /** Takes no new work: ends as soon as every answer has come, or could have. */
  retire(): void {
    this.#endAt = Date.now() + this.#settings.requestTimeoutMs;
    this.#endRetired();
  }

  /** Ends the link from this side. `closeCode` is for the server; the client takes it as a lost connection. */
  end(reason: string, closeCode = 1000, retryMs?: number): void {
    if (this.#isDown) return;
    this.#connection?.close(closeCode, reason.slice(0, 40));
    this.#down(1006, reason, retryMs);
  }

  #hello(token: string | undefined, session: string | undefined): void {
    if (this.#isDown) return;
    this.isOpen = true;
    // What is undefined no codec writes.
    this.ask({ type: "hello", token: token || undefined, session } as Question, (result) => {
      if (!(result instanceof RoomcastError)) this.#welcomed(result as ServerFrame<"welcome">);
      else if (result.code !== "disconnected") {
        this.#owner.report(result);
        // Otherwise the server says by a close code what becomes of us.
        if (result.retryMs !== undefined) this.end(result.message, 1000, result.retryMs);
      }
    });
    if (this.isOpen) this.#owner.opened(this);
  }

  #welcomed(welcome: ServerFrame<"welcome">): void {
    this.welcome = welcome;
    clearInterval(this.#timer);
    // Compared against the clock now and then: a timer per frame would cost more than the frame.
    const periodMs = Math.min(welcome.heartbeatMs / 10, this.#settings.requestTimeoutMs / 2);
    this.#timer = setInterval(() => this.#check(), Math.max(periodMs, 50));
    this.#owner.welcomed(this);
  }

  #receive(wire: Wire): void {
    if (this.#isDown) return;
    this.#lastSeenAt = Date.now();
    clearTimeout(this.#probe);
    this.#probe = undefined;
    let frame: ServerFrame | undefined;
    try {
      frame = this.#settings.codec.decode(wire);
    } catch (error) {
      this.#owner.report(error);
      this.end(`${error}`, 4202);
    }
    if (!frame) return;
    if (frame.type === "call") void this.#reply(frame);
    else if ("id" in frame) this.#answer(frame as Answer);
    else if (frame.type === "error") this.#owner.report(this.#weigh(frame));
    else if (frame.type === "renew") void this.#renew(Date.now() + frame.expiresInMs);
    else this.#owner.frame(this, frame);
  }

  /** Answers what the application asks. */
  async #reply({ id, method, data }: ServerFrame<"call">): Promise<void> {
    const { codec, onCall } = this.#settings;
    const answer = (given: object): void => {
      const wire = codec.encode({ type: "answer", id, ...given });
      const error = tooLarge(wire, this.welcome);
      if (error) throw error;
      if (this.isOpen) this.#connection?.send(wire);
    };
    try {
      if (!onCall) throw new RoomcastError("unknown_method", method);
      answer({ data: await onCall(method, data) });
    } catch (error) {
      const message = `${(error as Error)?.message}`.slice(0, 200);
      answer({ code: error instanceof RoomcastError ? error.code : "internal", message });
    }
  }

  /** An answer that nobody waits for any more is passed over. */
  #answer(frame: Answer): void {
    const request = this.#sent.get(frame.id);
    if (!request) return;
    this.#sent.delete(frame.id);
    request.done(this.#weigh(frame));
    this.#pump();
    this.#endRetired();
  }

  #pump(): void {
    const most = Math.min(this.welcome?.limits.maxRequests || FIRST_WINDOW, this.#window);
    while (!this.#isDown && !this.#isHeld && this.#unsent.length > 0 && this.#sent.size + 1 <= most) {
      const request = this.#unsent.shift() as Request;
      request.until += Date.now();
      this.#sent.set(request.id, request);
      this.#connection?.send(request.wire);
    }
  }

  get #isHeld(): boolean {
    return this.#window < 2 && Date.now() < this.#limitedUntil;
  }

  /** Learns from an answer how much the server takes. */
  #weigh<F extends Answer>(frame: F | ServerFrame<"error">): F | RoomcastError {
    const { code, message, retryMs } = frame as ServerFrame<"error">;
    if (code === "rate_limited" && retryMs) {
      const now = Date.now();
      // One room that is too busy waits by itself. What else is refused in that time is not of that room: all wait.
      if (now < this.#limitedUntil) this.#window = 1;
      this.#limitedUntil = Math.max(this.#limitedUntil, now + Math.min(retryMs, MOST_HELD_MS));
      clearTimeout(this.#resume);
      this.#resume = setTimeout(() => this.#pump(), this.#limitedUntil - now);
    } else this.#window += GROWTH;
    return frame.type === "error" ? new RoomcastError(code, message, retryMs) : (frame as F);
  }

  /** Only a function can have a newer token. It is asked, also again where that fails, until the one before has ended. */
  async #renew(until: number): Promise<void> {
    const { token } = this.#settings;
    if (typeof token !== "function") return;
    const failed = (error: unknown): void => {
      const leftMs = until - Date.now();
      clearTimeout(this.#renewal);
      if (leftMs > 0 && !this.#isDown) {
        this.#renewal = setTimeout(() => void this.#renew(until), Math.max(leftMs / 4, RENEW_MS));
      }
      this.#owner.report(error);
    };
    try {
      this.ask({ type: "renew", token: await token() }, (result) => {
        if (!(result instanceof RoomcastError)) this.#owner.renewed((result as ServerFrame<"renewed">).session);
        else if (result.code !== "disconnected") failed(result);
      });
    } catch (error) {
      failed(error);
    }
  }

  #check(): void {
    const now = Date.now();
    if (!this.welcome) {
      if (now - this.#startedAt >= this.#settings.connectTimeoutMs) this.end("no welcome in time");
      return;
    }
    const silentMs = now - this.#lastSeenAt;
    // The timer itself may be what was late, after the device slept: so ask before giving up. Who waits for an answer
    // wants to know sooner.
    if (silentMs > this.welcome.heartbeatMs * 1.1 || (silentMs > PROBE_MS && this.#sent.size > 0)) this.probe();
    for (const request of this.#sent.values()) {
      if (now < request.until) continue;
      this.#sent.delete(request.id);
      request.done(new RoomcastError("timeout", "no answer in time", 1000));
    }
    this.#pump();
    this.#endRetired();
  }

  #endRetired(): void {
    if (!this.#endAt) return;
    if (this.#sent.size + this.#unsent.length === 0 || Date.now() > this.#endAt) this.end("moved");
  }

  #down(code: number, reason: string, retryMs: number | undefined): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.isOpen = false;
    clearInterval(this.#timer);
    clearTimeout(this.#probe);
    clearTimeout(this.#renewal);
    clearTimeout(this.#resume);
    for (const { done } of this.#sent.values()) done(lost());
    for (const { done } of this.#unsent) done(lost());
    this.#owner.down(this, code, reason, retryMs);
  }
}

/** `{"retryMs":…}` is how a close reason names a delay. */
function retryMsOf(reason: string): number | undefined {
  const found = /"retryMs":\s*(\d+)/.exec(reason);
  return found ? Number(found[1]) : undefined;
}

/** Why it cannot be sent. No codec's text holds a lone surrogate, which encodeURI refuses. */
function tooLarge(wire: Wire, welcome: ServerFrame<"welcome"> | undefined): RoomcastError | undefined {
  const limit = welcome?.limits.maxFrameBytes || NEVER_MS;
  let { length } = wire;
  // Only where it matters: the bytes on the network.
  if (typeof wire === "string" && length * 3 > limit) ({ length } = encodeURI(wire).replace(/%../g, "."));
  return length > limit ? new RoomcastError("too_large", `a frame may have ${limit} bytes`) : undefined;
}
