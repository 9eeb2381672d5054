/**
 * The judge of the torture table: holds what was seen against what was published. Pure.
 *
 * A `reset` excuses exactly what it covers: what the subscriber had not seen of the log that it leaves, and what lies
 * before the position at which it goes on. Everything after that position is owed again. A reset that leads back within
 * an epoch says that the log has lost what was between (a failover without its last events); that part is void, and
 * excused for those who were told so, not for others.
 */
import type { Position } from "../../protocol/positions.js";
import type { Entry, Published, Records, SubscriberLog } from "./records.js";

/** Counts of faults. All but `excused` and `repeated` break a promise. */
export type Faults = {
  /** Acknowledged, never seen by a subscriber who was owed it, and no reset covers it: pairs of subscriber and event. */
  lost: number;
  /** Seen twice by one subscriber, and the log that had it the first time was not lost meanwhile. */
  dup: number;
  /** Seen after one that came later in the log, or later from the same publisher. */
  inverted: number;
  /** Seen, but never published, published in another room, or refused. */
  phantom: number;
  /** Places of a log (room, epoch, offset) at which two different events were seen or acknowledged. */
  divergent: number;
  /** Places in a subscriber's run where it was given less than the log had, or another log, without a word. */
  holes: number;
  /** Acknowledged and not seen, and a reset said so: pairs of subscriber and event. */
  excused: number;
  /** Seen again after a reset: its publisher had no answer, and the part of the log that knew its key is lost. */
  repeated: number;
};

export type Findings = Faults & {
  readonly published: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly subscriptions: number;
  readonly deliveries: number;
  readonly resets: number;
  /** The first few faults of each sort, in words. */
  readonly examples: readonly string[];
};

type Fault = keyof Faults;
const MOST_EXAMPLES = 3;

class Tally {
  readonly counts: Faults = {
    ...{ lost: 0, dup: 0, inverted: 0, phantom: 0, divergent: 0, holes: 0, excused: 0, repeated: 0 },
  };
  readonly examples: string[] = [];

  add(fault: Fault, words: () => string): void {
    if (++this.counts[fault] <= MOST_EXAMPLES) this.examples.push(`${fault}: ${words()}`);
  }
}

const keyOf = (value: { readonly publisher: number; readonly counter: number }): string =>
  `${value.publisher}#${value.counter}`;

/** What is known of one epoch of a room's log, from whoever told: offset → event. */
class KnownLog {
  readonly #events = new Map<number, string>();
  readonly #divergent = new Set<number>();
  readonly #void: (readonly [number, number])[] = [];
  #offsets: readonly number[] | undefined;

  /** Whether the place holds this event, as far as is known; `false` once for each place that does not. */
  note(offset: number, key: string): boolean {
    const known = this.#events.get(offset);
    if (known === undefined) this.#events.set(offset, key);
    if (known === undefined || known === key || this.#divergent.has(offset)) return true;
    this.#divergent.add(offset);
    return false;
  }

  /** All offsets that anyone has told of, rising. */
  get offsets(): readonly number[] {
    this.#offsets ??= [...this.#events.keys()].sort((a, b) => a - b);
    return this.#offsets;
  }

  at(offset: number): string | undefined {
    return this.#events.get(offset);
  }

  /** Someone who had come to `end` was led back to `start`. */
  voidBetween(start: number, end: number): void {
    this.#void.push([start, end]);
  }

  isVoid(offset: number): boolean {
    return this.#void.some(([start, end]) => offset > start && offset <= end);
  }
}

/** A stretch of one epoch in which a subscriber was promised every event. */
type Run = {
  readonly epoch: string;
  /** The offset after which it begins. */
  readonly from: number;
  /** As far as it is owed: what it has seen, or without end for one who stayed. */
  to: number;
  readonly offsets: number[];
};

type RoomTruth = {
  readonly published: Map<string, Published>;
  readonly acknowledged: Published[];
  readonly epochs: Map<string, KnownLog>;
};

/** Judges a whole run. */
export function check(records: Records): Findings {
  const tally = new Tally();
  const rooms = new Map<string, RoomTruth>();
  const truthOf = (room: string): RoomTruth => {
    const truth = rooms.get(room) ?? { published: new Map(), acknowledged: [], epochs: new Map() };
    rooms.set(room, truth);
    return truth;
  };
  for (const one of records.published) notePublished(truthOf(one.room), one, tally);
  for (const log of records.logs) noteSeen(truthOf(log.room), log, tally);
  for (const log of records.logs) new LogCheck(truthOf(log.room), log, tally).run();
  const outcomes = (outcome: string) => records.published.filter((one) => one.outcome === outcome).length;
  const entries = (type: Entry["type"]) =>
    records.logs.reduce((sum, log) => sum + log.entries.filter((entry) => entry.type === type).length, 0);
  return {
    ...tally.counts,
    published: records.published.length,
    acknowledged: outcomes("acknowledged"),
    refused: outcomes("refused"),
    unknown: outcomes("unknown"),
    subscriptions: records.logs.length,
    deliveries: entries("event"),
    resets: entries("reset"),
    examples: tally.examples,
  };
}

function note(truth: RoomTruth, room: string, epoch: string, offset: number, key: string, tally: Tally): void {
  const known = truth.epochs.get(epoch) ?? new KnownLog();
  truth.epochs.set(epoch, known);
  if (known.note(offset, key)) return;
  tally.add("divergent", () => `${room} ${epoch}@${offset} is both ${known.at(offset)} and ${key}`);
}

function notePublished(truth: RoomTruth, one: Published, tally: Tally): void {
  truth.published.set(keyOf(one), one);
  if (one.outcome !== "acknowledged") return;
  truth.acknowledged.push(one);
  const { position } = one;
  if (position !== undefined) note(truth, one.room, position.epoch, position.offset, keyOf(one), tally);
}

function noteSeen(truth: RoomTruth, log: SubscriberLog, tally: Tally): void {
  let at: Position | undefined;
  for (const entry of log.entries) {
    const next = entry.type === "event" ? entry : entry.position;
    if (next === undefined || next.epoch === "") continue;
    if (entry.type === "event") note(truth, log.room, entry.epoch, entry.offset, keyOf(entry), tally);
    if (entry.type === "reset" && isBack(at, next)) truth.epochs.get(next.epoch)?.voidBetween(next.offset, at.offset);
    at = next;
  }
}

/** Whether the way from one position to the next leads back within an epoch. */
const isBack = (from: Position | undefined, to: Position): from is Position =>
  from !== undefined && from.epoch === to.epoch && to.offset < from.offset;

type EventEntry = Extract<Entry, { type: "event" }>;

/** Goes through what one subscriber saw of one room. */
class LogCheck {
  readonly #truth: RoomTruth;
  readonly #log: SubscriberLog;
  readonly #tally: Tally;
  readonly #runs: Run[] = [];
  readonly #resets: number[] = [];
  /** Events seen, and in which generation last. */
  readonly #seen = new Map<string, number>();
  /** Counts the losses of a log, or of its end, that this subscriber was told of or noticed. */
  #generation = 0;
  /** The furthest counter seen of each publisher, of what was acknowledged. */
  readonly #furthest = new Map<number, number>();

  constructor(truth: RoomTruth, log: SubscriberLog, tally: Tally) {
    this.#truth = truth;
    this.#log = log;
    this.#tally = tally;
  }

  run(): void {
    for (const entry of this.#log.entries) {
      if (entry.type === "event") this.#event(entry);
      else if (entry.type === "reset") {
        this.#resets.push(entry.at);
        this.#reset(entry.position);
      } else this.#joined(entry.position);
    }
    const last = this.#runs.at(-1);
    if (last !== undefined && this.#log.stayed) last.to = Number.POSITIVE_INFINITY;
    for (const run of this.#runs) this.#lookForHoles(run);
    this.#lookForLosses();
  }

  #tell(fault: Fault, words: string): void {
    this.#tally.add(fault, () => `${this.#log.subscriber} in ${this.#log.room}: ${words}`);
  }

  #reset(position: Position | undefined): void {
    const run = this.#runs.at(-1);
    const isOfSameLog = run !== undefined && run.epoch === position?.epoch && position.offset >= run.to;
    if (!isOfSameLog) this.#generation++;
    this.#begin(position);
  }

  #begin(position: Position | undefined): void {
    if (position === undefined) return;
    this.#runs.push({ epoch: position.epoch, from: position.offset, to: position.offset, offsets: [] });
  }

  /** The first join begins a run, further ones say how far it is. */
  #joined(position: Position | undefined): void {
    const run = this.#runs.at(-1);
    if (run === undefined || position === undefined) this.#begin(position);
    else if (run.epoch !== position.epoch) this.#epochChanged(run, position);
    else run.to = Math.max(run.to, position.offset);
  }

  #epochChanged(run: Run, position: Position): void {
    this.#tell("holes", `from ${run.epoch}@${run.to} to ${position.epoch}@${position.offset} without a reset`);
    this.#generation++;
    this.#begin(position);
  }

  #event(entry: EventEntry): void {
    const again = this.#place(entry);
    const key = keyOf(entry);
    const published = this.#truth.published.get(key);
    if (published === undefined || published.outcome === "refused") {
      this.#tell("phantom", `${key} was ${published === undefined ? "never published here" : "refused"}`);
    }
    const before = this.#seen.get(key);
    if (before === this.#generation) this.#tell("dup", `${key} at ${entry.epoch}@${entry.offset}`);
    else if (before !== undefined) this.#tell("repeated", `${key} at ${entry.epoch}@${entry.offset}`);
    else if (again || this.#isBehind(entry, published))
      this.#tell("inverted", `${key} at ${entry.epoch}@${entry.offset}`);
    this.#seen.set(key, this.#generation);
  }

  /** Adds the event to its run. Whether it is at or before a place that the run had come to. */
  #place({ epoch, offset }: EventEntry): boolean {
    if (epoch === "") return false;
    const run = this.#runs.at(-1);
    if (run === undefined) this.#begin({ epoch, offset: offset - 1 });
    else if (run.epoch !== epoch) this.#epochChanged(run, { epoch, offset: offset - 1 });
    const current = this.#runs.at(-1) as Run;
    const isAgain = offset <= Math.max(current.from, current.offsets.at(-1) ?? 0);
    if (!isAgain) current.offsets.push(offset);
    current.to = Math.max(current.to, offset);
    return isAgain;
  }

  /** A publish without an answer may take effect late; those that were answered keep their order. */
  #isBehind({ publisher, counter }: EventEntry, published: Published | undefined): boolean {
    if (published?.outcome !== "acknowledged") return false;
    const furthest = this.#furthest.get(publisher) ?? 0;
    this.#furthest.set(publisher, Math.max(furthest, counter));
    return counter < furthest;
  }

  #lookForHoles(run: Run): void {
    const known = this.#truth.epochs.get(run.epoch);
    const seen = new Set(this.#runs.filter(({ epoch }) => epoch === run.epoch).flatMap(({ offsets }) => offsets));
    let inHole = false;
    for (const offset of known?.offsets ?? []) {
      if (offset <= run.from || offset > run.to) continue;
      const isMissing = !seen.has(offset) && !this.#wasToldVoid(known?.at(offset), run.epoch, offset);
      if (isMissing && !inHole) this.#tell("holes", `nothing of ${run.epoch}@${offset}`);
      inHole = isMissing;
    }
  }

  /** Whether the place was lost by the log itself, and the subscriber was told after it had been filled. */
  #wasToldVoid(key: string | undefined, epoch: string, offset: number): boolean {
    if (this.#truth.epochs.get(epoch)?.isVoid(offset) !== true) return false;
    const sentAt = this.#truth.published.get(key ?? "")?.sentAt ?? Number.POSITIVE_INFINITY;
    return this.#resets.some((at) => at >= sentAt);
  }

  #lookForLosses(): void {
    const [first] = this.#log.entries;
    if (first === undefined) return;
    for (const one of this.#truth.acknowledged) {
      if (this.#seen.has(keyOf(one)) || one.position === undefined) continue;
      const { epoch, offset } = one.position;
      const isVoid = this.#wasToldVoid(keyOf(one), epoch, offset);
      const fate = isVoid ? "excused" : this.#fateOf(one, first.at);
      if (fate !== undefined) this.#tell(fate, `${keyOf(one)} at ${epoch}@${offset}`);
    }
  }

  /** Why an acknowledged event was not seen; `undefined` where it was not owed. */
  #fateOf({ position, sentAt }: Published, startedAt: number): "lost" | "excused" | undefined {
    const { epoch, offset } = position as { epoch: string; offset: number };
    const ofEpoch = this.#runs.filter((run) => run.epoch === epoch);
    if (ofEpoch.some((run) => offset > run.from && offset <= run.to)) return "lost";
    const [first] = ofEpoch;
    const isAfterStart = first !== undefined && offset > first.from;
    if (!isAfterStart && (first === this.#runs[0] || sentAt < startedAt)) return undefined;
    if (this.#resets.some((at) => at >= sentAt)) return "excused";
    // The log went on elsewhere, without a word to this subscriber.
    return this.#log.stayed ? "lost" : undefined;
  }
}
