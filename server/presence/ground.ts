/** The rosters whose rooms one engine holds: their way to it, the leases there, and which nodes they go by. */
import { Payload } from "../../protocol/payload.js";
import type { Broker, LogRules } from "../engine/engine.js";
import type { Presence } from "../engine/presence.js";
import type { Log } from "../log.js";
import { membersRoom } from "../room/names.js";
import type { Fanout } from "../room/room.js";
import { walk } from "../room/walk.js";
import type { Clock } from "./clock.js";
import { Leases } from "./leases.js";
import { writeNote } from "./register.js";
import type { Roster, RosterCounts, RosterPort } from "./roster.js";

export type GroundOptions = {
  readonly engine: Presence;
  readonly instance: string;
  /** How nodes tell each other of changes: the log-less rooms of `membersRoom`. */
  readonly broker: Pick<Broker, "publish" | "subscribe" | "unsubscribe" | "problems">;
  readonly fanout: Fanout;
  /** How long the members of a node that gives no sign of life are believed to be there, in milliseconds. */
  readonly leaseMs: number;
  readonly checkMs: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly counts: RosterCounts;
  readonly newLife: () => number;
  readonly idle: (roster: Roster) => void;
};

/** Rooms in which nodes tell each other of members keep nothing. */
const RULES: LogRules = { history: { size: 0, ageMs: 1 }, keyWindowMs: 1 };

export class Ground {
  readonly engine: Presence;
  readonly leases: Leases;
  readonly port: RosterPort;
  readonly rosters = new Set<Roster>();
  readonly #options: GroundOptions;
  /** When each node was heard of first, and the rosters that go by it. */
  readonly #nodes = new Map<string, { readonly since: number; readonly rosters: Set<Roster> }>();

  constructor(options: GroundOptions) {
    this.#options = options;
    const { engine, instance, log, clock, leaseMs } = options;
    this.engine = engine;
    this.leases = new Leases({
      ...{ engine, instance, log, clock, leaseMs },
      heard: () => new Map([...this.#nodes].map(([node, { since }]) => [node, since])),
      gone: (node) => this.#gone(node),
      renamed: () => this.#each((roster) => roster.renamed()),
      back: () => this.refresh(),
    });
    this.port = this.#port();
  }

  #port(): RosterPort {
    const { broker, fanout, checkMs, leaseMs, clock, counts, newLife, idle } = this.#options;
    return {
      ...{ clock, engine: this.engine, leases: this.leases, fanout, counts, checkMs, newLife, idle },
      keepMs: leaseMs / 2,
      subscribe: (topic) => broker.subscribe(topic, RULES),
      unsubscribe: (topic) => broker.unsubscribe(topic),
      tell: async (room, note) => {
        const data = Payload.ofJson(writeNote(note));
        await broker.publish(membersRoom(room), { event: "said", data, from: note.node, at: Date.now() }, RULES);
      },
      heard: (roster, node, isHere) => this.#heard(roster, node, isHere),
    };
  }

  #heard(roster: Roster, node: string, isHere: boolean): void {
    const known = this.#nodes.get(node);
    if (isHere && known === undefined) {
      this.#nodes.set(node, { since: this.#options.clock.now(), rosters: new Set([roster]) });
    } else if (isHere) {
      known?.rosters.add(roster);
    } else if (known?.rosters.delete(roster) && known.rosters.size === 0) {
      this.#nodes.delete(node);
    }
  }

  #gone(node: string): void {
    const { rosters = [] } = this.#nodes.get(node) ?? {};
    void walk([...rosters], (roster) => roster.gone(node));
  }

  #each(act: (roster: Roster) => void): void {
    void walk([...this.rosters], act);
  }

  /** Notes may not have come. */
  refresh(): void {
    this.#each((roster) => roster.suspect());
  }
}
