/** What was forgotten, and when: by tags of what decisions are about. */
import type { Forget, Question } from "./decisions.js";

/** A word for whom or what a decision is about. */
export type Tag = string;

/** What every decision is about. */
export const ALL: Tag = "all";
const tenantTag = (tenant: string): Tag => `tenant ${tenant}`;
const userTag = (tenant: string, user: string): Tag => `user ${tenant} ${user}`;
const roomTag = (tenant: string, room: string): Tag => `room ${tenant} ${room}`;

/** Whom and what a decision is about. */
export type About = Pick<Question, "tenant" | "user" | "room">;

export function tagsOf({ tenant, user, room }: About): Tag[] {
  const tags = [ALL, tenantTag(tenant)];
  if (user !== undefined) tags.push(userTag(tenant, user));
  if (room !== undefined) tags.push(roomTag(tenant, room));
  return tags;
}

export function tagOf({ tenant, user, room }: Forget): Tag {
  if (user !== undefined) return userTag(tenant ?? "", user);
  if (room !== undefined) return roomTag(tenant ?? "", room);
  return tenant === undefined ? ALL : tenantTag(tenant);
}

/** How many places there are for tags: two of one place are forgotten together, which costs a question and nothing else. */
const PLACES = 4096;

/** FNV-1a. */
function placeOf(tag: Tag): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < tag.length; index++) hash = Math.imul(hash ^ tag.charCodeAt(index), 0x01000193);
  return (hash ^ (hash >>> 16)) & (PLACES - 1);
}

/** Where a decision's tags are. */
export type Places = readonly number[];

/**
 * Counts what this node was told to forget. Who asks notes the count before; the answer holds as long as none of its tags
 * was forgotten since. So an answer that is under way while it is forgotten is found out too, also where only the answer
 * says whom it is about.
 */
export class Forgotten {
  readonly #at = new Float64Array(PLACES);
  #count = 0;

  /** How often something was forgotten. */
  get count(): number {
    return this.#count;
  }

  forget(tag: Tag): void {
    this.#at[placeOf(tag)] = ++this.#count;
  }

  forgetAll(): void {
    this.forget(ALL);
  }

  placesOf(about: About): Places {
    return tagsOf(about).map(placeOf);
  }

  /** Whether one of them was forgotten since the count was `count`. */
  isSince(count: number, places: Places): boolean {
    return count < this.#count && places.some((place) => (this.#at[place] as number) > count);
  }
}
