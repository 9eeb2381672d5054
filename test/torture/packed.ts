/** Records as they travel from a crowd's process: rows of numbers, since there are many of them. */
import type { Entry, Outcome, Published, Records } from "./records.js";

/** [type, at, epoch, offset, publisher, counter]; an epoch is its place in `epochs`, -1 for no position. */
type PackedEntry = number;
export const ENTRY_NUMBERS = 6;
export const PUBLISHED_NUMBERS = 8;

export type PackedLog = {
  readonly subscriber: string;
  readonly room: string;
  readonly stayed: boolean;
  readonly entries: readonly PackedEntry[];
};

export type PackedRecords = {
  readonly epochs: readonly string[];
  readonly rooms: readonly string[];
  readonly logs: readonly PackedLog[];
  /** [publisher, counter, room, outcome, epoch, offset, sentAt, answeredAt] */
  readonly published: readonly number[];
};

const types = ["joined", "event", "reset"] as const;
const outcomes: readonly Outcome[] = ["acknowledged", "refused", "unknown"];

/** Gives words numbers. */
export class Words {
  readonly all: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(word: string | undefined): number {
    if (word === undefined) return -1;
    let number = this.#numbers.get(word);
    if (number === undefined) {
      number = this.all.push(word) - 1;
      this.#numbers.set(word, number);
    }
    return number;
  }
}

export function packEntry(entry: Entry, epochs: Words): readonly PackedEntry[] {
  const type = types.indexOf(entry.type);
  if (entry.type === "event") {
    return [type, entry.at, epochs.number(entry.epoch), entry.offset, entry.publisher, entry.counter];
  }
  return [type, entry.at, epochs.number(entry.position?.epoch), entry.position?.offset ?? 0, 0, 0];
}

export function packPublished(one: Published, epochs: Words, rooms: Words): readonly number[] {
  const { publisher, counter, room, outcome, position, sentAt, answeredAt } = one;
  const place = [epochs.number(position?.epoch), position?.offset ?? 0];
  return [publisher, counter, rooms.number(room), outcomes.indexOf(outcome), ...place, sentAt, answeredAt];
}

export function unpack(packed: PackedRecords): Records {
  const position = (epoch: number, offset: number) =>
    epoch < 0 ? undefined : { epoch: packed.epochs[epoch] as string, offset };
  const logs = packed.logs.map((log) => {
    const entries: Entry[] = [];
    for (let from = 0; from < log.entries.length; from += ENTRY_NUMBERS) {
      const [type, at, epoch, offset, publisher, counter] = log.entries.slice(from, from + ENTRY_NUMBERS) as Six;
      const name = types[type] as Entry["type"];
      if (name !== "event") entries.push({ type: name, at, position: position(epoch, offset) });
      else entries.push({ type: name, at, epoch: packed.epochs[epoch] as string, offset, publisher, counter });
    }
    return { ...log, entries };
  });
  const published: Published[] = [];
  for (let from = 0; from < packed.published.length; from += PUBLISHED_NUMBERS) {
    const row = packed.published.slice(from, from + PUBLISHED_NUMBERS) as Eight;
    const [publisher, counter, room, outcome, epoch, offset, sentAt, answeredAt] = row;
    published.push({
      ...{ publisher, counter, room: packed.rooms[room] as string, outcome: outcomes[outcome] as Outcome },
      ...{ position: position(epoch, offset), sentAt, answeredAt },
    });
  }
  return { logs, published };
}

type Six = [number, number, number, number, number, number];
type Eight = [...Six, number, number];
