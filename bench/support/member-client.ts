/** A client with a user, which joins rooms and counts the frames that tell it who is there. */

import type { ClientFrame } from "../../protocol/frames.js";
import { json } from "../../protocol/index.js";
import { dialectOf } from "./dialects.js";
import { RawClient } from "./raw-client.js";

const PRESENCE = '{"type":"presence"';
const JOINED = '{"type":"joined"';
const LEFT = '{"type":"left"';

export class MemberClient {
  readonly #client: RawClient;
  #answered: ((trouble?: string) => void) | undefined;
  /** Frames that told who is there, the time when the last came, and how many it said there are. */
  frames = 0;
  /** How many of them were for it alone, as it came: one where `joined` does not say who is there. */
  ownFrames = 0;
  lastAt = 0;
  count = 0;
  /** When it was in the room that it joined last, by `performance.now()`. */
  joinedAt = 0;

  /** Resolves once it has been welcomed. */
  static async open(port: number, token: string): Promise<MemberClient> {
    const hello = json.encode({ type: "hello", id: 1, token }) as string;
    const until = (payload: Buffer): boolean => payload.includes('"type":"welcome"');
    const dialect = { ...dialectOf("roomcast-json"), opening: () => [{ send: [hello], until }] };
    let member: MemberClient | undefined;
    const client = await RawClient.open({
      ...{ port, role: "visitor", dialect },
      onOther: (payload) => {
        if (member !== undefined) member.#take(payload);
      },
      onTrouble: (words) => {
        if (member !== undefined) member.#answer(words);
      },
    });
    member = new MemberClient(client);
    return member;
  }

  private constructor(client: RawClient) {
    this.#client = client;
  }

  #answer(trouble?: string): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(trouble);
  }

  #take(payload: Buffer): void {
    const head = payload.toString("latin1", 0, PRESENCE.length);
    if (head === PRESENCE) {
      this.frames++;
      this.lastAt = performance.now();
      this.count = (JSON.parse(payload.toString()) as { count: number }).count;
    } else if (head.startsWith(JOINED)) {
      this.joinedAt = performance.now();
      this.ownFrames = payload.includes('"members":[') ? 0 : 1;
      this.#answer();
    } else if (head.startsWith(LEFT)) this.#answer();
  }

  #ask(frame: ClientFrame): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = (trouble) => (trouble === undefined ? resolve() : reject(new Error(trouble)));
      this.#client.send(json.encode(frame));
    });
  }

  /** Counts anew. Rejects where it is refused. */
  join(room: string, presence: boolean): Promise<void> {
    this.frames = this.count = this.lastAt = 0;
    return this.#ask({ type: "join", id: 2, room, ...(presence ? { presence } : {}) });
  }

  leave(room: string): Promise<void> {
    return this.#ask({ type: "leave", id: 3, room });
  }

  close(): void {
    this.#client.close();
  }
}
