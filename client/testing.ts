/** A transport for tests: the test is the server, and says what happens on the network. */
import type { Wire } from "../protocol/client-codec.js";
import type { ClientFrame, ServerFrame } from "../protocol/frames.js";
import type { Connection, ConnectionEvents, Transport } from "./transport.js";

type SentFrame<T extends ClientFrame["type"]> = Extract<ClientFrame, { readonly type: T }>;

/** One connection as the server's side sees it. Frames are JSON. What it does happens at once, in the same turn. */
export class TestConnection {
  readonly url: string;
  readonly subprotocol: string;
  /** Every frame the client has sent, in order. */
  readonly sent: ClientFrame[] = [];
  state: "connecting" | "open" | "closed" = "connecting";
  /** How the client closed it, if it did. */
  closedWith: { readonly code: number; readonly reason: string } | undefined;
  /** Called for each frame the client sends, after it stands in `sent`. */
  onFrame: ((frame: ClientFrame) => void) | undefined;
  readonly #events: ConnectionEvents;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(url: string, subprotocol: string, events: ConnectionEvents) {
    this.url = url;
    this.subprotocol = subprotocol;
    this.#events = events;
  }

  /** Opens the connection; the client says hello. */
  accept(): void {
    if (this.state !== "connecting") throw new Error(`accept: expected a connection under way, it is ${this.state}`);
    this.state = "open";
    this.#events.open();
  }

  /** Opens the connection and answers hello. Gives the hello. */
  async welcome(fields: Partial<ServerFrame<"welcome">> = {}): Promise<ClientFrame<"hello">> {
    this.accept();
    const hello = await this.take("hello");
    this.send({
      type: "welcome",
      id: hello.id,
      session: "s_test",
      node: "n_test",
      resumed: hello.session !== undefined,
      heartbeatMs: 20_000,
      limits: { maxFrameBytes: 65_536, maxRooms: 100, maxRequests: 32 },
      ...fields,
    });
    return hello;
  }

  send(frame: ServerFrame): void {
    this.sendRaw(JSON.stringify(frame));
  }

  /** Says who entered and left a room that was joined with presence, and how many are there now. */
  presence(room: string, told: Partial<ServerFrame<"presence">> & { readonly count: number }): void {
    this.send({ entered: [], left: [], ...told, type: "presence", room });
  }

  /** Sends what need not be a frame at all. On a closed connection nothing arrives. */
  sendRaw(wire: Wire): void {
    if (this.state === "open") this.#events.message(wire);
  }

  /** Closes from the server's side, or loses the connection. */
  cut(code = 1006, reason = ""): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#events.close(code, reason);
    this.#wake();
  }

  /** The next frame of that type that was not taken yet; what came before it is passed over. Waits for it. */
  async take<T extends ClientFrame["type"]>(type: T): Promise<SentFrame<T>> {
    for (;;) {
      while (this.#taken < this.sent.length) {
        const frame = this.sent[this.#taken++];
        if (frame?.type === type) return frame as SentFrame<T>;
      }
      if (this.state === "closed") throw new Error(`take: expected a ${type}, the connection was closed`);
      await this.#news();
    }
  }

  /** Resolves when either side has closed. */
  async closed(): Promise<void> {
    while (this.state !== "closed") await this.#news();
  }

  /** The client's side of it. */
  client(): Connection {
    return {
      send: (wire) => {
        if (this.state !== "open") throw new Error(`send: expected an open connection, it is ${this.state}`);
        const frame = JSON.parse(wire as string) as ClientFrame;
        this.sent.push(frame);
        this.#wake();
        this.onFrame?.(frame);
      },
      close: (code, reason) => {
        if (this.state === "closed") return;
        this.state = "closed";
        this.closedWith = { code, reason };
        this.#wake();
      },
    };
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** For `connect(url, { transport })`. */
export class TestTransport implements Transport {
  /** Every connection the client has started, in order. */
  readonly connections: TestConnection[] = [];
  /** Called for each connection the client starts, in a turn of its own. */
  onOpen: ((connection: TestConnection) => void) | undefined;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  open(url: string, subprotocol: string, events: ConnectionEvents): Connection {
    const connection = new TestConnection(url, subprotocol, events);
    this.connections.push(connection);
    for (const resolve of this.#waiting.splice(0)) resolve();
    queueMicrotask(() => this.onOpen?.(connection));
    return connection.client();
  }

  /** The next connection that was not taken yet. Waits for it. */
  async next(): Promise<TestConnection> {
    while (this.#taken >= this.connections.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.connections[this.#taken++] as TestConnection;
  }
}
