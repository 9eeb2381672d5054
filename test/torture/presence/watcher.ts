/** A member of a room, over the wire, which writes down who it is told came and went. */
import type { ServerFrame } from "../../../protocol/frames.js";
import type { Scope } from "../../support/services/scope.js";
import { signed } from "../../support/sign.js";
import { WsClient } from "../../support/ws-client.js";

/** What changed in what it knows. Times are Unix milliseconds. */
export type Sight = {
  readonly at: number;
  /** Who was not known to be there before, and who was. */
  readonly entered: readonly string[];
  readonly left: readonly string[];
  readonly count: number;
};

export type WatcherOptions = { readonly url: string; readonly user: string; readonly room: string };

export class Watcher {
  readonly user: string;
  readonly room: string;
  readonly #client: WsClient;
  /** `undefined`: the members are only counted, or it is not known yet. */
  #users: Set<string> | undefined;
  #count: number | undefined;
  #sights: Sight[] = [];
  /** Frames of kind `presence` since the mark. */
  frames = 0;

  private constructor(client: WsClient, { user, room }: WatcherOptions) {
    this.#client = client;
    this.user = user;
    this.room = room;
  }

  /** Joins, and resolves once it knows who, or how many, are there; ends with the scope. */
  static async enter(scope: Scope, options: WatcherOptions): Promise<Watcher> {
    const { url, user, room } = options;
    const client = await WsClient.connect(url, { hello: { token: signed({ sub: user }) } });
    scope.after(async () => client.end());
    const watcher = new Watcher(client, options);
    client.watch((frame) => watcher.#take(frame));
    await client.ask("joined", { type: "join", room, presence: true });
    await client.until("who is in the room", () => watcher.#count !== undefined);
    return watcher;
  }

  /** Whether the frame needs no other look. */
  #take(frame: ServerFrame): boolean {
    if (frame.type === "joined" && frame.members !== undefined) {
      this.#users = new Set(frame.members.map(({ user }) => user));
      this.#count = this.#users.size;
    } else if (frame.type === "presence") this.#presence(frame);
    return frame.type !== "joined" && !("id" in frame);
  }

  #presence(frame: ServerFrame<"presence">): void {
    this.frames++;
    const before = this.#users;
    if (frame.countOnly === true) this.#users = undefined;
    else if (frame.all === true) this.#users = new Set(frame.entered.map(({ user }) => user));
    else if (before !== undefined) {
      this.#users = new Set(before);
      for (const { user } of frame.entered) this.#users.add(user);
      for (const { user } of frame.left) this.#users.delete(user);
    }
    this.#count = frame.count;
    const after = this.#users;
    const isKnown = before !== undefined && after !== undefined;
    this.#sights.push({
      at: Date.now(),
      entered: isKnown ? [...after].filter((user) => !before.has(user)) : [],
      left: isKnown ? [...before].filter((user) => !after.has(user)) : [],
      count: frame.count,
    });
  }

  /** Since the mark, the first thing being what it knew then. */
  get sights(): readonly Sight[] {
    return this.#sights;
  }

  mark(): void {
    this.#sights = [{ at: Date.now(), entered: [], left: [], count: this.count }];
    this.frames = 0;
  }

  /** Who is there; `undefined` where the members are only counted. */
  get users(): ReadonlySet<string> | undefined {
    return this.#users;
  }

  get count(): number {
    return this.#count ?? 0;
  }

  /** Throws where its connection has ended. */
  checkOpen(): void {
    const { closed } = this.#client;
    if (closed !== undefined) throw new Error(`${this.user} was closed with ${closed.code} ${closed.reason}`);
  }
}
