/** Requests of clients over HTTP: one each, answered, and forgotten. With a stream beside them they need no WebSocket. */
import { ProtocolError } from "../../protocol/codes.js";
import { problemOf, RequestError } from "../api/problems.js";
import { checkJsonType } from "../api/read.js";
import { Brief } from "../session/brief.js";
import type { Registry } from "../session/session.js";
import { forwardedFor } from "./client-address.js";
import { type ClientHead, Pages } from "./client-head.js";
import { type Entrance, REFUSALS } from "./entrance.js";
import type { Exchange } from "./exchange.js";
import { parsePosition } from "./positions.js";
import type { OriginRules } from "./upgrade.js";

export type ClientRequestOptions = OriginRules & {
  /** The largest body, in bytes. */
  readonly maxFrameBytes: number;
};

const JSON_TYPE = { "content-type": "application/json" };
const fatalUtf8 = new TextDecoder("utf-8", { fatal: true });

function limitIn(query: URLSearchParams): number | undefined {
  const limit = query.get("limit");
  if (limit === null) return undefined;
  if (/^\d{1,9}$/.test(limit)) return Number(limit);
  throw new ProtocolError("limit", "a whole number", JSON.stringify(limit.slice(0, 32)));
}

/** What clients ask of a node over HTTP, with a token of theirs as in a hello, or with the ticket of a session. */
export class ClientRequests {
  readonly #entrance: Entrance;
  readonly #options: ClientRequestOptions;
  readonly #onError: (error: unknown) => void;
  readonly #pages: Pages;
  #all: Registry | undefined;
  /** How many there were; a total each. */
  readonly count = { publish: 0, history: 0, members: 0, call: 0 };

  constructor(entrance: Entrance, options: ClientRequestOptions, onError: (error: unknown) => void) {
    this.#entrance = entrance;
    this.#options = options;
    this.#onError = onError;
    this.#pages = new Pages(options);
  }

  /** Begins to answer; until then everybody is sent elsewhere. */
  start(all: Registry): void {
    this.#all = all;
  }

  /** `{event, data, key?}` is published in the room: 200 `{position?}`. */
  publish(exchange: Exchange, room: string): void {
    this.#answer(exchange, "publish", false, () => this.#withBody(exchange, { type: "publish", room }));
  }

  /** A page of the room's log, `?since=` or `?before=` a position, `?limit=`: 200 `{position?, more, events}`. */
  history(exchange: Exchange, room: string): void {
    this.#answer(exchange, "history", true, () => {
      const query = new URLSearchParams(exchange.query);
      const [since, before] = (["since", "before"] as const).map((name) => {
        const text = query.get(name);
        return text === null ? undefined : parsePosition(text, name);
      });
      return JSON.stringify({ type: "history", id: Brief.request, room, since, before, limit: limitIn(query) });
    });
  }

  /** A page of who is in the room, `?after=`, `?limit=`: 200 `{members, count, next?, anonymous}`. */
  members(exchange: Exchange, room: string): void {
    this.#answer(exchange, "members", true, () => {
      const query = new URLSearchParams(exchange.query);
      const after = query.get("after") ?? undefined;
      return JSON.stringify({ type: "members", id: Brief.request, room, after, limit: limitIn(query) });
    });
  }

  /** `{method, data}` is put to the application: 200 `{data}`. */
  call(exchange: Exchange): void {
    this.#answer(exchange, "call", false, () => this.#withBody(exchange, { type: "call" }));
  }

  /** What a browser asks before a page of another origin may: 204, or 403 for pages that may not. */
  preflight(exchange: Exchange): void {
    const { onError, pages } = { onError: this.#onError, pages: this.#pages };
    if (pages.mayAsk(exchange))
      exchange.answer({ status: 204, headers: pages.preflightFor(exchange), body: "" }, onError);
    else
      exchange.answer(
        problemOf(new RequestError("forbidden", "origin: expected one that this server lets in", 403)),
        onError,
      );
  }

  /**
   * `frameOf` gives the request as a frame's text, now or once its body is there. Everything of the head is read in this turn.
   */
  #answer(
    exchange: Exchange,
    kind: keyof ClientRequests["count"],
    reads: boolean,
    frameOf: () => string | Promise<string>,
  ): void {
    this.count[kind]++;
    const shown = this.#pages.headersFor(exchange);
    const refuse = (error: unknown): void => {
      const { status, headers, body } = problemOf(error);
      exchange.answer({ status, headers: { ...headers, ...shown }, body }, this.#onError);
    };
    try {
      const client = this.#pages.read(exchange, reads);
      if (!reads) checkJsonType(exchange.header("content-type"));
      this.#asked(exchange, client, frameOf).then(
        (body) => exchange.answer({ status: 200, headers: { ...JSON_TYPE, ...shown }, body }, this.#onError),
        refuse,
      );
    } catch (error) {
      refuse(error);
    }
  }

  /** In this turn it is let in, or refused; and counts until it is answered. */
  #asked(exchange: Exchange, client: ClientHead, frameOf: () => string | Promise<string>): Promise<string> {
    const all = this.#all;
    const peer = Buffer.from(exchange.response.getRemoteAddressAsText()).toString();
    const { address, refused, use: found } = this.#entrance.admit(peer, () => forwardedFor(exchange.native));
    if (refused !== undefined || all === undefined) {
      const { reason, retryMs } = refused ?? { reason: "draining" as const, retryMs: 1000 };
      const code = reason.startsWith("address") ? "too_many" : "unavailable";
      // So that the next request comes by another connection, and so to another node.
      const headers = { "retry-after": String(Math.ceil(retryMs / 1000)), connection: "close" };
      throw new RequestError(code, REFUSALS[reason], code === "too_many" ? 429 : 503, headers);
    }
    const asking = { ...client, address };
    let brief: Brief | undefined;
    const frame = frameOf();
    exchange.watch(() => brief?.gone());
    const use = this.#entrance.entered(found);
    const ask = (text: string): Promise<string> => {
      brief = new Brief(all, asking);
      return brief.ask(asking, text);
    };
    const answer = typeof frame === "string" ? ask(frame) : frame.then(ask);
    return answer.finally(() => this.#entrance.left(use));
  }

  /** The body's own fields, with what the path says behind them: of two fields of one name the last counts. */
  async #withBody(exchange: Exchange, own: { readonly type: string; readonly room?: string }): Promise<string> {
    const bytes = await exchange.body(this.#options.maxFrameBytes);
    let text: string;
    try {
      text = fatalUtf8.decode(bytes).trim();
    } catch {
      throw new ProtocolError("body", "JSON in UTF-8", "other bytes");
    }
    if (!text.startsWith("{") || !text.endsWith("}"))
      throw new ProtocolError("body", "an object in JSON", "something else");
    const inner = text.slice(1, -1).trim();
    const fields = JSON.stringify({ ...own, id: Brief.request }).slice(1);
    return inner === "" ? `{${fields}` : `{${inner},${fields}`;
  }
}
