/** A server behind something that lets no WebSocket through. What is asked and answered is the test's. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { eventually } from "../support/eventually.js";

/** One request that is no stream, with what it brought. */
export type Asked = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
};
export type Answered = { readonly status?: number; readonly body?: unknown; readonly headers?: Record<string, string> };

/** One stream as the server sees it. */
export class ServedStream {
  readonly rooms: readonly string[];
  /** Those of them that are asked for with presence. */
  readonly presence: readonly string[];
  readonly headers: IncomingMessage["headers"];
  readonly #response: ServerResponse;
  isClosed = false;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const { searchParams } = new URL(request.url ?? "", "http://x");
    this.rooms = searchParams.getAll("room");
    this.presence = searchParams.getAll("presence");
    this.headers = request.headers;
    this.#response = response;
    response.on("close", () => {
      this.isClosed = true;
    });
  }

  refuse(status: number, problem: object): void {
    this.#response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
  }

  write(text: string): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { "content-type": "text/event-stream" });
    this.#response.write(text);
  }

  frame(type: string, fields: object = {}): void {
    this.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
  }

  welcome(fields: object = {}): void {
    const limits = { maxFrameBytes: 65_536, maxRooms: 100, maxRequests: 32 };
    this.frame("welcome", {
      id: 1,
      session: "s_1",
      node: "n_1",
      resumed: false,
      heartbeatMs: 20_000,
      limits,
      ...fields,
    });
  }

  joined(
    room: string,
    offset: number | undefined,
    { recovered = true, epoch = "e", members }: { recovered?: boolean; epoch?: string; members?: object[] } = {},
  ): void {
    const position = offset === undefined ? {} : { position: { epoch, offset } };
    this.frame("joined", { id: 2, room, ...position, recovered, ...(members && { members }), events: [] });
  }

  event(room: string, offset: number | undefined, data: unknown = offset): void {
    const event = { room, ...(offset !== undefined && { offset }), event: "message", data, at: 1_790_000_000_000 };
    this.write(`${offset === undefined ? "" : `id: ${room}=e:${offset}\n`}data: ${JSON.stringify(event)}\n\n`);
  }

  end(): void {
    this.#response.end();
  }

  cut(): void {
    this.#response.destroy();
  }
}

export class StreamServer {
  readonly url: string;
  readonly asked: Asked[] = [];
  readonly streams: ServedStream[] = [];
  /** How many asked for a WebSocket, and for the path where WebSockets are opened without one. */
  upgrades = 0;
  looks = 0;
  /** What `looks` are answered with. */
  lookStatus = 426;
  answer: (asked: Asked) => Answered | Promise<Answered> = () => ({ status: 404, body: {} });
  #taken = 0;

  private constructor(url: string) {
    this.url = url;
  }

  static async start(t: TestContext): Promise<StreamServer> {
    const http = createServer((request, response) => void server.#serve(request, response));
    http.on("upgrade", (_request, socket) => {
      server.upgrades++;
      socket.destroy();
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    t.after(() => {
      http.close();
      http.closeAllConnections();
    });
    const server = new StreamServer(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    return server;
  }

  /** The next stream that was not taken yet. */
  async next(): Promise<ServedStream> {
    await eventually(() => this.streams.length > this.#taken, "no further stream was opened");
    return this.streams[this.#taken++] as ServedStream;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    const path = url.replace(/\?.*/, "");
    if (path === "/v1/socket") {
      this.looks++;
      response.writeHead(this.lookStatus).end();
    } else if (path === "/v1/events") this.streams.push(new ServedStream(request, response));
    else {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      const asked = { method, path: url, headers, body: text === "" ? undefined : JSON.parse(text) };
      this.asked.push(asked);
      const { status = 200, body = {}, headers: more = {} } = await this.answer(asked);
      response.writeHead(status, { "content-type": "application/json", ...more }).end(JSON.stringify(body));
    }
  }
}
