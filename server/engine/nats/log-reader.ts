/** Reads of a room's log: what can be read, and what of it the kind's rules leave. */
import type { RoomEvent } from "../../../protocol/event.js";
import type { Position } from "../../../protocol/positions.js";
import type { History, LogRules, Range } from "../engine.js";
import type { JetStream } from "./jetstream.js";
import type { Placement, Tenure } from "./placement.js";
import type { Read, Runs } from "./runs.js";
import { leastPerRoom } from "./streams.js";
import { bucketOf, type Subjects } from "./subjects.js";

/** The most bytes of events in one answer; one event alone may be more. */
const MAX_BYTES = 1_048_576;

type Asked = { readonly subject: string; readonly tenure: Tenure; readonly limit: number; readonly rules: LogRules };

export class LogReader {
  readonly #jetstream: JetStream;
  readonly #runs: Runs;
  readonly #subjects: Subjects;
  readonly #direct: boolean;
  /** The highest number known to be in a stream. */
  readonly #highest: (stream: string) => number;

  constructor(
    parts: { readonly jetstream: JetStream; readonly runs: Runs; readonly subjects: Subjects },
    direct: boolean,
    highest: (stream: string) => number,
  ) {
    this.#jetstream = parts.jetstream;
    this.#runs = parts.runs;
    this.#subjects = parts.subjects;
    this.#direct = direct;
    this.#highest = highest;
  }

  async history(room: string, placement: Placement, range: Range, limit: number, rules: LogRules): Promise<History> {
    const bucket = bucketOf(room);
    const tenure = placement.now(bucket);
    const asked = { subject: this.#subjects.log(room), tenure, limit, rules };
    const { since, before } = range;
    const epoch = (since ?? before)?.epoch ?? tenure.epoch;
    if (epoch !== tenure.epoch) {
      const past = since && placement.ofEpoch(bucket, epoch);
      const rest = past && (await this.#past({ ...asked, tenure: past }, since.offset));
      return rest ?? { position: await this.#end(asked), events: undefined, more: false };
    }
    return since === undefined ? this.#latest(asked, before?.offset) : this.#since(asked, since.offset);
  }

  /** The log's last event, where it has one, and its end. */
  async #last({ subject, tenure }: Asked): Promise<{ readonly seq: number | undefined; readonly position: Position }> {
    // Known before the question: an event that comes after it is beyond it.
    const highest = Math.max(this.#highest(tenure.stream), tenure.start);
    const last = await this.#jetstream.message(tenure.stream, subject, this.#direct);
    const seq = last !== undefined && last.seq > tenure.start ? last.seq : undefined;
    return { seq, position: { epoch: tenure.epoch, offset: seq ?? highest } };
  }

  async #end(asked: Asked): Promise<Position> {
    return (await this.#last(asked)).position;
  }

  async #since(asked: Asked, since: number): Promise<History> {
    const { subject, tenure, limit, rules } = asked;
    const { seq: last, position } = await this.#last(asked);
    const unreadable = { position, events: undefined, more: false };
    if (since < tenure.start) return unreadable;
    // Whatever was there and is gone, there is nothing to read now.
    if (last === undefined && limit === 0) {
      return { position: { ...position, offset: Math.max(position.offset, since) }, events: [], more: false };
    }
    if (last === undefined) {
      // Empty, or all gone. A position from a node that knew of more is as good as this node's.
      if (!(await this.#nothingGone(subject, tenure, since))) return unreadable;
      return { position: { ...position, offset: Math.max(position.offset, since) }, events: [], more: false };
    }
    if (since > last) return unreadable;
    if (since === last) return { position, events: [], more: false };
    if (limit === 0) return { position, events: [], more: true };
    const run = await this.#runs.after(tenure.stream, subject, since, last, limit, MAX_BYTES);
    const [first] = run.events;
    if (run.count > rules.history.size) return unreadable;
    if (first !== undefined && first.time < Date.now() - rules.history.ageMs) return unreadable;
    // Looked at after the events were read: what is whole now was whole then.
    if (!(await this.#isWhole(subject, tenure, since))) return unreadable;
    return { position, events: eventsOf(run.events), more: run.reached < last };
  }

  /** Whether all events of the room after `since` are still there. */
  async #isWhole(subject: string, tenure: Tenure, since: number): Promise<boolean> {
    const first = await this.#jetstream.message(tenure.stream, subject, this.#direct, tenure.start + 1);
    // What goes goes from the front: while something up to `since` is there, nothing after it is gone.
    if (first !== undefined && first.seq <= since) return true;
    return this.#nothingGone(subject, tenure, since);
  }

  /**
   * Whether no event after `since` can be gone. For its age: then everything before it were gone too. For the limit of
   * events per room: then that many were there. Marks that are put into the stream time and again keep the first number
   * about as old as the stream's retention.
   */
  async #nothingGone(subject: string, { stream }: Tenure, since: number): Promise<boolean> {
    const info = await this.#jetstream.info(stream, subject);
    if (info === undefined || info.state.last_seq < since || info.state.first_seq > since + 1) return false;
    return (info.state.subjects?.[subject] ?? 0) < leastPerRoom(info.config);
  }

  /** The latest events, or the last ones before an offset. */
  async #latest(asked: Asked, before: number | undefined): Promise<History> {
    const { subject, tenure, limit, rules } = asked;
    const { seq: last, position } = await this.#last(asked);
    if (last === undefined) return { position, events: [], more: false };
    if (limit === 0) return { position, events: [], more: true };
    const until = before === undefined ? last : Math.min(last, before - 1);
    const { size, ageMs } = rules.history;
    const bounds = { from: tenure.start + 1, last, until };
    const run = await this.#runs.latest(tenure.stream, subject, bounds, { count: limit + 1, ofLast: size }, MAX_BYTES);
    const oldest = Date.now() - ageMs;
    const kept = run.events.filter(({ time }) => time >= oldest);
    const shown = kept.slice(-limit);
    const cut = run.cut && kept.length === run.events.length;
    return { position, events: eventsOf(shown), more: cut || shown.length < kept.length };
  }

  /**
   * What is left of a log that the room has moved away from, and after that where the next one begins. `undefined` where it
   * cannot be read on from there.
   */
  async #past({ subject, tenure, limit, rules }: Asked, since: number): Promise<History | undefined> {
    const { stream, start, end, next } = tenure;
    if (end === undefined || next === undefined || since < start) return undefined;
    if ((await this.#jetstream.info(stream)) === undefined) return undefined;
    const run = await this.#runs.after(stream, subject, since, end, Math.max(1, limit), MAX_BYTES);
    const [first] = run.events;
    if (first !== undefined && first.time < Date.now() - rules.history.ageMs) return undefined;
    if (since < end && !(await this.#isWhole(subject, tenure, since))) return undefined;
    if (first !== undefined) {
      return { position: { epoch: tenure.epoch, offset: end - 1 }, events: eventsOf(run.events), more: true };
    }
    return { position: { epoch: next.epoch, offset: next.start }, events: undefined, more: true };
  }
}

const eventsOf = (run: readonly Read[]): RoomEvent[] => run.map(({ event }) => event);
