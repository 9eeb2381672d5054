import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { countEvents } from "./event-data.js";

/** A proxy on a free port of loopback that keeps what goes from the server to its clients, to be looked at later. */
export class CountingProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #streams: Buffer[][] = [];

  static async open(target: number): Promise<CountingProxy> {
    const server = createServer({ noDelay: true });
    server.listen({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    return new CountingProxy(server, target);
  }

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on("connection", (client) => this.#join(client, target));
  }

  #join(client: Socket, target: number): void {
    const there = connect({ port: target, host: "127.0.0.1", noDelay: true });
    const stream: Buffer[] = [];
    this.#streams.push(stream);
    there.on("data", (bytes) => stream.push(bytes));
    client.pipe(there).pipe(client);
    for (const [socket, other] of [[client, there] as const, [there, client] as const]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }

  /** The stamps of all events that have gone through to the clients. */
  stamps(): number[] {
    const stamps: number[] = [];
    for (const stream of this.#streams) {
      const bytes = Buffer.concat(stream);
      countEvents(bytes, 0, bytes.length, (stamp) => stamps.push(stamp));
    }
    return stamps;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
