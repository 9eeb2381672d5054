import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket } from "uWebSockets.js";
import type { Reply } from "./http.js";

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
  serve(routes: ReadonlyMap<string, () => Reply>, onError: (error: unknown) => void): void {
    this.app.any("/*", (response, request) => {
      try {
        answer(response, request.getMethod(), replyTo(request, routes));
      } catch (error) {
        onError(error);
        answer(response, "get", plain(500, "the server failed at this"));
      }
    });
  }

  /** Rejects with `ListenError` where it cannot: the port is never shared with another process. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const taken = (socket: us_listen_socket | false): void => {
        if (socket === false) {
          reject(new ListenError(`port: expected a free one on ${host}, got ${port}`));
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

const plain = (status: number, body: string): Reply => ({
  status,
  headers: { "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff" },
  body,
});

const STATUS: { readonly [status: number]: string } = {
  200: "200 OK",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  426: "426 Upgrade Required",
  500: "500 Internal Server Error",
  503: "503 Service Unavailable",
};

function replyTo(request: HttpRequest, routes: ReadonlyMap<string, () => Reply>): Reply {
  const path = request.getUrl();
  const method = request.getMethod();
  const route = routes.get(path);
  if (route === undefined && path !== "/v1/socket") return plain(404, "there is nothing at this path");
  if (method !== "get" && method !== "head") {
    const reply = plain(405, "method: expected GET or HEAD");
    return { ...reply, headers: { ...reply.headers, Allow: "GET, HEAD" } };
  }
  if (route !== undefined) return route();
  const reply = plain(426, "this is where WebSockets are opened: expected Upgrade: websocket");
  return { ...reply, headers: { ...reply.headers, Upgrade: "websocket" } };
}

/** Answers in the same turn, so that nothing can abort it. */
function answer(response: HttpResponse, method: string, reply: Reply): void {
  response.cork(() => {
    response.writeStatus(STATUS[reply.status] ?? String(reply.status));
    for (const [name, value] of Object.entries(reply.headers)) response.writeHeader(name, value);
    if (method !== "head") {
      response.end(reply.body);
      return;
    }
    // With a length given to `endWithoutBody` itself, uWebSockets.js waits for a body, and ends the process.
    response.writeHeader("Content-Length", String(Buffer.byteLength(reply.body)));
    response.endWithoutBody();
  });
}
