/** Those who behave: a reader of each codec in a room, and one who publishes there. Nobody may harm them. */
import { RoomRun } from "../support/room-run.js";
import { clientCodecs, WsClient } from "../support/ws-client.js";

const ROOM = "safe:1";
/** Answers that wait for something other than this turn of the server's loop take a few pings. */
const PINGS = 2;

type Reader = { readonly client: WsClient; readonly run: RoomRun };

export class Bystanders {
  readonly #readers: readonly Reader[];
  readonly #publisher: WsClient;
  #published = 0;

  private constructor(readers: readonly Reader[], publisher: WsClient) {
    this.#readers = readers;
    this.#publisher = publisher;
  }

  /** Connects and joins them. */
  static async join(url: string): Promise<Bystanders> {
    const readers = await Promise.all(
      clientCodecs.map(async (codec) => {
        const client = await WsClient.connect(url, { codec });
        const run = new RoomRun(ROOM);
        client.watch((frame) => run.take(frame) || frame.type === "heartbeat");
        await client.ask("joined", { type: "join", room: ROOM });
        return { client, run };
      }),
    );
    return new Bystanders(readers, await WsClient.connect(url));
  }

  get count(): number {
    return this.#readers.length + 1;
  }

  /** Resolves once the server has dealt with what was sent to it on any connection before. */
  async barrier(): Promise<void> {
    for (let count = 0; count < PINGS; count++) await this.#publisher.ping();
  }

  /** Publishes; what is wrong with what has come of it and of all before: nothing, where everybody has everything, in order. */
  async harm(): Promise<string | undefined> {
    try {
      this.#publisher.send({ type: "publish", room: ROOM, event: "n", data: ++this.#published });
      await this.#publisher.ping();
      for (const { client, run } of this.#readers) {
        await client.until("every event", () => run.events.length >= this.#published);
        const odd = run.data.findIndex((data, index) => data !== index + 1);
        if (odd >= 0) return `event ${odd + 1} of a bystander is ${JSON.stringify(run.data[odd])}`;
        await client.ping();
      }
      return undefined;
    } catch (error) {
      return `a bystander: ${String(error)}`;
    }
  }

  end(): void {
    for (const { client } of this.#readers) client.end();
    this.#publisher.end();
  }
}
