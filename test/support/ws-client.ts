/** A client of the protocol that does nothing by itself: what a test sends and receives is all there is. */
import { once } from "node:events";
import { WebSocket } from "ws";
import type { ClientCodec } from "../../protocol/client-codec.js";
import type { ClientFrame, ServerFrame } from "../../protocol/frames.js";
import { json } from "../../protocol/json.js";
import { msgpack } from "../../protocol/msgpack.js";

export const clientCodecs: readonly ClientCodec[] = [json, msgpack];

/** How long a frame is waited for before the wait itself is an error, in milliseconds. */
const PATIENCE_MS = 30_000;

export type Closed = { readonly code: number; readonly reason: string };
type Type = ServerFrame["type"];
/** A frame without its id, which the client gives it. */
type Request = ClientFrame extends infer F ? (F extends ClientFrame ? Omit<F, "id"> : never) : never;
type Hello = { readonly token?: string; readonly session?: string };
type Wanted = (frame: ServerFrame) => boolean;

export type ConnectOptions = {
  readonly codec?: ClientCodec;
  /** What hello says; `false` says none. */
  readonly hello?: Hello | false;
  readonly headers?: { readonly [name: string]: string };
};

/** One connection. Frames wait in the order they came until a test takes them. */
export class WsClient {
  readonly socket: WebSocket;
  readonly codec: ClientCodec;
  /** What has come and was not taken yet. */
  readonly frames: ServerFrame[] = [];
  /** How many messages have come so far, taken or not. */
  messages = 0;
  closed: Closed | undefined;
  #welcome: ServerFrame<"welcome"> | undefined;
  #changed: (() => void)[] = [];
  #watch: ((frame: ServerFrame) => boolean | undefined) | undefined;
  #fault: unknown;
  #id = 0;

  private constructor(socket: WebSocket, codec: ClientCodec) {
    this.socket = socket;
    this.codec = codec;
    socket.binaryType = "nodebuffer";
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer, isBinary) => {
      this.messages++;
      const frame = codec.decode(isBinary ? data : data.toString());
      if (frame !== undefined) this.#taken(frame);
      this.#change();
    });
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#change();
    });
  }

  /** Connects to `http://host:port` and, if not told otherwise, says hello and takes the welcome. */
  static async connect(url: string, options: ConnectOptions = {}): Promise<WsClient> {
    const { codec = json, hello = {}, headers = {} } = options;
    const address = `${url.replace(/^http/, "ws")}/v1/socket`;
    const socket = new WebSocket(address, codec.subprotocol, { headers, perMessageDeflate: false });
    const client = new WsClient(socket, codec);
    await once(socket, "open");
    if (hello !== false) await client.hello(hello);
    return client;
  }

  async hello(hello: Hello = {}): Promise<ServerFrame<"welcome">> {
    this.#welcome = await this.ask("welcome", { type: "hello", ...hello });
    return this.#welcome;
  }

  get welcome(): ServerFrame<"welcome"> {
    if (this.#welcome === undefined) throw new Error("this client was told not to say hello");
    return this.#welcome;
  }

  #taken(frame: ServerFrame): void {
    if (this.#watch === undefined) {
      this.frames.push(frame);
      return;
    }
    try {
      if (this.#watch(frame) !== true) this.frames.push(frame);
    } catch (error) {
      this.#fault ??= error;
    }
  }

  /**
   * Shows every frame to `watch`, from now on, before it waits to be taken; it does not wait where `watch` returns true.
   * What `watch` throws is thrown by whatever the test waits for next.
   */
  watch(watch: (frame: ServerFrame) => boolean | undefined): void {
    this.#watch = watch;
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }

  async #until<T>(words: string, look: () => T | undefined): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const what = (): string => JSON.stringify(this.frames).slice(0, 500);
      timer = setTimeout(() => reject(new Error(`waited too long for ${words}; there is ${what()}`)), PATIENCE_MS);
    });
    try {
      for (;;) {
        if (this.#fault !== undefined) throw this.#fault;
        const found = look();
        if (found !== undefined) return found;
        await Promise.race([new Promise<void>((resolve) => this.#changed.push(resolve)), late]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes the first frame that is wanted, once it is there; rejects when the connection is closed without one. */
  async #take(words: string, wanted: Wanted): Promise<ServerFrame> {
    return this.#until(words, () => {
      const index = this.frames.findIndex(wanted);
      if (index >= 0) return this.frames.splice(index, 1)[0];
      if (this.closed !== undefined) throw new Error(`expected ${words}, got close ${JSON.stringify(this.closed)}`);
      return undefined;
    });
  }

  /** Takes the first frame of a type, once it is there. */
  async next<T extends Type>(type: T, where: (frame: ServerFrame<T>) => boolean = () => true): Promise<ServerFrame<T>> {
    const wanted: Wanted = (frame) => frame.type === type && where(frame as ServerFrame<T>);
    return (await this.#take(type, wanted)) as ServerFrame<T>;
  }

  /** Waits until what was received so far, taken or not, satisfies the test. */
  async until(words: string, condition: () => boolean): Promise<void> {
    await this.#until(words, () => {
      if (condition()) return true;
      if (this.closed !== undefined) throw new Error(`expected ${words}, got close ${JSON.stringify(this.closed)}`);
      return undefined;
    });
  }

  /** The close code and reason, once the connection is closed. */
  close(): Promise<Closed> {
    return this.#until("a close", () => this.closed);
  }

  send(frame: ClientFrame): void {
    this.socket.send(this.codec.encode(frame));
  }

  nextId(): number {
    return ++this.#id;
  }

  /** Sends a request under an id of its own and takes its answer, whatever that is. */
  async request(frame: Request): Promise<ServerFrame> {
    const id = this.nextId();
    this.send({ ...frame, id } as ClientFrame);
    return this.#take(`the answer to ${frame.type} ${id}`, (answer) => "id" in answer && answer.id === id);
  }

  /** `request` for an answer of this type; rejects with what came instead. */
  async ask<T extends Type>(type: T, frame: Request): Promise<ServerFrame<T>> {
    const answer = await this.request(frame);
    if (answer.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(answer)}`);
    return answer as ServerFrame<T>;
  }

  /** The code of the error that a request is answered with. */
  async refusal(frame: Request): Promise<ServerFrame<"error">> {
    return this.ask("error", frame);
  }

  /** Resolves once the server has answered everything that was sent before. */
  async ping(): Promise<void> {
    await this.ask("pong", { type: "ping" });
  }

  end(): void {
    this.socket.terminate();
  }
}
