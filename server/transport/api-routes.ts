/** The HTTP API at the listener's paths. */
import { ProtocolError } from "../../protocol/codes.js";
import { isKey } from "../../protocol/fields.js";
import { MAX_KEY_LENGTH } from "../../protocol/names.js";
import type { Api, Head } from "../api/api.js";
import { showsKey } from "../api/callers.js";
import type { Operation } from "../api/operation.js";
import { operations } from "../api/operations.js";
import { type Answer, RequestError } from "../api/problems.js";
import { checkJsonType, NO_FIELDS } from "../api/read.js";
import { BodyError } from "./body.js";
import type { Exchange } from "./exchange.js";
import type { Listener, Method } from "./listener.js";
import { originAllowed } from "./upgrade.js";

/** The requests of clients at paths that the API has too. */
export interface OfClients {
  publish(exchange: Exchange, room: string): void;
  history(exchange: Exchange, room: string): void;
  members(exchange: Exchange, room: string): void;
}

export type ApiRouteOptions = {
  /** The largest body, in bytes. */
  readonly maxBytes: number;
  /** Origins of pages that are let in beside this server's own, where the API is open. */
  readonly origins: readonly string[];
  readonly clients?: OfClients | undefined;
  /** What else is answered at paths of the API, by the path: methods as in `Allow`. */
  readonly others?: { readonly [path: string]: readonly string[] } | undefined;
};

/** Which operations a client has too, by its own credentials. */
const shared: { readonly [id: string]: (clients: OfClients, exchange: Exchange, room: string) => void } = {
  publish: (clients, exchange, room) => clients.publish(exchange, room),
  history: (clients, exchange, room) => clients.history(exchange, room),
  members: (clients, exchange, room) => clients.members(exchange, room),
};

const NOTHING = Buffer.alloc(0);
const PARAMETER = /\{(\w+)\}/g;

/** Answers the API's paths, each with its methods and 405 for every other one. Before `listener.serve`. */
export function apiRoutes(
  listener: Listener,
  api: Api,
  options: ApiRouteOptions,
  onError: (error: unknown) => void,
): void {
  const routes = new ApiRoutes(api, options, onError);
  const methods = new Map<string, string[]>();
  for (const operation of operations) {
    const pattern = operation.path.replaceAll(PARAMETER, ":$1");
    const allowed = methods.get(operation.path) ?? [...(options.others?.[operation.path] ?? [])];
    methods.set(operation.path, allowed);
    const names: readonly Method[] = operation.method === "get" ? ["get", "head"] : [operation.method];
    for (const name of names) {
      if (!allowed.includes(name.toUpperCase())) allowed.push(name.toUpperCase());
      listener.on(name, pattern, (exchange) => routes.answer(exchange, operation), onError);
    }
  }
  for (const [path, allowed] of methods) {
    const allow = allowed.join(", ");
    const refuse = (exchange: Exchange): void => {
      const wrong = new RequestError("bad_request", `method: expected ${allow}`, 405, { allow });
      exchange.answer(api.refused(wrong), onError);
    };
    listener.on("any", path.replaceAll(PARAMETER, ":$1"), refuse, onError);
  }
}

class ApiRoutes {
  readonly #api: Api;
  readonly #options: ApiRouteOptions;
  readonly #onError: (error: unknown) => void;
  readonly #originRules: { readonly origins: readonly string[]; readonly loopback: true };

  constructor(api: Api, options: ApiRouteOptions, onError: (error: unknown) => void) {
    this.#api = api;
    this.#options = options;
    this.#onError = onError;
    this.#originRules = { origins: options.origins, loopback: true };
  }

  answer(exchange: Exchange, operation: Operation): void {
    const { clients, maxBytes } = this.#options;
    try {
      const authorization = exchange.header("authorization");
      const handOver = clients && shared[operation.id];
      if (clients !== undefined && handOver !== undefined && this.#isClients(exchange, authorization)) {
        handOver(clients, exchange, exchange.param(0, "room"));
        return;
      }
      const caller = this.#api.callerOf(operation, authorization);
      const length = operation.method === "post" ? lengthOf(exchange) : 0;
      this.#guard(exchange, operation, length > 0);
      const head: Head = {
        params: paramsOf(exchange, operation),
        query: exchange.query,
        caller,
        key: operation.takesKey === true ? keyOf(exchange) : undefined,
      };
      if (length > maxBytes && length !== Number.POSITIVE_INFINITY) {
        throw new BodyError(413, `at most ${maxBytes} bytes`, String(length));
      }
      const done = (answer: Answer): void => exchange.answer(answer, this.#onError);
      if (length > 0) {
        exchange.read(
          maxBytes,
          (bytes) => this.#api.answer(operation, head, bytes, done),
          (error) => done(this.#api.failed(operation, error)),
        );
      } else {
        exchange.watch();
        this.#api.answer(operation, head, NOTHING, done);
      }
    } catch (error) {
      exchange.answer(this.#api.failed(operation, error), this.#onError);
    }
  }

  /**
   * Whether somebody asks as a client does: with credentials that are no key of the API. Where the API is open and there
   * are none at all it is the application, unless a page in a browser asks.
   */
  #isClients(exchange: Exchange, authorization: string): boolean {
    if (showsKey(authorization)) return false;
    if (authorization !== "" || !this.#api.callers.isOpen) return true;
    if (exchange.header("roomcast-session") !== "" || exchange.header("origin") !== "") return true;
    return exchange.header("cookie").includes("roomcast_token=");
  }

  /** Throws where a page of another site could have had a browser ask, and for a body that is none of the API's. */
  #guard(exchange: Exchange, operation: Operation, hasBody: boolean): void {
    const { isOpen } = this.#api.callers;
    if (isOpen && !this.#isOfThisMachine(exchange)) {
      throw new RequestError("forbidden", "origin: expected a page of this machine, or none", 403);
    }
    if (operation.method !== "post" || !(hasBody || isOpen)) return;
    checkJsonType(exchange.header("content-type"));
  }

  #isOfThisMachine(exchange: Exchange): boolean {
    if (exchange.header("sec-fetch-site") === "cross-site") return false;
    return originAllowed(exchange.header("origin"), exchange.header("host"), this.#originRules);
  }
}

function paramsOf(exchange: Exchange, { params, path }: Operation): { readonly [name: string]: unknown } {
  if (!path.includes("{")) return NO_FIELDS;
  const found: { [name: string]: string } = {};
  let index = 0;
  for (const name in params.shape) found[name] = exchange.param(index++, name);
  return found;
}

/** How long the body is, in bytes; infinite where only its end will say. */
function lengthOf(exchange: Exchange): number {
  const length = exchange.header("content-length");
  if (length !== "") return Number(length);
  return exchange.header("transfer-encoding") === "" ? 0 : Number.POSITIVE_INFINITY;
}

/** The request's own key. Throws `ProtocolError` for one that cannot be. */
function keyOf(exchange: Exchange): string | undefined {
  const key = exchange.header("idempotency-key");
  if (key === "") return undefined;
  if (!isKey(key as unknown)) {
    throw new ProtocolError("Idempotency-Key", `1 to ${MAX_KEY_LENGTH} characters`, `${key.length}`);
  }
  return key;
}
