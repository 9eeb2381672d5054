/** WebSocket by hand over TCP, for what no WebSocket library would send. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";

/** RFC 6455, 5.2. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export type FrameParts = {
  readonly payload?: string | Uint8Array;
  /** Default: text for a string, binary for bytes. */
  readonly opcode?: number;
  readonly fin?: boolean;
  /** The three reserved bits, as a number from 0 to 7. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** The four bytes of the mask; random ones by default. */
  readonly mask?: Uint8Array;
  /** What the length field says, where it is to say something else than the payload's length. */
  readonly length?: number;
  /** How many bytes the length field takes, where it is not to be the fewest. */
  readonly lengthBytes?: 0 | 2 | 8;
};

/** The bytes of one frame, right or wrong. */
export function frameBytes(parts: FrameParts): Buffer {
  const payload = Buffer.from(parts.payload ?? "");
  const length = parts.length ?? payload.length;
  const opcode = parts.opcode ?? (typeof parts.payload === "string" ? OPCODE.text : OPCODE.binary);
  const masked = parts.masked ?? true;
  const lengthBytes = parts.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const head = Buffer.alloc(2 + lengthBytes);
  head[0] = (parts.fin === false ? 0 : 0x80) | ((parts.reserved ?? 0) << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) head.writeUInt16BE(length, 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = parts.mask ?? randomBytes(4);
  const body = Buffer.from(payload);
  for (let at = 0; at < body.length; at++) body[at] = (body[at] as number) ^ (mask[at % 4] as number);
  return Buffer.concat([head, mask, body]);
}

export type UpgradeParts = {
  readonly method?: string;
  readonly path?: string;
  /** Set over the usual ones; `undefined` leaves a header out. */
  readonly headers?: { readonly [name: string]: string | undefined };
};

/** The text of an upgrade request, with what is asked for changed. */
export function upgradeText({ method = "GET", path = "/v1/socket", headers = {} }: UpgradeParts = {}): string {
  const all: { [name: string]: string | undefined } = {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  return `${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

export type RawFrame = { readonly fin: boolean; readonly opcode: number; readonly payload: Buffer };
export type RawResponse = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
};

/** How long anything is waited for before the wait itself is an error, in milliseconds. */
const PATIENCE_MS = 30_000;

/** A TCP connection that writes whatever it is told to and reads HTTP answers and WebSocket frames. */
export class RawSocket {
  readonly socket: Socket;
  #received: Buffer[] = [];
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#received.push(bytes));
    // A reset is one way in which a server ends a connection.
    socket.on("error", () => undefined);
    for (const event of ["end", "close"] as const) {
      socket.on(event, () => {
        this.#ended = true;
      });
    }
  }

  static async connect(port: number): Promise<RawSocket> {
    const socket = createConnection({ port, host: "127.0.0.1" });
    await once(socket, "connect");
    return new RawSocket(socket);
  }

  /** Connects and upgrades; rejects where the answer is not 101. */
  static async open(port: number, parts: UpgradeParts = {}): Promise<RawSocket> {
    const raw = await RawSocket.connect(port);
    raw.write(upgradeText(parts));
    const { status } = await raw.response();
    if (status !== 101) throw new Error(`expected 101, got ${status}`);
    return raw;
  }

  get ended(): boolean {
    return this.#ended;
  }

  write(bytes: string | Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  sendFrame(parts: FrameParts): void {
    this.write(frameBytes(parts));
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Waits until `take` finds something in what was received; `undefined` once the connection has ended without it. */
  async #until<T>(take: (received: Buffer) => { value: T; used: number } | undefined): Promise<T | undefined> {
    const tooLong = setTimeout(() => this.socket.destroy(new Error("waited too long")), PATIENCE_MS);
    try {
      for (;;) {
        const received = this.#received.length === 1 ? (this.#received[0] as Buffer) : Buffer.concat(this.#received);
        const found = take(received);
        this.#received = [found === undefined ? received : received.subarray(found.used)];
        if (found !== undefined) return found.value;
        if (this.#ended) return undefined;
        await new Promise<void>((resolve) => {
          const go = (): void => {
            for (const event of ["data", "end", "close"] as const) this.socket.off(event, go);
            resolve();
          };
          for (const event of ["data", "end", "close"] as const) this.socket.on(event, go);
        });
      }
    } finally {
      clearTimeout(tooLong);
    }
  }

  /** The next HTTP answer; rejects where the connection ends without one. */
  async response({ body = true } = {}): Promise<RawResponse> {
    const answer = await this.#until((received) => takeResponse(received, body));
    if (answer === undefined) throw new Error("expected an HTTP answer, got the end of the connection");
    return answer;
  }

  /** The next WebSocket frame; `undefined` where the connection ends first. */
  frame(): Promise<RawFrame | undefined> {
    return this.#until(takeFrame);
  }

  /** The next text or binary frame's payload; `undefined` where the connection is closed first. */
  async message(): Promise<Buffer | undefined> {
    for (;;) {
      const frame = await this.frame();
      if (frame === undefined || frame.opcode === OPCODE.close) return undefined;
      if (frame.opcode === OPCODE.text || frame.opcode === OPCODE.binary) return frame.payload;
    }
  }

  /** The next JSON message that is of this type; heartbeats and others are passed over. */
  async json(type: string): Promise<{ readonly [name: string]: unknown }> {
    for (;;) {
      const message = await this.message();
      if (message === undefined) throw new Error(`expected ${type}, got the end of the connection`);
      const frame = JSON.parse(message.toString()) as { [name: string]: unknown };
      if (frame["type"] === type) return frame;
    }
  }

  /** Reads to the end: the close frame's code, 1005 where it has none, 1006 where the connection ended without one. */
  async closeCode(): Promise<number> {
    for (;;) {
      const frame = await this.frame();
      if (frame === undefined) return 1006;
      if (frame.opcode === OPCODE.close) return frame.payload.length < 2 ? 1005 : frame.payload.readUInt16BE(0);
    }
  }

  /** Resolves once the other side has ended the connection. */
  async end(): Promise<void> {
    await this.#until<never>(() => undefined);
  }
}

function takeResponse(received: Buffer, body: boolean): { value: RawResponse; used: number } | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first = "", ...lines] = received.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const length = body ? Number(headers.get("content-length") ?? 0) : 0;
  const used = end + 4 + length;
  if (received.length < used) return undefined;
  const status = Number(first.split(" ")[1]);
  return { value: { status, headers, body: received.subarray(end + 4, used).toString() }, used };
}

function takeFrame(received: Buffer): { value: RawFrame; used: number } | undefined {
  if (received.length < 2) return undefined;
  const short = (received[1] as number) & 0x7f;
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
  if (received.length < 2 + lengthBytes) return undefined;
  const length =
    lengthBytes === 0 ? short : lengthBytes === 2 ? received.readUInt16BE(2) : Number(received.readBigUInt64BE(2));
  const used = 2 + lengthBytes + length;
  if (received.length < used) return undefined;
  const first = received[0] as number;
  const payload = received.subarray(2 + lengthBytes, used);
  return { value: { fin: (first & 0x80) !== 0, opcode: first & 0x0f, payload }, used };
}
