/** Connections over WebSockets, and the rule for when something else stands in for them. */
import type { Transport, WebSocketConstructor } from "./transport.js";

/**
 * WebSockets. With `hasFallback`, where something on the way keeps them from opening, twice in a row while the server itself
 * can be asked, what is loaded then stands in for them until it gives up; see "Where WebSockets are blocked" in docs/client.md.
 * Throws `TypeError` where there are none.
 */
export function webSocketTransport(
  Socket = (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
  hasFallback = true,
): Transport {
  if (!Socket) throw new TypeError("WebSocket: expected options.WebSocket, got nothing");
  let other: Transport | undefined;
  let failures = 0;
  const blocked = async (url: string): Promise<void> => {
    // Whom a node tells that WebSockets are opened there can reach it.
    if ((await fetch(url.replace("ws", "http"))).status !== 426 || ++failures < 2) return;
    (await import("./stream-transport.js")).offer(Socket, (transport) => {
      other = transport;
    });
  };
  return {
    open(url, subprotocol, events) {
      if (other) return other.open(url, subprotocol, events);
      const socket = new Socket(url, [subprotocol]);
      let isBlocked = hasFallback;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        isBlocked = false;
        failures = 0;
        events.open();
      };
      socket.onmessage = ({ data }: { data: string | ArrayBuffer }) =>
        events.message(typeof data === "string" ? data : new Uint8Array(data));
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
        if (isBlocked) blocked(url).catch(() => {});
        events.close(code, reason);
      };
      // `close` follows and says more; without a listener the `ws` package would throw.
      socket.onerror = () => {};
      return socket;
    },
  };
}
