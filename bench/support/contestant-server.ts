import { setTimeout as delay } from "node:timers/promises";
import type { SettingsInput } from "../../server/server.js";
import { Child } from "./child.js";
import { type Contestant, type Dialect, dialectOf } from "./dialects.js";
import type { Usage } from "./usage.js";

const files: { readonly [name in Contestant]: string } = {
  uws: "./servers/uws.js",
  "roomcast-json": "./servers/roomcast.js",
  "roomcast-msgpack": "./servers/roomcast.js",
  ws: "./servers/ws.js",
  "socket-io": "./servers/socket-io.js",
};

/** A contestant's server, in a process of its own. */
export class ContestantServer {
  readonly dialect: Dialect;
  readonly port: number;
  readonly #child: Child;

  /** `settings` are Roomcast's, and of no use to the others. */
  static async start(name: Contestant, settings: SettingsInput = {}): Promise<ContestantServer> {
    const child = new Child(name, files[name], ["--expose-gc"], [JSON.stringify(settings)]);
    const { port } = await child.next<{ port: number }>();
    return new ContestantServer(dialectOf(name), port, child);
  }

  private constructor(dialect: Dialect, port: number, child: Child) {
    this.dialect = dialect;
    this.port = port;
    this.#child = child;
  }

  usage(options: { gc?: boolean } = {}): Promise<Usage> {
    return this.#child.ask<Usage>(options);
  }

  /** Resolves once the server holds no more than so many files and sockets open. */
  async emptied(openFiles: number): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      if ((await this.usage()).openFiles <= openFiles) return;
      await delay(50);
    }
    throw new Error(`${this.dialect.name} still holds more than ${openFiles} files and sockets open after 15 s`);
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}
