/** Requests over HTTP as fast as a server answers them, with as little work here as there can be. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A whole request, as bytes. */
export function requestOf(path: string, body: unknown, authorization: string): Buffer {
  const text = JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "content-type: application/json",
    `authorization: ${authorization}`,
    `content-length: ${Buffer.byteLength(text)}`,
  ];
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${text}`);
}

export type Ran = {
  readonly answered: number /** The first answer that was no 200. */;
  readonly refused: string | undefined;
};

const LENGTH = /\r\ncontent-length: (\d+)/i;

/** Connections that are kept, each with one request under way. */
export class HttpLoad {
  readonly #sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  static async open(port: number, connections: number): Promise<HttpLoad> {
    const sockets = Array.from({ length: connections }, () => connect({ port, host: "127.0.0.1", noDelay: true }));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    return new HttpLoad(sockets);
  }

  /** Sends so many of the requests, one after the other over all connections; resolves when all are answered. */
  run(requests: readonly Buffer[], count: number): Promise<Ran> {
    let sent = 0;
    let answered = 0;
    let refused: string | undefined;
    return new Promise((resolve, reject) => {
      const send = (socket: Socket): void => {
        if (sent < count) socket.write(requests[sent++ % requests.length] as Buffer);
      };
      for (const socket of this.#sockets) {
        let held = "";
        socket.removeAllListeners("data");
        socket.once("close", () => reject(new Error("the server closed a connection")));
        socket.on("data", (bytes) => {
          held += bytes.toString("latin1");
          const end = held.indexOf("\r\n\r\n");
          const length = end < 0 ? undefined : LENGTH.exec(held.slice(0, end))?.[1];
          if (length === undefined || held.length < end + 4 + Number(length)) return;
          if (!held.startsWith("HTTP/1.1 200")) refused ??= held.slice(0, 300);
          held = "";
          if (++answered === count) resolve({ answered, refused });
          else send(socket);
        });
        send(socket);
      }
    });
  }

  close(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners("close");
      socket.destroy();
    }
  }
}
