/** What is used of the client's messages; the last two are its insides: it makes a map of lists of all headers. */
export type NatsMessage = {
  readonly subject: string;
  readonly reply?: string;
  readonly _rdata?: Uint8Array;
  readonly _msg?: { readonly hdr: number };
};

const NOTHING = Buffer.alloc(0);

/** The value of a header, `undefined` where there is none. Other clients leave out the blank, or write several. */
export function headerIn(head: string, name: string): string | undefined {
  const mark = `\r\n${name}:`;
  const start = head.indexOf(mark);
  if (start < 0) return undefined;
  return head.slice(start + mark.length, head.indexOf("\r\n", start + mark.length)).trimStart();
}

/** A message from NATS. Nothing of it is kept: its data is a view of all that came with it. */
export class Incoming {
  readonly #message: NatsMessage;
  #head: string | undefined;

  constructor(message: NatsMessage) {
    this.#message = message;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get reply(): string {
    return this.#message.reply ?? "";
  }

  get #headLength(): number {
    return Math.max(0, this.#message._msg?.hdr ?? 0);
  }

  get data(): Buffer {
    const bytes = this.#message._rdata;
    if (bytes === undefined) return NOTHING;
    const head = this.#headLength;
    return Buffer.from(bytes.buffer, bytes.byteOffset + head, bytes.length - head);
  }

  /** The headers as they stand in the protocol, each byte a character; "" where there are none. */
  get head(): string {
    if (this.#head !== undefined) return this.#head;
    const bytes = this.#message._rdata ?? NOTHING;
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(this.#headLength, bytes.length)).toString(
      "latin1",
    );
    this.#head = head;
    return head;
  }

  /** The status that NATS itself answers with, 503 where nobody is there to answer; 0 where there is none. */
  get status(): number {
    const code = /^NATS\/1\.0 (\d{3})/.exec(this.head)?.[1];
    return code === undefined ? 0 : Number(code);
  }

  /** The value of a header, `undefined` where there is none. */
  header(name: string): string | undefined {
    return headerIn(this.head, name);
  }

  /** The data as JSON; `undefined` where it is none. */
  json(): unknown {
    try {
      return JSON.parse(this.data.toString());
    } catch {
      return undefined;
    }
  }
}
