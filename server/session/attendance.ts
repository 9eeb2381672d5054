/** A session's part in who is in a room. */
import type { ServerCodec } from "../../protocol/codec.js";
import type { ServerFrame } from "../../protocol/frames.js";
import type { Room } from "../room/room.js";
import type { Link } from "./link.js";
import type { Presences, Roster, Seat, View, Who } from "./presence.js";

/** Every member is seen by the others; `isTold`: is told of them, too; `byHook`: it was the application that allowed that. */
type Parts = { readonly isTold: boolean; readonly byHook: boolean };

/** Whether somebody has gone for good, or may come back in a moment. */
export type Going = "leaves" | "is lost";

/** What whoever goes on from here is told where it is not told everything with something else. */
function counted(room: string, { count }: View): ServerFrame<"presence"> | undefined {
  return count === undefined ? undefined : { type: "presence", room, entered: [], left: [], count, countOnly: true };
}

type Reader = { readonly codec: ServerCodec } & Pick<Link, "join" | "leave">;

/** Holds the room's roster from the join on; from the cut on it has the session's seat, and its link reads what changes. */
export class Attendance {
  readonly isTold: boolean;
  /** Whether it was the application that let it be told. */
  readonly byHook: boolean;
  readonly #roster: Roster;
  #seat: Seat | undefined;
  #isReading = false;

  constructor(presences: Presences, room: Room, { isTold, byHook }: Parts) {
    this.isTold = isTold;
    this.byHook = byHook;
    this.#roster = presences.hold(room.name, room.rules);
  }

  /** Where it is not known yet who is there: resolves once it is. Never rejects. */
  ready(): Promise<void> | undefined {
    return this.isTold ? this.#roster.ready() : undefined;
  }

  /** Goes on in the place that the session has from an earlier join of the room, so that the others see nothing of it. */
  goOn(before: Attendance, link: Reader): void {
    this.#seat = before.#seat;
    before.#seat = undefined;
    before.end(link, "leaves");
  }

  /** Takes its place, at the cut; what it is told of the others then, where it is told. */
  enter(who: Who): View | undefined {
    this.#seat ??= this.#roster.enter(who);
    return this.isTold ? this.#roster.view() : undefined;
  }

  /** What follows on `joined` where that has not said it all: those who are not listed are counted. */
  afterJoined(room: string, view: View | undefined): ServerFrame<"presence"> | undefined {
    if (view?.members === undefined) return view && counted(room, view);
    const { members, count = members.length } = view;
    return count === members.length ? undefined : { type: "presence", room, entered: [], left: [], count };
  }

  /** What a client is told that was left out for a while; `undefined` where it is not told, or not yet. */
  news(room: string): ServerFrame<"presence"> | undefined {
    if (!this.isTold) return undefined;
    const view = this.#roster.view();
    const { members, count = members?.length } = view;
    if (members === undefined || count === undefined) return counted(room, view);
    return { type: "presence", room, entered: members, left: [], count, all: true };
  }

  /** In the turn in which it was told who is there: from now on its link has what changes. */
  read(link: Reader): void {
    if (!this.isTold || this.#isReading) return;
    this.#isReading = true;
    link.join(this.#roster.topic);
    this.#roster.addReader(link.codec);
  }

  /** The link is told nothing until it is told everything again. */
  pause(link: Reader): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    link.leave(this.#roster.topic);
    this.#roster.removeReader(link.codec);
  }

  /** The others are shown this of it from now on. */
  update(info: unknown): void {
    this.#seat?.update(info);
  }

  /** Once. */
  end(link: Reader, how: Going): void {
    this.pause(link);
    if (how === "leaves") this.#seat?.leave();
    else this.#seat?.lose();
    this.#seat = undefined;
    this.#roster.release();
  }
}
