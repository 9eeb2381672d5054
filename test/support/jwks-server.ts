import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onFreePort, PortTaken } from "./services/free-port.js";
import type { Scope } from "./services/scope.js";
import type { SigningKey } from "./tokens.js";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Lists keys as an issuer does, or misbehaves as one is told to. */
export class JwksServer {
  readonly #server: Server;
  readonly #port: number;
  /** How often it was asked. */
  reads = 0;
  /** Listed, as they stand here. */
  keys: readonly object[] = [];
  /** What it does instead of listing keys. */
  answer: Answer | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  static async start(scope: Scope, keys: readonly SigningKey[] = []): Promise<JwksServer> {
    const server = createServer();
    await onFreePort((port) => listen(server, port));
    const jwks = new JwksServer(server);
    jwks.list(...keys);
    server.on("request", (request, response) => jwks.#answer(request, response));
    scope.after(() => jwks.stop());
    return jwks;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/keys`;
  }

  list(...keys: readonly SigningKey[]): void {
    this.keys = keys.map((key) => key.jwk());
  }

  /** Nobody is at its address any more. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async startAgain(): Promise<void> {
    await listen(this.#server, this.#port);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.reads++;
    if (this.answer !== undefined) return this.answer(request, response);
    response.setHeader("content-type", "application/jwk-set+json");
    response.end(JSON.stringify({ keys: this.keys }));
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => reject(new PortTaken(error.message));
    server.once("error", refuse);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", refuse);
      resolve();
    });
  });
}
