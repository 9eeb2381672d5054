/** Who came and went in a room since its readers were told last: many changes, one frame. */
import type { PlainServerFrame } from "../../protocol/codec.js";
import type { View } from "../session/presence.js";
import type { Changed, Crowd } from "./crowd.js";

export type PresenceFrame = Extract<PlainServerFrame, { type: "presence" }>;

/** What became of a user since the last frame. */
type Change = {
  /** Whether all readers were told of it by then. */
  readonly was: boolean;
  /** Whether readers who came since were shown it, as there, and as not there. */
  wasShown: boolean;
  wasMissing: boolean;
  isInfo: boolean;
  /** Since which of the changes and views it is as it is now. */
  since: number;
};

/** The most that the members of a room may take that are listed, in bytes. */
const MAX_LIST_BYTES = 128 * 1024;
/** A list that was given up comes back once the room is so much smaller, so that it does not come and go. */
const BACK = 0.8;

/**
 * A reader is shown who is there as it comes, and told of differences from then on; it may be told of what it knows. Between
 * two frames a user may come and go and nobody be told; unless a reader came in between, and was shown the user.
 */
export class Changes {
  readonly #crowd: Crowd;
  readonly #maxListed: number;
  readonly #changes = new Map<string, Change>();
  #isListed: boolean;
  /** What `isListed` was, and the count, when readers were told last; `undefined`: they know nothing yet. */
  #toldListed: boolean | undefined;
  #toldCount: number | undefined;
  /** More came and went than is kept: readers are told of everyone. */
  #isAll = false;
  #sequence = 0;
  #viewedAt = 0;

  constructor(crowd: Crowd, maxListed: number) {
    this.#crowd = crowd;
    this.#maxListed = maxListed;
    this.#isListed = maxListed > 0;
  }

  /** Whether the members are listed, or only counted. */
  get isListed(): boolean {
    const part = this.#isListed ? 1 : BACK;
    const { users, bytes } = this.#crowd;
    this.#isListed = this.#maxListed > 0 && users <= this.#maxListed * part && bytes <= MAX_LIST_BYTES * part;
    return this.#isListed;
  }

  note(user: string, changed: Changed): void {
    if (this.#toldListed !== true) return;
    const isHere = changed !== "went";
    let change = this.#changes.get(user);
    if (change === undefined) {
      if (this.#changes.size >= this.#maxListed * 4) {
        this.#isAll = true;
        return;
      }
      const was = changed !== "came";
      change = { was, wasShown: false, wasMissing: false, isInfo: false, since: 0 };
      this.#changes.set(user, change);
    }
    // Who went and came back may have come with other info.
    if (changed !== "went") change.isInfo = true;
    if (changed !== "info") this.#expose(change, !isHere);
    change.since = ++this.#sequence;
  }

  /** Whether a reader came while it was as it was until now. */
  #expose(change: Change, wasHere: boolean): void {
    if (this.#viewedAt <= change.since) return;
    if (wasHere) change.wasShown = true;
    else change.wasMissing = true;
  }

  /** Who is there, for a reader that comes now. */
  view(): View {
    this.#viewedAt = ++this.#sequence;
    const { count } = this.#crowd;
    const { isListed } = this;
    // This reader knows more than the others: also what was undone again by the next frame is told.
    if (count !== this.#toldCount || isListed !== this.#toldListed) this.#toldCount = undefined;
    if (!isListed) {
      // Should they be listed again by the next frame, this reader has no list that differences could be made to.
      this.#isAll = true;
      return { members: undefined, count };
    }
    return { members: this.#everyone(), count };
  }

  #everyone() {
    return [...this.#crowd.names()].map((user) => this.#crowd.member(user));
  }

  /** All who read know what `view` says now: there are no others. */
  begin(): void {
    this.#reset();
    this.#toldListed = this.isListed;
    this.#toldCount = this.#crowd.count;
  }

  /** Those who read know nothing. */
  forget(): void {
    this.#reset();
    this.#toldListed = undefined;
    this.#toldCount = undefined;
  }

  #reset(): void {
    this.#changes.clear();
    this.#isAll = false;
    this.#viewedAt = 0;
  }

  /** What readers are to be told; `undefined`: nothing. */
  frame(room: string): PresenceFrame | undefined {
    const { count } = this.#crowd;
    const isListed = this.isListed;
    const wasListed = this.#toldListed;
    const wasCount = this.#toldCount;
    const isAll = this.#isAll;
    const { entered, left } = this.#differences();
    this.begin();
    const head = { type: "presence", room } as const;
    if (!isListed) {
      if (wasListed === false && wasCount === count) return undefined;
      return { ...head, entered: [], left: [], count, countOnly: true };
    }
    if (wasListed !== true || isAll) return { ...head, entered: this.#everyone(), left: [], count, all: true };
    if (entered.length === 0 && left.length === 0 && wasCount === count) return undefined;
    return { ...head, entered, left, count };
  }

  #differences() {
    const entered: { readonly user: string; readonly info?: unknown }[] = [];
    const left: { readonly user: string }[] = [];
    for (const [user, { was, wasShown, wasMissing, isInfo }] of this.#changes) {
      const isHere = this.#crowd.has(user);
      if (isHere && (!was || wasMissing || isInfo)) entered.push(this.#crowd.member(user));
      if (!isHere && (was || wasShown)) left.push({ user });
    }
    return { entered, left };
  }
}
