/**
 * Where a room is in NATS: the subjects of its events. Rooms are dealt into a fixed number of buckets; a bucket belongs to
 * one stream, and can be given to another.
 */

/** How many buckets there are. For ever: another number is another place for every room. */
export const BUCKETS = 1024;

/** The bucket of a room, 0 to 1023: FNV-1a, mixed as MurmurHash3 ends. Every node finds the same, in every version. */
export function bucketOf(room: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < room.length; at++) hash = Math.imul(hash ^ room.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % BUCKETS;
}

const PLAIN = /^[A-Za-z0-9_:@/$-]+$/;

/** A room's name as one token of a subject: `.` is written `,`, and what may not stand there as `%` and its bytes. */
export function tokenOf(room: string): string {
  if (PLAIN.test(room)) return room;
  return room.replace(/[^A-Za-z0-9_:@/$-]/gu, (character) => {
    if (character === ".") return ",";
    return Buffer.from(character).toString("hex").replace(/../g, "%$&");
  });
}

/** The subjects of one namespace. */
export class Subjects {
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Where an event of a room with history is published: a stream takes it. */
  log(room: string): string {
    return `${this.#namespace}.${bucketOf(room)}.${tokenOf(room)}`;
  }

  /** Where the stream hands it on. */
  delivery(room: string): string {
    return `${this.#namespace}-d.${bucketOf(room)}.${tokenOf(room)}`;
  }

  /** Where the events of a room without history are. */
  live(room: string): string {
    return `${this.#namespace}-v.${tokenOf(room)}`;
  }

  /** Where an event with a key goes in a room without history: a stream that knows keys hands it on to `live`. */
  keyed(room: string): string {
    return `${this.#namespace}-k.${tokenOf(room)}`;
  }

  /** A mark in a stream: something with a sequence number that is no event. */
  mark(stream: string, name: string): string {
    return `${this.#namespace}.f.${stream}.${name}`;
  }

  get republish(): { readonly src: string; readonly dest: string } {
    return { src: `${this.#namespace}.>`, dest: `${this.#namespace}-d.>` };
  }

  get republishKeyed(): { readonly src: string; readonly dest: string } {
    return { src: `${this.#namespace}-k.>`, dest: `${this.#namespace}-v.>` };
  }

  get allKeyed(): string {
    return `${this.#namespace}-k.>`;
  }

  get keysStream(): string {
    return `${this.#namespace}-keys`;
  }

  /** The stream, and the subject, of the ring in force. */
  get ring(): string {
    return `${this.#namespace}-ring`;
  }

  /** Where nodes tell each other which list of streams they carry, and that the ring has changed. */
  get nodes(): string {
    return `${this.#namespace}-nodes`;
  }

  /** What a stream captures so that it holds these buckets. */
  captured(stream: string, buckets: ReadonlySet<number>): string[] {
    const marks = this.mark(stream, "*");
    if (buckets.size === BUCKETS) return [`${this.#namespace}.*.*`, marks];
    return [...[...buckets].sort((a, b) => a - b).map((bucket) => `${this.#namespace}.${bucket}.*`), marks];
  }

  /** The buckets that subjects capture; `undefined` where one of them is not of this namespace's form. */
  bucketsOf(stream: string, subjects: readonly string[]): Set<number> | undefined {
    const buckets = new Set<number>();
    for (const subject of subjects) {
      if (subject === this.mark(stream, "*")) continue;
      const [namespace, bucket = "", room, ...more] = subject.split(".");
      if (namespace !== this.#namespace || room !== "*" || more.length > 0) return undefined;
      if (bucket === "*") for (let each = 0; each < BUCKETS; each++) buckets.add(each);
      else if (/^\d{1,4}$/.test(bucket)) buckets.add(Number(bucket));
      else return undefined;
    }
    return buckets;
  }
}
