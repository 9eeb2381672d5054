/** What a user's client is told of who is in a room. Runs in a crowd's process. */
import type { Room } from "../../client/index.js";
import type { MembersTold } from "./crowd-protocol.js";

export class CrowdMembers {
  readonly #user: string;
  readonly #room: Room;
  #entered: string[] = [];
  #left: string[] = [];
  /** The counts that it has been shown, one after the other. */
  #counts: number[] = [];

  constructor(user: string, room: Room) {
    this.#user = user;
    this.#room = room;
    room.onEnter(({ user }) => this.#entered.push(user));
    room.onLeave(({ user }) => this.#left.push(user));
    room.members.onChange(() => this.#look());
  }

  /** How many are in the room, as far as it was told. */
  get count(): number {
    return this.#room.members.count ?? 0;
  }

  #look(): void {
    const { count } = this;
    if (this.#counts.at(-1) !== count) this.#counts.push(count);
  }

  mark(): void {
    this.#entered = [];
    this.#left = [];
    this.#counts = [this.count];
  }

  told(): MembersTold {
    const counts = this.#counts;
    return {
      ...{ user: this.#user, room: this.#room.name, entered: this.#entered, left: this.#left },
      ...{ least: Math.min(...counts), most: Math.max(...counts) },
      rises: counts.filter((count, index) => index > 0 && count > (counts[index - 1] as number)).length,
      ...{ listed: this.#room.members.size, count: this.count },
    };
  }
}
