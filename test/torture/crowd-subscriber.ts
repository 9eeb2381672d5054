/** A user's client in some rooms, which writes down all that it is given. Runs in a crowd's process. */
import type { Client, Position, Room } from "../../client/index.js";
import { CrowdMembers } from "./crowd-members.js";
import type { MembersTold } from "./crowd-protocol.js";
import { type PackedLog, packEntry, type Words } from "./packed.js";
import type { Entry } from "./records.js";

/** The data of every event. */
export type Value = { readonly p: number; readonly n: number; readonly r: string; readonly filling?: string };

type Watched = { readonly room: Room; readonly entries: number[]; position: Position | undefined; resetAt: number };
type Watching = { readonly since?: Position | undefined; readonly presence?: boolean };

export class Subscriber {
  readonly #name: string;
  readonly #epochs: Words;
  readonly #watched: Watched[] = [];
  #lostAt: number | undefined;
  readonly #members: CrowdMembers[] = [];
  readonly gapsMs: number[] = [];
  deliveries = 0;

  constructor(name: string, client: Client, epochs: Words) {
    this.#name = name;
    this.#epochs = epochs;
    client.on("state", (state) => {
      if (state.status === "waiting") this.#lostAt ??= Date.now();
    });
  }

  /** Joins, from then on or from a position on; with `presence`, who is in the room is written down as well. */
  watch(room: Room, { since, presence = false }: Watching): void {
    if (presence) this.#members.push(new CrowdMembers(this.#name, room));
    const watched: Watched = { room, entries: [], position: since, resetAt: 0 };
    this.#watched.push(watched);
    if (since !== undefined) this.#write(watched, { type: "joined", at: Date.now(), position: since });
    room.onState((state) => {
      if (state.status !== "joined") return;
      this.#write(watched, { type: "joined", at: Date.now(), position: state.position });
      this.#back();
    });
    room.onReset(({ position }) => {
      watched.resetAt = Date.now();
      this.#write(watched, { type: "reset", at: watched.resetAt, position });
    });
    room.onAny(({ data, offset }) => {
      const { p, n, r } = data as Value;
      const { epoch } = room.position ?? { epoch: "" };
      // What is of another room was never published here, whatever its numbers.
      const publisher = r === room.name ? p : -1 - p;
      this.deliveries++;
      const entry = { epoch, offset: offset ?? 0, publisher, counter: n };
      this.#write(watched, { type: "event", at: Date.now(), ...entry });
    });
  }

  get joined(): number {
    return this.#watched.filter(({ room }) => room.state.status === "joined").length;
  }

  #write(watched: Watched, entry: Entry): void {
    watched.entries.push(...packEntry(entry, this.#epochs));
    if (entry.type !== "event") watched.position = entry.position;
    else if (entry.epoch !== "") watched.position = { epoch: entry.epoch, offset: entry.offset };
  }

  #back(): void {
    if (this.#lostAt === undefined || this.joined < this.#watched.length) return;
    this.gapsMs.push(Date.now() - this.#lostAt);
    this.#lostAt = undefined;
  }

  /** Of all rooms together, as far as it was told. */
  get members(): number {
    return this.#members.reduce((sum, { count }) => sum + count, 0);
  }

  mark(): void {
    for (const members of this.#members) members.mark();
  }

  membersTold(): MembersTold[] {
    return this.#members.map((members) => members.told());
  }

  /** In how many rooms it is not yet where the log's end is known to be. */
  behind(ends: { readonly [room: string]: Position & { readonly at?: number } }): number {
    return this.#watched.filter(({ room, position, resetAt }) => {
      const end = ends[room.name];
      if (end === undefined || resetAt > (end.at ?? Number.POSITIVE_INFINITY)) return false;
      return position?.epoch !== end.epoch || position.offset < end.offset;
    }).length;
  }

  logs(): PackedLog[] {
    return this.#watched.map(({ room, entries }) => {
      return { subscriber: this.#name, room: room.name, stayed: true, entries };
    });
  }
}
