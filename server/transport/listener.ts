import type { HttpResponse, TemplatedApp, us_listen_socket } from "uWebSockets.js";
import type { Traffic } from "./body.js";
import { Exchange, failure, writeHeaders } from "./exchange.js";
import { plainReply, type Reply, type Route } from "./http.js";

/**
 * The largest head of a request, in bytes, as Node's own server has it; else it would be 4096, too little for a token, cookies
 * and the id of a stream of many rooms together.
 */
const MAX_HEAD_BYTES = 16_384;

/**
 * The native library, loaded when a server is made: on a platform it does not know it throws as it loads. It reads its
 * only setting from the environment, once.
 */
async function loadNative(): Promise<typeof import("uWebSockets.js")> {
  process.env["UWS_HTTP_MAX_HEADERS_SIZE"] ??= String(MAX_HEAD_BYTES);
  return import("uWebSockets.js");
}

/** `LIBUS_LISTEN_EXCLUSIVE_PORT`: without it two processes share a port and neither knows. */
const EXCLUSIVE_PORT = 1;
type ListenExclusively = (
  this: TemplatedApp,
  host: string,
  port: number,
  options: number,
  listening: (socket: us_listen_socket | false) => void,
) => void;

/** How long a request's body may take, in milliseconds. */
const BODY_MS = 10_000;

/** The methods that routes answer; `del` is DELETE. */
export type Method = "any" | "get" | "post" | "put" | "del" | "options" | "head";

type Native = Awaited<ReturnType<typeof loadNative>>;

/** The address and port are taken, or not this machine's. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** The port this server listens on, and its plain HTTP routes. */
export class Listener {
  readonly app: TemplatedApp;
  readonly traffic: Traffic = { reading: 0, open: 0, bodyMs: BODY_MS, isEnding: false };
  readonly #native: Native;
  #socket: us_listen_socket | undefined;

  private constructor(native: Native) {
    this.#native = native;
    this.app = native.App();
  }

  static async create(): Promise<Listener> {
    return new Listener(await loadNative());
  }

  /**
   * Answers requests of a method at a pattern of paths, such as `/v1/rooms/:room/events`. Before `serve`, and before or after
   * the WebSocket route. The route answers through the exchange, whatever happens: what it throws is answered here.
   */
  on(method: Method, pattern: string, route: (exchange: Exchange) => void, onError: (error: unknown) => void): void {
    const known = method === "any" ? undefined : method === "del" ? "delete" : method;
    this.app[method](pattern, (response, request) => {
      const exchange = new Exchange(response, request, known ?? request.getMethod(), this.traffic);
      try {
        route(exchange);
      } catch (error) {
        onError(error);
        exchange.answer(failure(), onError);
      }
    });
  }

  /** Answers GET and HEAD of every route, and everything else with 404 or 405. After the WebSocket route. */
  serve(routes: ReadonlyMap<string, Route>, onError: (error: unknown) => void): void {
    this.on(
      "any",
      "/*",
      (exchange) => exchange.answer(replyTo(exchange.method, exchange.path, routes), onError),
      onError,
    );
  }

  /**
   * Rejects with `ListenError` where it cannot: the port is never shared with another process. `setting` is what the
   * error calls the port.
   */
  listen(host: string, port: number, setting = "port"): Promise<number> {
    return new Promise((resolve, reject) => {
      const taken = (socket: us_listen_socket | false): void => {
        if (socket === false) {
          reject(new ListenError(`${setting}: expected a free one on ${host}, got ${port}`));
          return;
        }
        this.#socket = socket;
        resolve(this.#native.us_socket_local_port(socket));
      };
      // The types know only three arguments, and not the constant's value: the library takes four (its own wrapper
      // reads a host, a port and then the options).
      const listen = this.app.listen as unknown as ListenExclusively;
      listen.call(this.app, host, port, EXCLUSIVE_PORT, taken);
    });
  }

  /** Takes no new connections; those that are open are answered once more. */
  stop(): void {
    this.traffic.isEnding = true;
    if (this.#socket !== undefined) this.#native.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Cuts what is still open, without a word to the other side. */
  cut(): void {
    this.app.close();
  }
}

function replyTo(method: string, path: string, routes: ReadonlyMap<string, Route>): Reply | Promise<Reply> {
  const route = routes.get(path);
  if (route === undefined) return plainReply(404, "there is nothing at this path");
  if (method === "get" || method === "head") return route();
  return plainReply(405, "method: expected GET or HEAD", { allow: "GET, HEAD" });
}

/**
 * Refuses an upgrade, or whatever else is answered outside of the routes, with the headers that they have. In the turn
 * of the request.
 */
export function refuse(response: HttpResponse, status: string, reason: string, headers: Reply["headers"] = {}): void {
  response.writeStatus(status);
  writeHeaders(response, plainReply(0, reason, headers).headers);
  response.end(reason, true);
}
