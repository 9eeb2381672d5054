/**
 * What stands in for WebSockets where they are blocked: a stream of server-sent events, and a request for each thing that the
 * client asks. Loaded only then: it imports nothing of what a bundle of the client has already.
 */
import { StreamConnection } from "./stream-connection.js";
import type { Connection, Transport, WebSocketConstructor } from "./transport.js";

/** How long streams are used before WebSockets are tried again, and half as long again at the most; in milliseconds. */
const AGAIN_MS = 300_000;

/**
 * Has streams used, unless answers cannot be read here as they come. `use` is called with the transport, and with nothing when
 * WebSockets are to be used again.
 */
export function offer(Socket: WebSocketConstructor, use: (transport?: Transport) => void): void {
  if ("body" in Response.prototype) use(streams(Socket, use));
}

/** `againMs` is for tests. */
export function streams(Socket: WebSocketConstructor, stop: () => void, againMs = AGAIN_MS): Transport {
  return {
    open(url, subprotocol, events) {
      let socket: InstanceType<WebSocketConstructor> | undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const later = (): void => {
        timer = setTimeout(look, againMs * (1 + Math.random() / 2));
      };
      // A socket that opens is not used: the client moves to one of its own, and nothing is missed.
      const look = (): void => {
        socket = new Socket(url, [subprotocol]);
        socket.onerror = () => {};
        socket.onclose = later;
        socket.onopen = () => {
          end();
          stop();
          events.message(JSON.stringify({ type: "move", afterMs: 0, deadlineMs: 0, reason: "unblocked" }));
        };
      };
      const end = (): void => {
        clearTimeout(timer);
        if (!socket) return;
        socket.onclose = null;
        socket.close();
      };
      const connection: Connection = new StreamConnection(url, {
        ...events,
        works: later,
        fails: stop,
        close(code, reason) {
          end();
          events.close(code, reason);
        },
      });
      queueMicrotask(() => {
        if (subprotocol.endsWith("json")) events.open();
        else {
          stop();
          events.close(1006, "streams are JSON");
        }
      });
      return {
        send: (wire) => connection.send(wire),
        close(code, reason) {
          end();
          connection.close(code, reason);
        },
      };
    },
  };
}
