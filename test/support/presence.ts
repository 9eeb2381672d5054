/** What tests of presence share: clients by their user's name, and what they are told of each other. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { ClientCodec } from "../../protocol/client-codec.js";
import type { Member, ServerFrame } from "../../protocol/frames.js";
import { eventually } from "./eventually.js";
import { connect, type Server, type ServerOptions, startServer } from "./start-server.js";
import type { WsClient } from "./ws-client.js";

export const ROOM = "chat:1";
/** So long that it is never over in a test. */
export const EVER_MS = 300_000;

type PresenceRules = NonNullable<NonNullable<ServerOptions["kinds"]>[string]>["presence"];

/** Tokens are users' names; `ann#tall` has info. Everybody may do everything, by the application. */
export const byName = (presence: PresenceRules = {}): ServerOptions => ({
  authenticate: ({ token = "" }) => {
    const [user, info] = token.split("#");
    return { user: user === "" ? undefined : user, info };
  },
  kinds: { "*": { presence: { intervalMs: 50, graceMs: EVER_MS, ...presence } } },
  authorize: () => true,
});

export const startWith = (t: TestContext, presence: PresenceRules = {}, options: ServerOptions = {}): Promise<Server> =>
  startServer(t, { ...byName(presence), ...options });

type Come = { readonly session?: string; readonly codec?: ClientCodec };

/** A client that says hello as the user, and does no more. */
export const come = (t: TestContext, server: Server, token: string, { session, codec }: Come = {}) =>
  connect(t, server, {
    hello: { ...(token === "" ? {} : { token }), ...(session === undefined ? {} : { session }) },
    ...(codec === undefined ? {} : { codec }),
  });

export const joinWith = (client: WsClient, room = ROOM): Promise<ServerFrame<"joined">> =>
  client.ask("joined", { type: "join", room, presence: true });

/** A client that is in the room with presence. */
export async function enter(t: TestContext, server: Server, token: string, options: Come = {}): Promise<WsClient> {
  const client = await come(t, server, token, options);
  await joinWith(client);
  return client;
}

/** Who is there by what the client was told, as a client is to take it. */
export class Watched {
  readonly users = new Map<string, unknown>();
  count: number | undefined;
  isListed = false;
  /** In order: `+ann`, `-ann`; what was said of somebody who was there already, or was not, is marked `=`. */
  readonly changes: string[] = [];
  frames = 0;

  /** From now on; `joined`: what the client was given at the join. */
  constructor(client: WsClient, joined?: ServerFrame<"joined">) {
    if (joined?.members !== undefined) {
      this.#all(joined.members);
      this.isListed = true;
    }
    for (const frame of client.frames) this.#take(frame);
    client.watch((frame) => this.#take(frame));
  }

  #all(members: readonly Member[]): void {
    this.users.clear();
    for (const { user, info } of members) this.users.set(user, info);
  }

  #take(frame: ServerFrame): boolean {
    if (frame.type !== "presence") return frame.type === "heartbeat";
    this.frames++;
    this.count = frame.count;
    if (frame.countOnly === true) {
      this.users.clear();
      this.isListed = false;
    } else if (frame.all === true) {
      this.#all(frame.entered);
      this.isListed = true;
    } else {
      assert.ok(this.isListed, "a difference to a list that is not there");
      for (const { user, info } of frame.entered) {
        this.changes.push(`${this.users.has(user) ? "=" : "+"}${user}`);
        this.users.set(user, info);
      }
      for (const { user } of frame.left) this.changes.push(`${this.users.delete(user) ? "-" : "="}${user}`);
    }
    return true;
  }

  get names(): string {
    return [...this.users.keys()].sort().join(" ");
  }

  until(what: string, condition: () => boolean): Promise<void> {
    return eventually(condition).catch(() => {
      const is = `${this.names} (${this.count}) after ${this.changes.join(" ")}`;
      throw new Error(`waited too long for ${what}; there are ${is}`);
    });
  }

  /** Waits until it is told that these are there, by name. */
  sees(names: string): Promise<void> {
    return this.until(names, () => this.names === names);
  }
}

/** A client in the room with presence, and what it is told there. */
export async function watcher(t: TestContext, server: Server, token = "watcher", options: Come = {}) {
  const client = await come(t, server, token, options);
  const told = new Watched(client, await joinWith(client));
  return { client, told };
}
