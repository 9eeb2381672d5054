/** What nodes tell each other of those who use much: once a second, and a little earlier where it is news. */
import type { Use } from "./note.js";

/** How often the others are told, in milliseconds. */
const TELL_MS = 1000;
/** How soon they are told what is news: all that comes meanwhile goes with it. */
const NEWS_MS = 100;
/** The most that is told at once: so many entries, and so many bytes of names. What does not fit is told by nobody. */
const MOST_ENTRIES = 300;
const MOST_BYTES = 20_000;

/** What a node counts of its users and rooms; it holds them to limits by it, and by what the others tell. */
export interface UsageCounts {
  /**
   * Those who use much, the heaviest first, as far as there is room: `fits` is asked for each, and takes it in. `ends`: the
   * second is over. `nodes`: how many there are, this one among them.
   */
  tell(fits: (name: string) => boolean, ends: boolean, nodes: number): Use;
  hear(node: string, use: Use, now: number): void;
  /** Forgets what has lapsed. */
  sweep(now: number): void;
  /** Called by it when there is something that the others should hear before the second is over. */
  onNews: () => void;
}

/** Room for as many as go into one note. */
function roomInNote(): (name: string) => boolean {
  let entries = 0;
  let bytes = 0;
  return (name) => {
    entries++;
    bytes += Buffer.byteLength(JSON.stringify(name)) + 20;
    return entries <= MOST_ENTRIES && bytes <= MOST_BYTES;
  };
}

/** Has a node's counts told to the others, as long as there are any. */
export class UsageNotes {
  readonly #counts: UsageCounts;
  readonly #others: () => number;
  readonly #send: (use: Use) => void;
  readonly #timer: NodeJS.Timeout;
  #news: NodeJS.Timeout | undefined;

  /** `others`: how many other nodes there are. `send` throws nothing. */
  constructor(counts: UsageCounts, others: () => number, send: (use: Use) => void) {
    this.#counts = counts;
    this.#others = others;
    this.#send = send;
    this.#timer = setInterval(() => {
      counts.sweep(performance.now());
      this.#tell(true);
    }, TELL_MS).unref();
    counts.onNews = () => {
      this.#news ??= setTimeout(() => this.#tell(false), NEWS_MS).unref();
    };
  }

  #tell(ends: boolean): void {
    clearTimeout(this.#news);
    this.#news = undefined;
    const others = this.#others();
    const use = this.#counts.tell(roomInNote(), ends, others + 1);
    if (others > 0 && use.users.length + use.rooms.length > 0) this.#send(use);
  }

  /** Takes what another node told. */
  hear(node: string, use: Use): void {
    this.#counts.hear(node, use, performance.now());
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#news);
    this.#counts.onNews = () => undefined;
  }
}
