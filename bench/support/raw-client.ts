import { connect, type Socket } from "node:net";
import type { Dialect, Role, Step } from "./dialects.js";
import { countEvents } from "./event-data.js";
import { CLOSE, clientFrame, dataFrame, FrameWalker, PING, PONG, TEXT } from "./wire.js";

const OPEN_TIMEOUT_MS = 30_000;

/** Where every socket of the process reads into: what is read is used up before the next read. */
const readBuffer = Buffer.alloc(65_536);

export type RawClientOptions = {
  readonly port: number;
  readonly dialect: Dialect;
  readonly role: Role;
  /** Told of each event when it arrives: when it was sent. The order is checked then, too. Without it, events are counted and no more. */
  readonly onEvent?: (stampUs: number) => void;
  /** Told of every payload without an event that answers nothing, such as a reset. */
  readonly onOther?: (payload: Buffer) => void;
  /** Told of every refusal and of the end, where `close` was not called. */
  readonly onTrouble?: (words: string) => void;
};

/**
 * A client on a plain TCP socket. It makes the upgrade by hand, says its lines, and then only counts the events in the
 * bytes it gets, so that one core can read for a thousand of them.
 */
export class RawClient {
  /** Events received. */
  events = 0;
  /** Payload bytes received in frames that held events. */
  bytes = 0;
  readonly #options: RawClientOptions;
  readonly #socket: Socket;
  readonly #walker = new FrameWalker((opcode, bytes, start, end) => this.#onFrame(opcode, bytes, start, end));
  readonly #steps: readonly Step[];
  #step = 0;
  #head: Buffer | undefined = Buffer.alloc(0);
  #opened: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #closing = false;
  #lastStampUs = 0;

  /** Resolves once the opening's last answer is there; rejects when the server refuses or takes 30 s. */
  static open(options: RawClientOptions): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const client = new RawClient(options, () => resolve(client), reject);
    });
  }

  private constructor(options: RawClientOptions, opened: () => void, failed: (error: Error) => void) {
    this.#options = options;
    this.#steps = options.dialect.opening(options.role);
    this.#opened = opened;
    this.#failed = failed;
    this.#socket = connect({
      host: "127.0.0.1",
      port: options.port,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (length) => this.#onRead(length) },
    });
    this.#socket.setTimeout(OPEN_TIMEOUT_MS, () => this.#end(`no answer to step ${this.#step} of the opening`));
    this.#socket.on("connect", () => this.#socket.write(this.#upgradeRequest()));
    this.#socket.on("error", (error) => this.#end(error.message));
    this.#socket.on("close", () => this.#end("the server closed the connection"));
  }

  send(wire: string | Uint8Array): void {
    this.#socket.write(dataFrame(wire));
  }

  /** Ends the connection by a reset, so that its port is free at once. */
  close(): void {
    this.#closing = true;
    this.#socket.resetAndDestroy();
  }

  #upgradeRequest(): string {
    const { dialect, role, port } = this.#options;
    const lines = [
      `GET ${dialect.path(role)} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    if (dialect.subprotocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${dialect.subprotocol}`);
    return `${lines.join("\r\n")}\r\n\r\n`;
  }

  #onRead(length: number): boolean {
    try {
      if (this.#head === undefined) this.#walker.feed(readBuffer, length);
      else this.#readHead(Buffer.concat([this.#head, readBuffer.subarray(0, length)]));
    } catch (error) {
      this.#end(String(error));
    }
    return true;
  }

  #readHead(head: Buffer): void {
    this.#head = head;
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const status = head.subarray(0, head.indexOf("\r\n")).toString();
    if (!status.startsWith("HTTP/1.1 101")) throw new Error(`the upgrade was answered by "${status}"`);
    this.#head = undefined;
    this.#sayNext();
    const rest = head.subarray(end + 4);
    if (rest.length > 0) this.#walker.feed(rest, rest.length);
  }

  #sayNext(): void {
    const step = this.#steps[this.#step];
    if (step === undefined) {
      this.#socket.setTimeout(0);
      this.#opened?.();
      this.#opened = this.#failed = undefined;
    } else {
      this.#socket.cork();
      for (const frame of step.send ?? []) this.send(frame);
      this.#socket.uncork();
    }
  }

  #onFrame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode >= CLOSE) return this.#onControl(opcode, bytes.subarray(start, end));
    const each = this.#options.onEvent === undefined ? undefined : this.#onEvent;
    const count = countEvents(bytes, start, end, each);
    if (count > 0) {
      this.events += count;
      this.bytes += end - start;
    } else this.#onOther(opcode, bytes.subarray(start, end));
  }

  readonly #onEvent = (stampUs: number) => {
    if (stampUs <= this.#lastStampUs) this.#options.onTrouble?.("an event came twice, or after a later one");
    this.#lastStampUs = stampUs;
    this.#options.onEvent?.(stampUs);
  };

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === PING) this.#socket.write(clientFrame(PONG, payload));
    if (opcode === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#end(`the server closed with ${code} ${payload.subarray(2).toString()}`);
    }
  }

  #onOther(opcode: number, payload: Buffer): void {
    const { beat, refusal } = this.#options.dialect;
    if (beat !== undefined && payload.length === 1 && payload.toString() === beat.ask) {
      this.#socket.write(clientFrame(TEXT, Buffer.from(beat.answer)));
      return;
    }
    const words = refusal?.(payload);
    if (words !== undefined) {
      if (this.#opened === undefined) this.#options.onTrouble?.(words);
      else this.#end(words);
      return;
    }
    if (opcode <= 2 && this.#steps[this.#step]?.until(payload) === true) {
      this.#step++;
      this.#sayNext();
    } else this.#options.onOther?.(payload);
  }

  /** The connection is over, and not by `close`: the opening fails, or whoever watches is told. */
  #end(words: string): void {
    if (this.#closing) return;
    this.close();
    const { dialect, role, onTrouble } = this.#options;
    const told = `${dialect.name}, ${role}: ${words}`;
    if (this.#failed !== undefined) this.#failed(new Error(told));
    else onTrouble?.(told);
  }
}
