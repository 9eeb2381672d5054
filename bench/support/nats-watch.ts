import { connect, type Msg, type NatsConnection } from "nats";

/** What was published, one character a byte (latin1): the subject, the data, then lines of headers `name: value`. */
export type Sent = readonly [subject: string, data: string, ...headers: string[]];

/** Watches what is published on a NATS: so that what a node is held against sends the very same. */
export class NatsWatch {
  readonly #connection: NatsConnection;
  readonly #seen: Msg[] = [];

  /** Resolves once it watches. */
  static async open(url: string): Promise<NatsWatch> {
    const connection = await connect({ servers: url });
    const watch = new NatsWatch(connection);
    await connection.flush();
    return watch;
  }

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
    connection.subscribe(">", {
      callback: (error, message) => {
        if (error === null) this.#seen.push(message);
      },
    });
  }

  /**
   * What was published since the last call and had this text in it; where `answered`, only what wanted an answer, as
   * what goes into a stream does. Expectations of what is in the stream already are left out.
   */
  async take(text: string, answered: boolean): Promise<Sent[]> {
    // What was published before stands before the answer to this.
    await this.#connection.flush();
    const taken = this.#seen.splice(0).filter((message) => Buffer.from(message.data).includes(text));
    return taken
      .filter((message) => (message.reply !== undefined && message.reply !== "") === answered)
      .map(({ subject, data, headers }) => {
        const lines = [...(headers ?? [])].flatMap(([name, values]) => values.map((value) => `${name}: ${value}`));
        const kept = lines.filter((line) => !line.startsWith("Nats-Expected-"));
        return [subject, Buffer.from(data).toString("latin1"), ...kept];
      });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
