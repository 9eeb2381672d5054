/** What is used of the client's messages; the last two are its insides: it makes a map of lists of all headers. */
export type NatsMessage = {
  readonly subject: string;
  readonly reply?: string;
  readonly _rdata?: Uint8Array;
  readonly _msg?: { readonly hdr: number };
};

const NOTHING = Buffer.alloc(0);

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

  #text(): string {
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
    const code = /^NATS\/1\.0 (\d{3})/.exec(this.#text())?.[1];
    return code === undefined ? 0 : Number(code);
  }

  /** The value of a header, `undefined` where there is none. */
  header(name: string): string | undefined {
    const text = this.#text();
    const mark = `\r\n${name}: `;
    const start = text.indexOf(mark);
    if (start < 0) return undefined;
    return text.slice(start + mark.length, text.indexOf("\r\n", start + mark.length));
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
