/** Sends frames, right and wrong, and sees to it that each has been dealt with before the next one follows. */

import { json } from "../../../protocol/json.js";
import { msgpack } from "../../../protocol/msgpack.js";
import { type FrameParts, frameBytes, OPCODE, RawSocket } from "../../support/raw-socket.js";

const codecs = {
  json: { client: json, opcode: OPCODE.text },
  msgpack: { client: msgpack, opcode: OPCODE.binary },
} as const;
export type CodecName = keyof typeof codecs;

/** Ids of the requests by which it is known that what came before them has been dealt with. */
const FIRST_ID = 1_000_000;

/** What became of a frame: the code the connection was closed with, or the codes of the errors it was answered with. */
export type Outcome =
  | { readonly closed: number }
  | { readonly errors: readonly string[]; readonly types: readonly string[] };

export class Sender {
  readonly #port: number;
  readonly #codec: (typeof codecs)[CodecName];
  readonly #subprotocol: string;
  #socket: RawSocket | undefined;
  #id = FIRST_ID;
  connections = 0;
  /** How many of the connections were closed, by the code. */
  readonly closes = new Map<number, number>();

  constructor(port: number, codec: CodecName) {
    this.#port = port;
    this.#codec = codecs[codec];
    this.#subprotocol = this.#codec.client.subprotocol;
  }

  async #open(greeted: boolean): Promise<RawSocket> {
    const socket = await RawSocket.open(this.#port, { headers: { "Sec-WebSocket-Protocol": this.#subprotocol } });
    this.#socket = socket;
    this.connections++;
    if (greeted) socket.sendFrame(this.#request({ type: "hello", id: 1 }));
    return socket;
  }

  #request(frame: Parameters<typeof json.encode>[0]): FrameParts {
    return { payload: this.#codec.client.encode(frame), opcode: this.#codec.opcode };
  }

  /**
   * Sends it, on a new connection where the last was closed, which has said hello if `greeted`. Resolves with what became
   * of it; rejects where nothing did.
   */
  async send(frame: FrameParts, greeted = true): Promise<Outcome> {
    const socket = this.#socket ?? (await this.#open(greeted));
    const id = this.#id++;
    socket.write(Buffer.concat([frameBytes(frame), frameBytes(this.#request({ type: "ping", id }))]));
    const errors: string[] = [];
    const types: string[] = [];
    for (;;) {
      const came = await socket.frame();
      if (came === undefined || came.opcode === OPCODE.close) {
        const closed = came === undefined ? 1006 : came.payload.length < 2 ? 1005 : came.payload.readUInt16BE(0);
        this.closes.set(closed, (this.closes.get(closed) ?? 0) + 1);
        socket.destroy();
        this.#socket = undefined;
        return { closed };
      }
      if (came.opcode !== this.#codec.opcode) continue;
      const read = this.#codec.client.decode(this.#codec.client === json ? came.payload.toString() : came.payload);
      if (read === undefined) continue;
      // Before the hello is answered, and where too much waits, a ping is refused.
      if ("id" in read && read.id === id) return { errors, types };
      types.push(read.type);
      if (read.type === "error") errors.push(read.code);
    }
  }

  end(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}
