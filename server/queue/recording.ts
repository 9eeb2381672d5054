import type { NewEvent } from "../../protocol/event.js";
import type { Position } from "../../protocol/positions.js";
import { type Broker, EngineError, type History, type LogRules, type Range } from "../engine/engine.js";
import type { RecordLog } from "../engine/queue.js";
import type { CatchUp } from "./catch-up.js";
import type { Marks } from "./marks.js";

/**
 * What of a room is told in the stream of what happened: what its log says; what is published, where no other node could
 * read that in a log; or nothing.
 */
export type RecordedFrom = (room: string) => "log" | "publish" | undefined;

export type RecordingOptions = {
  readonly broker: Broker;
  readonly log: Pick<RecordLog, "problems">;
  readonly recordedFrom: RecordedFrom;
  readonly marks: Marks;
  readonly catchUp: Pick<CatchUp, "touch">;
  /** Tells of an event that nobody could read later. */
  readonly tell: (room: string, event: NewEvent) => void;
};

/**
 * A broker that has what is published recorded: whoever publishes, by whatever way, comes through here. A publish that
 * resolves is in the room's log, and the room is marked: whatever ends from then on, it will be recorded.
 */
export class Recording implements Broker {
  readonly #options: RecordingOptions;
  readonly #broker: Broker;

  constructor(options: RecordingOptions) {
    this.#options = options;
    this.#broker = options.broker;
  }

  publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    const { recordedFrom, marks, tell } = this.#options;
    const from = recordedFrom(room);
    if (from === undefined) return this.#broker.publish(room, event, rules);
    if (from === "publish") {
      const published = this.#broker.publish(room, event, rules);
      published.then(
        () => tell(room, event),
        () => undefined,
      );
      return published;
    }
    const marking = marks.hold(room);
    if (marking === undefined) return this.#publish(room, event, rules);
    return marking.then(() => this.#publish(room, event, rules));
  }

  #publish(room: string, event: NewEvent, rules: LogRules): Promise<Position | undefined> {
    const { catchUp } = this.#options;
    const published = this.#broker.publish(room, event, rules);
    published.then(
      (position) => catchUp.touch(room, position),
      (error: unknown) => {
        // It may be in the log all the same.
        if (error instanceof EngineError && error.code === "timeout") catchUp.touch(room, undefined);
      },
    );
    return published;
  }

  subscribe(room: string, rules: LogRules): Promise<void> {
    return this.#broker.subscribe(room, rules);
  }

  unsubscribe(room: string): Promise<void> {
    return this.#broker.unsubscribe(room);
  }

  history(room: string, range: Range, limit: number, rules: LogRules): Promise<History> {
    return this.#broker.history(room, range, limit, rules);
  }

  problems(): readonly string[] {
    // Without it nothing can be published for long in rooms that are recorded.
    return [...this.#broker.problems(), ...this.#options.log.problems()];
  }

  close(): Promise<void> {
    return this.#broker.close();
  }
}
