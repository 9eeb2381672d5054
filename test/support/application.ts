/** An application over HTTP: a real server on loopback that answers hooks as a test says. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import type { ServerOptions } from "../../server/server.js";

export const hookSecret = "a secret that signs hooks, for tests";

/** What was posted. */
export type Posted = {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly raw: string;
  readonly body: { readonly [name: string]: unknown };
};
/** An object answers with status 200 and it as JSON; a number is a status; a function does what it likes. */
export type Answer = object | number | ((response: ServerResponse, request: IncomingMessage) => void);

export class HttpApplication {
  readonly posts: Posted[] = [];
  answer: (posted: Posted) => Answer | Promise<Answer>;
  #server: Server | undefined;
  #port: number;

  private constructor(answer: HttpApplication["answer"], port: number) {
    this.answer = answer;
    this.#port = port;
  }

  static async start(t: TestContext, answer: HttpApplication["answer"], port = 0): Promise<HttpApplication> {
    const application = new HttpApplication(answer, port);
    t.after(() => application.stop());
    await application.start();
    return application;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Those that came of a type. */
  of(type: string): Posted[] {
    return this.posts.filter(({ body }) => body["type"] === type);
  }

  /** Listens, on the port that it had before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#take(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Cuts every connection, and refuses new ones. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const raw = await text(request);
      const posted = { path: request.url ?? "", headers: request.headers, raw, body: JSON.parse(raw) };
      this.posts.push(posted);
      const answer = await this.answer(posted);
      if (typeof answer === "function") answer(response, request);
      else if (typeof answer === "number") response.writeHead(answer).end();
      else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch {
      response.destroy();
    }
  }

  /** Settings with which these hooks are posted here, each to a path of its name. */
  asked(...names: readonly (keyof NonNullable<ServerOptions["hooks"]>)[]): ServerOptions {
    const hooks = Object.fromEntries(names.map((name) => [name, { url: `${this.url}/${name}` }]));
    return { hooks, hookSecrets: [hookSecret], hookNetworks: ["127.0.0.0/8"] };
  }
}

/** Every kind of answer at once: for hooks of which a test says nothing. */
export const allows = ({ body }: Posted): object =>
  body["type"] === "call" ? { data: null } : body["type"] === "connect" ? { user: "ada" } : { allow: true };
