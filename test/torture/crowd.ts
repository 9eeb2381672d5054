/** Thousands of clients in a few processes of their own: subscribers who write down what they see, and publishers. */
import { fileURLToPath } from "node:url";
import type { Position } from "../../protocol/positions.js";
import type { Scope } from "../support/services/scope.js";
import type { Collected, Order, Progress, PublishOrder, Sample, SubscribeOrder } from "./crowd-protocol.js";
import { unpack } from "./packed.js";
import { Part } from "./part.js";
import type { Records } from "./records.js";

const program = fileURLToPath(new URL("./crowd-program.js", import.meta.url));

export type Subscribing = { readonly count: number; readonly rooms: readonly string[] } & Partial<
  Pick<SubscribeOrder, "roomsEach" | "withinMs" | "resuming" | "presence">
>;
export type Publishing = {
  readonly count: number;
  /** Shared out among the publishers: each has its own, or where they are fewer, several publishers share one. */
  readonly rooms: readonly string[];
  readonly eventsPerSecond: number;
  readonly maxWaiting?: number;
  readonly manner?: PublishOrder["manner"];
  readonly padding?: number;
};

/** What all of its processes have collected. */
export type Told = Omit<Collected, "records"> & { readonly records: Records };

export class Crowd {
  readonly #parts: readonly Part<Order>[];
  #publishers = 0;

  private constructor(parts: readonly Part<Order>[]) {
    this.#parts = parts;
  }

  /** Starts its processes. Connections go to `urls` in turn. */
  static async start(scope: Scope, urls: readonly string[], processes = 1, maxDelayMs = 30_000): Promise<Crowd> {
    const crowd = new Crowd(
      Array.from({ length: processes }, () => new Part<Order>(scope, program, [String(maxDelayMs)])),
    );
    await crowd.route(urls);
    return crowd;
  }

  /** Where connections go from now on. */
  async route(urls: readonly string[]): Promise<void> {
    await this.#all(() => ({ type: "route", urls }));
  }

  #all<T>(orderFor: (part: number) => Order, takesMs = 0): Promise<T[]> {
    return Promise.all(this.#parts.map((part, index) => part.ask<T>(orderFor(index), takesMs)));
  }

  /** How much of `count` is for a part. */
  #share(count: number, part: number): number {
    return Math.floor(((part + 1) * count) / this.#parts.length) - Math.floor((part * count) / this.#parts.length);
  }

  /** Resolves when all have come; `joined` tells when they are in. */
  async subscribe(subscribing: Subscribing): Promise<void> {
    const { count, rooms, roomsEach = 1, withinMs = 0, resuming = 0, presence = false } = subscribing;
    let start = 0;
    const orders = this.#parts.map((_, index): Order => {
      const share = this.#share(count, index);
      // Each part goes on in the list of rooms where the one before it stops.
      const from = (start * roomsEach) % rooms.length;
      start += share;
      const turned = [...rooms.slice(from), ...rooms.slice(0, from)];
      return { type: "subscribe", count: share, rooms: turned, roomsEach, withinMs, resuming, presence };
    });
    await this.#all((part) => orders[part] as Order, withinMs);
  }

  /** Starts publishers, who go on until `stop`. Resolves with what tells their events from those of others. */
  async publish(publishing: Publishing): Promise<(one: { readonly publisher: number }) => boolean> {
    const { count, rooms, eventsPerSecond, maxWaiting = 50, manner = "sdk", padding = 0 } = publishing;
    const roomsOf = (publisher: number): string[] => {
      if (count >= rooms.length) return [rooms[publisher % rooms.length] as string];
      return rooms.filter((_, index) => index % count === publisher);
    };
    const before = this.#publishers;
    let first = 0;
    const orders = this.#parts.map((_, index): Order => {
      const share = this.#share(count, index);
      const theirs = Array.from({ length: share }, (_, each) => roomsOf(first + each));
      const order: PublishOrder = {
        ...{ type: "publish", count: share, firstPublisher: before + first, rooms: theirs },
        ...{ eventsPerSecond: (eventsPerSecond * share) / count, maxWaiting, manner, padding },
      };
      first += share;
      return order;
    });
    this.#publishers += count;
    await this.#all((part) => orders[part] as Order);
    return ({ publisher }) => publisher >= before && publisher < before + count;
  }

  /** Cuts the connections of a share of the subscribers, and keeps them away. */
  async cut(share: number, forMs: number): Promise<void> {
    await this.#all(() => ({ type: "cut", share, forMs }));
  }

  /** Forgets what the subscribers were told so far of who came and went. */
  async mark(): Promise<void> {
    await this.#all(() => ({ type: "mark" }));
  }

  /** The subscribers read nothing more from the connections they have, or go on reading. */
  async stall(stalled: boolean): Promise<void> {
    await this.#all(() => ({ type: "stall", stalled }));
  }

  /** Counts from now on, so often, on which node how many clients are; `collect` tells. */
  async sample(everyMs: number): Promise<void> {
    await this.#all(() => ({ type: "sample", everyMs }));
  }

  /** Publishes no more; what waits for an answer goes on waiting. */
  async stop(): Promise<void> {
    await this.#all(() => ({ type: "stop" }));
  }

  async progress(ends: { readonly [room: string]: Position } = {}): Promise<Progress> {
    const all = await this.#all<Progress>(() => ({ type: "progress", ends }));
    const sum = (of: (one: Progress) => number) => all.reduce((total, one) => total + of(one), 0);
    const newest: { [room: string]: Position & { readonly at: number } } = {};
    for (const [room, end] of all.flatMap((one) => Object.entries(one.ends))) {
      const known = newest[room];
      const isLater = known?.epoch === end.epoch ? end.offset > known.offset : end.at > (known?.at ?? 0);
      if (isLater) newest[room] = end;
    }
    return {
      waiting: sum((one) => one.waiting),
      behind: sum((one) => one.behind),
      joined: sum((one) => one.joined),
      deliveries: sum((one) => one.deliveries),
      connected: sum((one) => one.connected),
      published: sum((one) => one.published),
      members: sum((one) => one.members),
      ends: newest,
    };
  }

  /** All that was written down. The clients go on. */
  async collect(): Promise<Told> {
    const all = await this.#all<Collected>(() => ({ type: "collect" }));
    const records = all.map((one) => unpack(one.records));
    return {
      records: {
        published: records.flatMap((one) => one.published),
        logs: records.flatMap((one) => one.logs),
      },
      losses: all.flatMap((one) => one.losses),
      gapsMs: all.flatMap((one) => one.gapsMs),
      errors: all.flatMap((one) => one.errors),
      sockets: all.flatMap((one) => one.sockets),
      openMs: all.flatMap((one) => one.openMs),
      disturbed: all.reduce((total, one) => total + one.disturbed, 0),
      closes: totals(all.map((one) => one.closes)),
      stallMs: Math.max(...all.map((one) => one.stallMs)),
      samples: summed(all.map((one) => one.samples)),
      members: all.flatMap((one) => one.members),
      memberFrames: all.reduce((total, one) => total + one.memberFrames, 0),
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.end()));
  }
}

type Counts = { readonly [name: string]: number };

function totals(all: readonly Counts[]): Counts {
  const total: { [name: string]: number } = {};
  for (const [name, count] of all.flatMap((counts) => Object.entries(counts))) total[name] = (total[name] ?? 0) + count;
  return total;
}

/** What the processes counted at the same moments, taken together; moments that one of them missed are left out. */
function summed(all: readonly (readonly Sample[])[]): Sample[] {
  const others = all.slice(1).map((samples) => new Map(samples.map((one) => [one.at, one.nodes])));
  return (all[0] ?? []).flatMap(({ at, nodes }) => {
    const theirs = others.map((byMoment) => byMoment.get(at));
    return theirs.every((one) => one !== undefined) ? [{ at, nodes: totals([nodes, ...theirs]) }] : [];
  });
}
