/**
 * The events' data, the same for every contestant: 100 bytes, be it as JSON or as MessagePack. Its text holds a mark, by
 * which events are counted in a stream of bytes, and the time it was sent.
 */

/** Data of one event, in bytes. */
export const DATA_BYTES = 100;

/** Occurs once in every event's data, and nowhere else. */
export const MARK = Buffer.from("#!event!#");
const STAMP_DIGITS = 16;
/** What an object with one field `text` takes around the text, in bytes. */
const AROUND = { json: '{"text":""}'.length, msgpack: 1 + 5 + 2 };

export type DataForm = keyof typeof AROUND;
export type EventData = { readonly text: string };

/** One clock for every process and thread of the machine, in whole microseconds. */
export function nowUs(): number {
  return Math.floor(Number(process.hrtime.bigint()) / 1000);
}

/** Data that takes `DATA_BYTES` bytes in that form. */
export function eventData(form: DataForm, stampUs: number): EventData {
  const stamp = stampUs.toString().padStart(STAMP_DIGITS, "0");
  return { text: (MARK.toString() + stamp).padEnd(DATA_BYTES - AROUND[form], ".") };
}

/** The shortest text of any form: after a mark, the next one is not nearer than that. */
const TEXT_BYTES = DATA_BYTES - Math.max(...Object.values(AROUND));

/** How many events' data lie in the bytes. `each`, where given, is told when each of them was sent. */
export function countEvents(bytes: Buffer, start: number, end: number, each?: (stampUs: number) => void): number {
  let count = 0;
  let at = start;
  while (end - at >= TEXT_BYTES) {
    at = bytes.indexOf(MARK, at);
    if (at < 0 || at >= end) break;
    count++;
    each?.(stampAt(bytes, at + MARK.length));
    at += TEXT_BYTES;
  }
  return count;
}

function stampAt(bytes: Buffer, at: number): number {
  let stamp = 0;
  for (let index = at; index < at + STAMP_DIGITS; index++) stamp = stamp * 10 + ((bytes[index] as number) - 0x30);
  return stamp;
}

/** Counts events in a stream of bytes of whatever form, however it is split. */
export class EventCounter {
  #rest: Buffer = Buffer.alloc(0);

  /** How many marks end in these bytes, which follow on the last ones. */
  feed(bytes: Buffer): number {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let count = 0;
    let at = 0;
    for (let found = all.indexOf(MARK); found >= 0; found = all.indexOf(MARK, at)) {
      count++;
      at = found + MARK.length;
    }
    this.#rest = Buffer.from(all.subarray(Math.max(at, all.length - MARK.length + 1)));
    return count;
  }
}
