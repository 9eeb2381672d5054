/** Requests that cannot be asked twice: each waits for a connection, but does not survive one. */
import type { Wire } from "../protocol/client-codec.js";
import { RoomcastError } from "./errors.js";
import type { Answer } from "./link.js";
import type { Sender } from "./queue.js";

export class Asks {
  readonly #timeoutMs: number;
  /** Those that wait: each is told of a connection, or of why there will be none. */
  readonly #held = new Set<(to: Sender | RoomcastError) => void>();
  #sender: Sender | undefined;

  /** `timeoutMs` is how long a connection is waited for. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  ask(id: number, wire: Wire): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const settle = (result: Answer | RoomcastError) =>
        result instanceof RoomcastError ? reject(result) : resolve(result);
      const go = (to: Sender | RoomcastError): void => {
        clearTimeout(timer);
        this.#held.delete(go);
        if (to instanceof RoomcastError) reject(to);
        else to.request(id, wire, settle);
      };
      const late = () => go(new RoomcastError("timeout", "no connection in time", 1000));
      const timer = setTimeout(late, this.#timeoutMs);
      this.#held.add(go);
      this.use(this.#sender);
    });
  }

  /** Where requests go out from now on. */
  use(sender: Sender | undefined): void {
    this.#sender = sender;
    if (sender) for (const go of [...this.#held]) go(sender);
  }

  rejectAll(error: RoomcastError): void {
    for (const go of [...this.#held]) go(error);
  }
}
