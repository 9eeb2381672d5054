import assert from "node:assert/strict";
import type { NewEvent } from "../../protocol/event.js";
import type { ServerFrame, WireEvent } from "../../protocol/frames.js";
import { json } from "../../protocol/json.js";
import { jsonServer } from "../../protocol/json-server.js";
import { Payload } from "../../protocol/payload.js";
import type { Position } from "../../protocol/positions.js";
import type { Broker, Deliver, History, Suspect } from "../../server/engine/engine.js";
import { MemoryBroker, MemoryLog } from "../../server/engine/memory.js";
import type { Fanout, Room } from "../../server/room/room.js";
import { Rooms } from "../../server/room/rooms.js";
import type { KindRules } from "../../server/room/rules.js";
import { type Cut, stitch } from "../../server/room/stitch.js";
import type { Random } from "./random.js";
import type { Schedule } from "./schedule.js";

export const ROOM = "chat:1";

export type Faults = {
  /** The share of deliveries that are lost on their way to a node. */
  readonly loss: number;
  /** Whether deliveries may overtake each other. */
  readonly reorder: boolean;
};

/** Makes a node's broker on the log of all nodes. */
export type OpenLog = (deliver: Deliver) => Broker;

/** A broker on a shared in-memory log whose deliveries and answers take their time, get lost, and overtake each other. */
class FaultyBroker implements Broker {
  readonly #broker: Broker;
  readonly #schedule: Schedule;
  readonly #onWay: (() => void)[] = [];

  constructor(open: OpenLog, deliver: Deliver, schedule: Schedule, random: Random, faults: () => Faults) {
    this.#schedule = schedule;
    this.#broker = open((room, epoch, events, previous) => {
      if (random.chance(faults().loss)) return;
      const arrive = () => deliver(room, epoch, events, previous);
      if (faults().reorder) {
        schedule.later(arrive);
      } else {
        // One after the other: whichever is picked, the first of those on the way arrives.
        this.#onWay.push(arrive);
        schedule.later(() => this.#onWay.shift()?.());
      }
    });
  }

  publish(room: string, event: NewEvent, rules: KindRules): Promise<Position | undefined> {
    return this.#broker.publish(room, event, rules);
  }

  subscribe(room: string, rules: KindRules): Promise<void> {
    return this.#schedule.call(() => this.#broker.subscribe(room, rules));
  }

  unsubscribe(room: string): Promise<void> {
    return this.#broker.unsubscribe(room);
  }

  history(room: string, range: object, limit: number, rules: KindRules): Promise<History> {
    return this.#schedule.call(() => this.#broker.history(room, range, Math.min(limit, 7), rules));
  }

  problems(): readonly string[] {
    return this.#broker.problems();
  }

  close(): Promise<void> {
    return this.#broker.close();
  }
}

/** A node: its rooms, and the links in each. */
export class SimulatedNode implements Fanout {
  readonly rooms: Rooms;
  readonly links = new Set<Subscriber>();
  #suspect: Suspect = () => undefined;

  constructor(open: OpenLog, rules: KindRules, schedule: Schedule, random: Random, faults: () => Faults) {
    this.rooms = new Rooms({
      openBroker: (deliver, suspect) => {
        this.#suspect = suspect;
        return new FaultyBroker(open, deliver, schedule, random, faults);
      },
      fanout: this,
      rulesFor: () => rules,
      lingerMs: 60_000,
      checkMs: 0,
    });
  }

  /** As an engine whose connection was away. */
  suspect(): void {
    this.#suspect(ROOM);
  }

  /** As uWebSockets.js does it: to whoever is subscribed at this moment. */
  publish(_room: string, _codec: unknown, frame: string | Uint8Array): void {
    const parsed = json.decode(frame) as ServerFrame;
    for (const link of this.links) link.receive(parsed);
  }
}

/** A truth to hold subscribers against: what was published where. */
export class Truth {
  readonly #values = new Map<string, unknown>();
  readonly #padding: string;
  #count = 0;

  /** How often who resumed nothing was given the latest event. */
  latest = 0;
  readonly #givesLatest: boolean;

  /** `padding` makes events so large that a few of them fill a page; `givesLatest`: who resumes nothing gets one. */
  constructor(padding = "", givesLatest = false) {
    this.#padding = padding;
    this.#givesLatest = givesLatest;
  }

  async publish(node: SimulatedNode, rules: KindRules): Promise<void> {
    const value = `${++this.#count}${this.#padding}`;
    const event = { event: "e", data: Payload.ofValue(value), at: Date.now() };
    const position = (await node.rooms.broker.publish(ROOM, event, rules)) as Position;
    this.#values.set(`${position.epoch}/${position.offset}`, value);
    this.placed(position);
  }

  /** An event has this place in the log. */
  protected placed(_position: Position): void {}

  check(epoch: string, event: WireEvent): void {
    assert.equal(event.data, this.#values.get(`${epoch}/${event.offset}`), "an event that was not published there");
  }

  /** Holds that who resumes nothing gets the event at its position, or none. */
  begins(position: Position | undefined, events: readonly WireEvent[]): void {
    const name = `${position?.epoch}/${position?.offset}`;
    const latest = this.#givesLatest && this.#values.has(name) ? [position?.offset] : [];
    const given = events.map(({ offset }) => offset);
    assert.deepEqual(given, latest, "a recovery is never partial; who recovers nothing gets the latest event at most");
    for (const event of events) this.check(position?.epoch ?? "", event);
    this.latest += events.length;
  }

  /** Holds that a reader at `end` gets this event next. */
  follows(end: number, { offset }: WireEvent): void {
    assert.equal(offset, end + 1, "no hole, no repeat");
  }

  /** Holds that a run that begins after `previous` goes on for a reader at `end`. */
  goesOn(previous: number | undefined, end: number): void {
    assert.equal(previous, end, "the run follows on what was seen");
  }

  /** Holds that a reader who has seen all up to `end` is at the answer's position. */
  isAt(position: Position | undefined, end: number): void {
    assert.equal(position?.offset, end, "the answer's position is that of its last event");
  }
}

/** A client as the protocol describes one, that holds every frame against the promise. */
export class Subscriber {
  readonly #truth: Truth;
  position: Position | undefined;
  resets = 0;
  recovered = 0;
  seen = 0;
  /** What there is to undo when it goes. */
  #membership: { node: SimulatedNode; room: Room } | undefined;
  #attempt = 0;

  constructor(truth: Truth) {
    this.#truth = truth;
  }

  get joined(): boolean {
    return this.#membership !== undefined;
  }

  /** Joins, as a session does it, from where it was. */
  async join(node: SimulatedNode): Promise<void> {
    this.leave();
    const attempt = this.#attempt;
    const room = await node.rooms.hold(ROOM);
    const gone = () => this.#attempt !== attempt;
    let entered = false;
    let reading = false;
    if (!gone())
      await stitch(room, this.position, {
        get gone() {
          return gone();
        },
        pageBytes: 262_144,
        // Every other time it has not read yet, so that time passes between any two pages, and before the cut.
        ready: () => {
          reading = !reading;
          return reading ? Promise.resolve() : undefined;
        },
        page: (events, previous) => {
          if (!gone())
            this.receive(json.decode(jsonServer.encodeEvents({ type: "events", room: ROOM, previous }, events)));
        },
        cut: (cut) => {
          entered = true;
          this.#enter(node, room, cut);
        },
      });
    if (!entered) node.rooms.release(room);
  }

  #enter(node: SimulatedNode, room: Room, cut: Cut): void {
    const frame = { type: "joined", id: 1, room: ROOM, recovered: cut.recovered } as const;
    const head = cut.position === undefined ? frame : { ...frame, position: cut.position };
    this.receive(json.decode(jsonServer.encodeEvents(head, cut.events)));
    room.enter(jsonServer);
    node.links.add(this);
    this.#membership = { node, room };
  }

  leave(): void {
    this.#attempt++;
    if (this.#membership === undefined) return;
    const { node, room } = this.#membership;
    this.#membership = undefined;
    node.links.delete(this);
    room.exit(jsonServer);
    node.rooms.release(room);
  }

  receive(frame: ServerFrame | undefined): void {
    if (frame?.type === "joined") this.#joined(frame);
    else if (frame?.type === "events") this.#run(frame.previous, frame.events);
    else if (frame?.type === "reset") {
      this.resets++;
      this.position = frame.position;
    }
  }

  #joined(frame: ServerFrame<"joined">): void {
    if (frame.recovered) {
      this.recovered++;
      this.#run(this.position?.offset, frame.events);
      assert.equal(this.position?.epoch, frame.position?.epoch);
      this.#truth.isAt(frame.position, this.position?.offset ?? 0);
      this.position = frame.position;
    } else {
      this.#truth.begins(frame.position, frame.events);
      this.position = frame.position;
    }
  }

  #run(previous: number | undefined, events: readonly WireEvent[]): void {
    const { epoch, offset } = this.position as Position;
    this.#truth.goesOn(previous, offset);
    let end = offset;
    for (const event of events) {
      this.#truth.follows(end, event);
      this.#truth.check(epoch, event);
      end = event.offset ?? 0;
      this.seen++;
    }
    this.position = { epoch, offset: end };
  }
}

/** What subscribers went through. */
export type Tally = { recovered: number; resets: number; seen: number };

/** A cluster of nodes on one log, all of whose ways are in the hands of a schedule. */
export class SimulatedCluster {
  readonly log = new MemoryLog({ maxBytes: 1 << 24 });
  readonly nodes: readonly SimulatedNode[];
  readonly rules: KindRules;
  faults: Faults;

  /** On a log of its own in memory, where `open` leads to no other. */
  constructor(
    count: number,
    rules: KindRules,
    faults: Faults,
    schedule: Schedule,
    random: Random,
    open: OpenLog = (deliver) => new MemoryBroker(this.log, deliver),
  ) {
    this.rules = rules;
    this.faults = faults;
    const make = () => new SimulatedNode(open, rules, schedule, random, () => this.faults);
    this.nodes = Array.from({ length: count }, make);
  }

  /** Holds that all of them are at the log's end, and adds to the tally what they went through. */
  async assertAtEnd(subscribers: readonly Subscriber[], schedule: Schedule, tally: Tally): Promise<void> {
    const node = this.nodes[0] as SimulatedNode;
    const reading = node.rooms.broker.history(ROOM, {}, 0, this.rules);
    await schedule.drain(100);
    const { position } = await reading;
    for (const subscriber of subscribers) {
      assert.deepEqual(subscriber.position, position, "everyone is at the log's end");
      tally.recovered += subscriber.recovered;
      tally.resets += subscriber.resets;
      tally.seen += subscriber.seen;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.rooms.close()));
  }
}

/** Subscribers of a cluster, who come and go; `failures` has what went wrong with what `go` was given. */
export function crowdOf(cluster: SimulatedCluster, truth: Truth, random: Random) {
  const subscribers = Array.from({ length: 3 }, () => new Subscriber(truth));
  const past: (Position | undefined)[] = [undefined];
  const failures: unknown[] = [];
  const go = (promise: Promise<void>): void => {
    promise.catch((error: unknown) => failures.push(error));
  };
  /** Many come back at once, each from where it or another was at some time. */
  const storm = (): void => {
    for (let count = 0; count < 6; count++) {
      const subscriber = new Subscriber(truth);
      subscriber.position = random.pick(past);
      subscribers.push(subscriber);
      go(subscriber.join(random.pick(cluster.nodes)));
    }
  };
  return { subscribers, past, failures, go, storm };
}
