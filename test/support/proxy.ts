import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Direction, type Fate, type Filter, Flow, resetSocket } from "./proxy-flow.js";
import { onFreePort, PortTaken } from "./services/free-port.js";
import type { Scope } from "./services/scope.js";

export type { Direction } from "./proxy-flow.js";

const HOST = "127.0.0.1";

type Connection = {
  readonly client: Socket;
  readonly server: Socket;
  readonly flows: readonly Flow[];
  /** Whether it was open while bytes were swallowed, and so cannot be trusted again. */
  holed: boolean;
};

/** Stands between a client and a server on loopback, and breaks what is between them. */
export class TcpProxy {
  readonly host = HOST;
  readonly port: number;
  readonly #listener: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  readonly #fates: Readonly<Record<Direction, Fate>> = { toServer: fate("toServer"), toClient: fate("toClient") };
  #refusing = false;
  #accepted = 0;

  private constructor(listener: Server, port: number, target: { readonly host: string; readonly port: number }) {
    this.#listener = listener;
    this.port = port;
    this.#target = target;
    listener.on("connection", (client) => this.#accept(client));
  }

  /** Resolves once it listens. The scope closes it. */
  static async start(scope: Scope, target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    const proxy = await onFreePort(async (port) => new TcpProxy(await listenOn(port), port, target));
    scope.after(() => proxy.close());
    return proxy;
  }

  /** Where clients connect to: `redis://127.0.0.1:…` for the scheme `redis`. */
  url(scheme: string): string {
    return `${scheme}://${HOST}:${this.port}`;
  }

  /** How many connections are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many it has ever let in. */
  get accepted(): number {
    return this.#accepted;
  }

  /** How many bytes came from one side, and how many of them the other never got. */
  bytes(direction: Direction): { readonly received: number; readonly lost: number } {
    const { bytes, lostBytes } = this.#fates[direction];
    return { received: bytes, lost: lostBytes };
  }

  /**
   * Resets every connection that is open now, or the one that the server sees come from `fromPort`; new ones are let
   * through. Returns how many there were.
   */
  cut(fromPort?: number): number {
    const chosen = [...this.#connections].filter(
      ({ server }) => fromPort === undefined || server.localPort === fromPort,
    );
    for (const connection of chosen) reset(connection);
    return chosen.length;
  }

  /**
   * Bytes go nowhere from now on, and neither do ends of connections. Connections stay open, and new ones are accepted
   * into the same hole.
   */
  blackhole(which: Direction | "both" = "both"): void {
    this.#setMode(which, "swallow");
    for (const connection of this.#connections) connection.holed = true;
  }

  /** Bytes wait from now on, and go on their way with `heal`: as on a network that comes back before TCP gives up. */
  stall(which: Direction | "both" = "both"): void {
    this.#setMode(which, "stall");
  }

  /** New connections are reset at once; open ones live on. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Delays the bytes of both directions. Their order stays. */
  delay(ms: number, jitterMs = 0): void {
    for (const each of Object.values(this.#fates)) {
      each.delayMs = ms;
      each.jitterMs = jitterMs;
    }
  }

  /**
   * Lets `filter` see every chunk of one direction; what it returns goes on instead. It can leave out whole messages
   * where the protocol bears that, and where nothing splits or joins them on the way.
   */
  filter(direction: Direction, filter: Filter | undefined): void {
    this.#fates[direction].filter = filter;
  }

  /**
   * Throws away the next `count` chunks to clients that `match`, and with `cut` resets their connections: for protocols
   * that number their answers by their order, such as Redis's. Resolves once the last one is gone.
   */
  dropNextToClient(
    count: number,
    match: (chunk: Buffer) => boolean = () => true,
    options: { cut?: boolean } = {},
  ): Promise<void> {
    let left = count;
    return new Promise((resolve) => {
      this.filter("toClient", (chunk, cut) => {
        if (!match(chunk)) return chunk;
        left -= 1;
        if (options.cut) cut();
        if (left > 0) return undefined;
        this.filter("toClient", undefined);
        resolve();
        return undefined;
      });
    });
  }

  /** Ends every fault; what waits goes on. Connections that were open while bytes were swallowed are reset, since bytes are missing. */
  heal(): void {
    this.#refusing = false;
    this.delay(0);
    for (const direction of ["toServer", "toClient"] as const) this.filter(direction, undefined);
    for (const connection of this.#connections) {
      if (connection.holed) reset(connection);
      for (const flow of connection.flows) flow.hurry();
    }
    this.#setMode("both", "pass");
  }

  /** Resets every connection and stops listening. */
  async close(): Promise<void> {
    // A client that was just cut may be back before the port is closed.
    this.#refusing = true;
    this.cut();
    if (!this.#listener.listening) return;
    const closed = once(this.#listener, "close");
    this.#listener.close();
    await closed;
  }

  #setMode(which: Direction | "both", mode: Fate["mode"]): void {
    for (const each of Object.values(this.#fates)) if (which === "both" || which === each.direction) each.mode = mode;
    for (const { flows } of this.#connections) for (const flow of flows) flow.update();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on("error", () => undefined);
      resetSocket(client);
      return;
    }
    this.#accepted += 1;
    const { host, port } = this.#target;
    const server = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const { toServer, toClient } = this.#fates;
    const flows = [new Flow(client, server, toServer), new Flow(server, client, toClient)];
    const holed = toServer.mode === "swallow" || toClient.mode === "swallow";
    const connection: Connection = { client, server, flows, holed };
    this.#connections.add(connection);
    const forget = () => {
      if (client.destroyed && server.destroyed) this.#connections.delete(connection);
    };
    client.on("close", forget);
    server.on("close", forget);
  }
}

async function listenOn(port: number): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true });
  listener.listen({ port, host: HOST, exclusive: true });
  try {
    await once(listener, "listening");
  } catch (error) {
    throw new PortTaken(`port ${port}`, { cause: error });
  }
  return listener;
}

function fate(direction: Direction): Fate {
  return { direction, mode: "pass", delayMs: 0, jitterMs: 0, filter: undefined, bytes: 0, lostBytes: 0 };
}

function reset({ client, server }: Connection): void {
  resetSocket(client);
  resetSocket(server);
}
