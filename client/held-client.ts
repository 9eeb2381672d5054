import type { Client } from "./client.js";

/** A client that is connected while it is used. */
export class HeldClient {
  client: Client | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;

  /** Returns what ends the use. */
  use(connect: () => Client, changed: () => void): () => void {
    clearTimeout(this.#closing);
    if (!this.client) {
      this.client = connect();
      changed();
    }
    return () => {
      // In a later turn: in React's StrictMode a component that is mounted is unmounted and mounted once more.
      this.#closing = setTimeout(() => {
        this.client?.close();
        this.client = undefined;
      });
    };
  }
}
