import type { JetStream } from "./jetstream.js";
import type { RingState } from "./placement.js";

/** The ring in force as it is kept in NATS: read whole, and written only over what was read. */
export class RingStore {
  readonly #jetstream: JetStream;
  readonly #subject: string;
  /** The number of what was read last; 0 before there is anything. */
  #seq = 0;

  /** `subject` is the name of its stream too. */
  constructor(jetstream: JetStream, subject: string) {
    this.#jetstream = jetstream;
    this.#subject = subject;
  }

  /** Which writing of it was read last. */
  get seq(): number {
    return this.#seq;
  }

  async read(): Promise<RingState | undefined> {
    const stored = await this.#jetstream.message(this.#subject, this.#subject, false);
    this.#seq = stored?.seq ?? 0;
    return stored === undefined ? undefined : (JSON.parse(stored.data.toString()) as RingState);
  }

  /** Whether it was written: not where somebody else has written it since it was read. */
  async write(state: RingState): Promise<boolean> {
    const ack = await this.#jetstream.publishAfter(this.#subject, Buffer.from(JSON.stringify(state)), this.#seq);
    if (ack === undefined) return false;
    this.#seq = ack.seq;
    return true;
  }
}
