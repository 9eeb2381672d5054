import type { Connection, ConnectionEvents, Transport } from "../../client/index.js";
import { webSocketTransport } from "../../client/websockets.js";

/**
 * A network that can be cut: while it is, its connections are gone as after a pulled plug (1006, no goodbye to the
 * client), and new ones fail. An application needs nothing of it; it is here to show what happens then.
 */
export class Line implements Transport {
  readonly #sockets = webSocketTransport(WebSocket);
  readonly #drops = new Set<() => void>();
  #isCut = false;

  open(url: string, subprotocol: string, events: ConnectionEvents): Connection {
    if (this.#isCut) {
      setTimeout(() => events.close(1006, ""));
      return { send: () => {}, close: () => {} };
    }
    let isDropped = false;
    const connection = this.#sockets.open(url, subprotocol, {
      open: () => isDropped || events.open(),
      message: (wire) => isDropped || events.message(wire),
      close: (code, reason) => {
        this.#drops.delete(drop);
        if (!isDropped) events.close(code, reason);
      },
    });
    const drop = (): void => {
      isDropped = true;
      connection.close(1000, "");
      events.close(1006, "");
    };
    this.#drops.add(drop);
    return connection;
  }

  cut(): void {
    this.#isCut = true;
    for (const drop of this.#drops) drop();
    this.#drops.clear();
  }

  mend(): void {
    this.#isCut = false;
    // As the browser does when the network is back.
    globalThis.dispatchEvent(new Event("online"));
  }
}
