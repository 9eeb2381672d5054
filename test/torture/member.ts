/** A client with a token, over the wire: it renews where it is asked to, and writes down what it is given and when it is out. */
import { setTimeout as pause } from "node:timers/promises";
import type { ServerFrame } from "../../protocol/frames.js";
import type { Position } from "../../protocol/positions.js";
import type { Scope } from "../support/services/scope.js";
import { WsClient } from "../support/ws-client.js";
import type { Value } from "./crowd-subscriber.js";
import type { Entry, SubscriberLog } from "./records.js";

export type MemberOptions = {
  readonly name: string;
  readonly url: string;
  /** Makes a token: for the hello, and whenever one is asked for. */
  readonly token: () => string;
  readonly rooms: readonly string[];
};

type Seen = {
  readonly entries: Entry[];
  position: Position | undefined;
  outAt: number | undefined;
  lastEventAt: number;
};

/** How often one that was refused for a moment asks again, in milliseconds. */
const AGAIN_MS = 50;

export class Member {
  readonly #options: MemberOptions;
  readonly #client: WsClient;
  readonly #seen = new Map<string, Seen>();
  /** The token it came with. */
  readonly #token: string;
  #id = 1_000_000;
  renewals = 0;
  /** Events of rooms that it had been told to be out of. */
  eventsAfter = 0;

  private constructor(client: WsClient, options: MemberOptions, token: string) {
    this.#client = client;
    this.#options = options;
    this.#token = token;
  }

  /** Connects and joins; ends with the scope. */
  static async enter(scope: Scope, options: MemberOptions): Promise<Member> {
    const token = options.token();
    const client = await WsClient.connect(options.url, { hello: { token } });
    scope.after(async () => client.end());
    const member = new Member(client, options, token);
    client.watch((frame) => member.#take(frame));
    for (const room of options.rooms) await client.ask("joined", { type: "join", room });
    return member;
  }

  get rooms(): readonly string[] {
    return this.#options.rooms;
  }

  /** Whether the frame needs no other look. */
  #take(frame: ServerFrame): boolean {
    switch (frame.type) {
      case "joined": {
        const { position } = frame;
        const joined: Entry = { type: "joined", at: Date.now(), position };
        this.#seen.set(frame.room, { entries: [joined], position, outAt: undefined, lastEventAt: Date.now() });
        return false;
      }
      case "events":
        this.#events(frame);
        return true;
      case "reset": {
        const seen = this.#seen.get(frame.room);
        seen?.entries.push({ type: "reset", at: Date.now(), position: frame.position });
        return true;
      }
      case "removed": {
        const seen = this.#seen.get(frame.room);
        if (seen !== undefined) seen.outAt = Date.now();
        return true;
      }
      case "renew":
        this.#client.send({ type: "renew", id: this.#id++, token: this.#options.token() });
        return true;
      case "renewed":
        this.renewals++;
        return true;
      default:
        return frame.type === "heartbeat";
    }
  }

  #events({ room, events }: ServerFrame<"events">): void {
    const seen = this.#seen.get(room);
    if (seen === undefined) return;
    const at = Date.now();
    const epoch = seen.position?.epoch ?? "";
    for (const { offset = 0, data } of events) {
      if (seen.outAt !== undefined) this.eventsAfter++;
      const { p, n, r } = data as Value;
      seen.entries.push({ type: "event", at, epoch, offset, publisher: r === room ? p : -1 - p, counter: n });
      seen.position = { epoch, offset };
      seen.lastEventAt = at;
    }
  }

  /** Whether it was told to be out of the room, or its connection has ended. */
  isOut(room: string): boolean {
    return this.#client.closed !== undefined || this.#seen.get(room)?.outAt !== undefined;
  }

  /** Unix milliseconds. */
  lastEventAt(room: string): number {
    return this.#seen.get(room)?.lastEventAt ?? 0;
  }

  /** Whether it has seen everything up to there, but for rooms that it has lost. */
  isAt(ends: { readonly [room: string]: Position }, lost: readonly string[]): boolean {
    return this.rooms.every((room) => {
      const end = ends[room];
      return lost.includes(room) || end === undefined || (this.#seen.get(room)?.position?.offset ?? 0) >= end.offset;
    });
  }

  /** Whether what it came with lets it into the room of that node, by now. */
  async getsIn(scope: Scope, url: string, room: string): Promise<boolean> {
    for (;;) {
      const client = await WsClient.connect(url, { hello: false });
      scope.after(async () => client.end());
      try {
        const welcome = await client.request({ type: "hello", token: this.#token });
        if (welcome.type !== "welcome") return false;
        const joined = await client.request({ type: "join", room });
        if (joined.type !== "error" || joined.retryMs === undefined) return joined.type === "joined";
      } finally {
        client.end();
      }
      await pause(AGAIN_MS);
    }
  }

  /** What it saw of each room; it stayed in all but the lost ones. */
  logs(lost: readonly string[]): SubscriberLog[] {
    return [...this.#seen].map(([room, { entries }]) => {
      return { subscriber: this.#options.name, room, entries, stayed: !lost.includes(room) };
    });
  }
}
