import { EngineError } from "../engine.js";
import { Refused } from "./connection.js";
import type { Member } from "./members.js";
import { SLOTS } from "./slots.js";
import type { Reply } from "./wire.js";

/** A call for a room, until it has had its effect or is given up. */
export type RoomCall = {
  readonly room: string;
  readonly slot: number;
  /** Calls made later have higher ones. */
  readonly number: number;
  /** Until when it may be sent again, in the milliseconds of `performance.now()`. */
  readonly deadline: number;
  readonly send: (call: RoomCall) => Promise<Reply>;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  /** How often it was led elsewhere. */
  redirects: number;
  /** Where it was sent last. */
  member: Member | undefined;
  /** Where it is to be sent by `ASKING`, once. */
  asked: Member | undefined;
};

/** What is held back of one slot, until nothing of it is under way. */
type Hold = {
  waiting: RoomCall[];
  /** Of the rooms that a call had its effect in meanwhile: the last one. */
  readonly done: Map<string, number>;
  /** How long to wait before the calls are sent again; `undefined` where none was redirected. */
  pauseMs: number | undefined;
  timer: NodeJS.Timeout | undefined;
};

/** The most calls that may be held back. */
const MOST_WAITING = 10_000;
/** When a call that was overtaken may be tried again, in milliseconds. */
const RETRY_MS = 100;

/**
 * Keeps the calls of each room in order while their slot goes from one server to another. From the first call that is
 * redirected, the slot's later calls wait until all those under way have their answers; then those redirected are sent
 * again, in the order they were made, and the others behind them. A call that another one of its room has overtaken is
 * refused: it had no effect.
 */
export class Order {
  readonly #timeoutMs: number;
  readonly #again: (call: RoomCall, error: Error) => number | undefined;
  readonly #underWay = new Uint32Array(SLOTS);
  readonly #holds = new Map<number, Hold>();
  #calls = 0;
  #waiting = 0;

  /** `again` says in how many milliseconds a call that failed is to be sent again, if at all; it had no effect then. */
  constructor(timeoutMs: number, again: (call: RoomCall, error: Error) => number | undefined) {
    this.#timeoutMs = timeoutMs;
    this.#again = again;
  }

  /** Sends it, or has it wait. Settles within three times `timeoutMs`. */
  call(room: string, slot: number, send: (call: RoomCall) => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + this.#timeoutMs;
      const number = this.#calls++;
      const call = { room, slot, number, deadline, send, resolve, reject, redirects: 0, member: undefined };
      this.#take({ ...call, asked: undefined });
    });
  }

  #take(call: RoomCall): void {
    const hold = this.#holds.get(call.slot);
    if (hold === undefined) this.#send(call);
    else this.#wait(hold, call);
  }

  #wait(hold: Hold, call: RoomCall): void {
    if (this.#waiting >= MOST_WAITING) return call.reject(refusal("too many calls wait for a slot", 1000));
    this.#waiting++;
    hold.waiting.push(call);
  }

  #send(call: RoomCall): void {
    const { slot } = call;
    this.#underWay[slot] = (this.#underWay[slot] as number) + 1;
    call.send(call).then(
      (reply) => {
        this.#done(call);
        call.resolve(reply);
        this.#left(slot);
      },
      (error: Error) => {
        this.#failed(call, error);
        this.#left(slot);
      },
    );
  }

  /** It had its effect, or may have had. */
  #done({ room, slot, number }: RoomCall): void {
    const hold = this.#holds.get(slot);
    if (hold === undefined) return;
    hold.done.set(room, Math.max(number, hold.done.get(room) ?? number));
    const overtaken = hold.waiting.filter((call) => call.room === room && call.number < number);
    if (overtaken.length === 0) return;
    hold.waiting = hold.waiting.filter((call) => !overtaken.includes(call));
    this.#waiting -= overtaken.length;
    for (const call of overtaken) call.reject(wasOvertaken());
  }

  #failed(call: RoomCall, error: Error): void {
    const pauseMs = this.#again(call, error);
    if (pauseMs === undefined) {
      if (!(error instanceof Refused)) this.#done(call);
      return call.reject(error);
    }
    const hold = this.#hold(call.slot);
    hold.pauseMs = Math.max(pauseMs, hold.pauseMs ?? 0);
    if ((hold.done.get(call.room) ?? -1) > call.number) call.reject(wasOvertaken());
    else this.#wait(hold, call);
  }

  #hold(slot: number): Hold {
    const known = this.#holds.get(slot);
    if (known !== undefined) return known;
    const hold: Hold = { waiting: [], done: new Map(), pauseMs: undefined, timer: undefined };
    this.#holds.set(slot, hold);
    return hold;
  }

  /** The slot's calls go to another server from now on: not before those under way have their answers. */
  turned(slot: number): void {
    if ((this.#underWay[slot] as number) > 0) this.#hold(slot);
  }

  #left(slot: number): void {
    const left = (this.#underWay[slot] as number) - 1;
    this.#underWay[slot] = left;
    const hold = this.#holds.get(slot);
    if (left > 0 || hold === undefined) return;
    if (hold.pauseMs === undefined || hold.waiting.length === 0) {
      this.#holds.delete(slot);
      this.#sendAll(hold);
    } else if (hold.pauseMs === 0) this.#round(slot, hold);
    else hold.timer = setTimeout(() => this.#round(slot, hold), hold.pauseMs);
  }

  /** Sends again what was redirected; calls made from now on wait until all of it is answered. */
  #round(slot: number, hold: Hold): void {
    hold.pauseMs = undefined;
    this.#sendAll(hold);
    if (this.#underWay[slot] === 0) this.#holds.delete(slot);
  }

  #sendAll(hold: Hold): void {
    const calls = hold.waiting.sort((one, other) => one.number - other.number);
    hold.waiting = [];
    this.#waiting -= calls.length;
    const now = performance.now();
    for (const call of calls) {
      if (call.deadline < now) call.reject(refusal("its slot went from one server to another", RETRY_MS));
      else this.#send(call);
    }
  }

  /** Rejects what waits; what is under way ends with its connection. */
  close(): void {
    for (const [slot, hold] of this.#holds) {
      clearTimeout(hold.timer);
      this.#holds.delete(slot);
      for (const call of hold.waiting) call.reject(refusal("closed", 0));
    }
    this.#waiting = 0;
  }
}

const refusal = (reason: string, retryMs: number): EngineError =>
  new EngineError("unavailable", `redis: ${reason}`, retryMs);

const wasOvertaken = (): EngineError => refusal("its slot goes from one server to another", RETRY_MS);
