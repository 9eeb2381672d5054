/** A client's view of a room's members, put together as `docs/protocol.md` says. */
import assert from "node:assert/strict";
import type { Member, ServerFrame } from "../../protocol/frames.js";
import type { View } from "../../server/session/presence.js";

export class Reader {
  readonly members = new Map<string, unknown>();
  /** `undefined`: not known yet. */
  count: number | undefined;
  isListed = false;
  frames = 0;

  constructor({ members, count }: View) {
    this.count = count;
    if (members !== undefined) this.#list(members);
  }

  #list(members: readonly Member[]): void {
    this.isListed = true;
    this.members.clear();
    for (const { user, info } of members) this.members.set(user, info);
    assert.equal(this.members.size, members.length, "a user is listed once");
  }

  receive({ entered, left, count, all, countOnly }: ServerFrame<"presence">): void {
    this.frames++;
    this.count = count;
    if (countOnly) {
      assert.deepEqual([entered, left, all], [[], [], undefined], "a count comes alone");
      this.members.clear();
      this.isListed = false;
    } else if (all) {
      assert.deepEqual(left, [], "in a list of all nobody leaves");
      this.#list(entered);
    } else {
      assert.ok(this.isListed, "differences are told to those who have a list");
      for (const { user } of left) this.members.delete(user);
      for (const { user, info } of entered) this.members.set(user, info);
    }
    if (this.isListed) assert.ok(count >= this.members.size, "who is listed is counted");
  }
}
