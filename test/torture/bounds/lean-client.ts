/** A client with so little to it that a process can hold and change very many: JSON, no mask, no promises. */
import { connect, type Socket } from "node:net";

const NO_MASK = Buffer.alloc(4);

export type LeanOptions = {
  readonly port: number;
  /** What X-Forwarded-For says; nothing is said where it is left out. */
  readonly address?: string | undefined;
  /** Called once frames can be sent. */
  readonly onOpen: (client: LeanClient) => void;
  /** Called for every frame, as text. */
  readonly onText: (client: LeanClient, text: string) => void;
  /** Called once it has ended, whoever ended it, with its close code: 1006 without a close frame. */
  readonly onEnd: (client: LeanClient, code: number) => void;
};

export class LeanClient {
  readonly #socket: Socket;
  readonly #options: LeanOptions;
  #received: Buffer = Buffer.alloc(0);
  #isOpen = false;
  #code = 1006;

  constructor(options: LeanOptions) {
    this.#options = options;
    const { port, address } = options;
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#socket.on("error", () => undefined);
    this.#socket.once("close", () => options.onEnd(this, this.#code));
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    const forwarded = address === undefined ? "" : `X-Forwarded-For: ${address}\r\n`;
    this.#socket.write(
      `GET /v1/socket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${forwarded}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
  }

  /** Sends a frame of at most 65,535 bytes of ASCII. */
  send(text: string): void {
    this.#write(0x81, text);
  }

  #write(first: number, text: string): void {
    const { length } = text;
    const at = length < 126 ? 2 : 4;
    const frame = Buffer.allocUnsafe(at + 4 + length);
    frame[0] = first;
    frame[1] = 0x80 | Math.min(length, 126);
    if (length >= 126) frame.writeUInt16BE(length, 2);
    NO_MASK.copy(frame, at);
    frame.write(text, at + 4, "latin1");
    this.#socket.write(frame);
  }

  /** Ends it without a word and without leaving anything behind in the kernel. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (!this.#isOpen) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (!this.#received.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) {
        this.cut();
        return;
      }
      this.#received = this.#received.subarray(end + 4);
      this.#isOpen = true;
      this.#options.onOpen(this);
    }
    while (this.#takeFrame());
  }

  #takeFrame(): boolean {
    const received = this.#received;
    if (received.length < 2) return false;
    const short = (received[1] as number) & 0x7f;
    const at = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (received.length < at) return false;
    const length = short < 126 ? short : short === 126 ? received.readUInt16BE(2) : received.readUInt32BE(6);
    if (received.length < at + length) return false;
    const opcode = (received[0] as number) & 0x0f;
    this.#received = received.subarray(at + length);
    if (opcode === 1) this.#options.onText(this, received.toString("latin1", at, at + length));
    else if (opcode === 8 && length >= 2) this.#code = received.readUInt16BE(at);
    else if (opcode === 9) this.#write(0x8a, "");
    return true;
  }
}
