import type { HttpResponse, TemplatedApp, us_listen_socket } from "uWebSockets.js";
import { plainReply, type Reply, type Route, safeHeaders } from "./http.js";

/** The native library, loaded when a server is made: on a platform it does not know it throws as it loads. */
async function loadNative(): Promise<typeof import("uWebSockets.js")> {
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

type Native = Awaited<ReturnType<typeof loadNative>>;

/** The address and port are taken, or not this machine's. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** The port this server listens on, and its plain HTTP routes. */
export class Listener {
  readonly app: TemplatedApp;
  readonly #native: Native;
  #socket: us_listen_socket | undefined;

  private constructor(native: Native) {
    this.#native = native;
    this.app = native.App();
  }

  static async create(): Promise<Listener> {
    return new Listener(await loadNative());
  }

  /** Answers GET and HEAD of every route, and everything else with 404 or 405. After the WebSocket route. */
  serve(routes: ReadonlyMap<string, Route>, onError: (error: unknown) => void): void {
    const failed = (error: unknown): Reply => {
      onError(error);
      return plainReply(500, "the server failed at this");
    };
    this.app.any("/*", (response, request) => {
      // The request is gone after this turn.
      const method = request.getMethod();
      let reply: Reply | Promise<Reply>;
      try {
        reply = replyTo(method, request.getUrl(), routes);
      } catch (error) {
        reply = failed(error);
      }
      if (reply instanceof Promise) answerLater(response, method, reply.catch(failed), onError);
      else answer(response, method, reply, onError);
    });
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

  /** Takes no new connections; those that are open stay. */
  stop(): void {
    if (this.#socket !== undefined) this.#native.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Cuts what is still open, without a word to the other side. */
  cut(): void {
    this.app.close();
  }
}

const STATUS: { readonly [status: number]: string } = {
  200: "200 OK",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  426: "426 Upgrade Required",
  500: "500 Internal Server Error",
  503: "503 Service Unavailable",
};

function replyTo(method: string, path: string, routes: ReadonlyMap<string, Route>): Reply | Promise<Reply> {
  const route = routes.get(path);
  if (route === undefined) return plainReply(404, "there is nothing at this path");
  if (method === "get" || method === "head") return route();
  return plainReply(405, "method: expected GET or HEAD", { allow: "GET, HEAD" });
}

/** Answers once the reply is there, unless the other side has gone by then: any use of the response would throw. */
function answerLater(
  response: HttpResponse,
  method: string,
  reply: Promise<Reply>,
  onError: (error: unknown) => void,
): void {
  let gone = false;
  response.onAborted(() => {
    gone = true;
  });
  const send = (now: Reply): void => {
    if (!gone) answer(response, method, now, onError);
  };
  void reply.then(send).catch(onError);
}

/** Answers in one turn, and throws nothing: in a route that would end the process. */
function answer(response: HttpResponse, method: string, reply: Reply, onError: (error: unknown) => void): void {
  try {
    response.cork(() => write(response, method, reply));
  } catch (error) {
    onError(error);
    response.close();
  }
}

/**
 * Refuses an upgrade, or whatever else is answered outside of the routes, with the headers that they have. In the turn
 * of the request.
 */
export function refuse(response: HttpResponse, status: string, reason: string, headers: Reply["headers"] = {}): void {
  response.writeStatus(status);
  writeHeaders(response, plainReply(0, reason, headers));
  response.end(reason, true);
}

function writeHeaders(response: HttpResponse, { headers }: Reply): void {
  for (const [name, value] of Object.entries({ ...safeHeaders, ...headers })) response.writeHeader(name, value);
}

function write(response: HttpResponse, method: string, reply: Reply): void {
  response.writeStatus(STATUS[reply.status] ?? String(reply.status));
  writeHeaders(response, reply);
  if (method !== "head") {
    response.end(reply.body);
    return;
  }
  // With a length given to `endWithoutBody` itself, uWebSockets.js waits for a body, and ends the process.
  response.writeHeader("content-length", String(Buffer.byteLength(reply.body)));
  response.endWithoutBody();
}
