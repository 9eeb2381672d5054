/** Server-sent events over Node's own HTTP: what came, in its order, and a reader that comes back as `EventSource` does. */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { TestContext } from "node:test";

export type StreamEvent = { readonly type: string; readonly data: string; readonly id: string };

/** What a test may look for in an event's data. */
export type Told = {
  readonly room: string;
  readonly offset?: number;
  readonly event: string;
  readonly data: unknown;
  readonly recovered: boolean;
  readonly code: number | string;
  readonly retryMs?: number;
  readonly session: string;
  readonly events: readonly unknown[];
};

/** Takes the stream apart as the HTML standard says. */
export class EventParser {
  readonly events: StreamEvent[] = [];
  comments = 0;
  retryMs: number | undefined;
  /** What `EventSource` would send as `Last-Event-ID`. */
  lastEventId = "";
  #rest = "";
  #id = "";
  #type = "";
  #data: string[] = [];

  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === "") this.#dispatch();
    else if (line.startsWith(":")) this.comments++;
    else {
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") this.#data.push(value);
      else if (field === "event") this.#type = value;
      else if (field === "id") this.#id = value;
      else if (field === "retry") this.retryMs = Number(value);
      else throw new Error(`expected a field of server-sent events, got ${JSON.stringify(line.slice(0, 100))}`);
    }
  }

  #dispatch(): void {
    this.lastEventId = this.#id;
    if (this.#data.length > 0) {
      this.events.push({ type: this.#type || "message", data: this.#data.join("\n"), id: this.lastEventId });
    }
    this.#type = "";
    this.#data = [];
  }
}

export type StreamOptions = { readonly headers?: { readonly [name: string]: string }; readonly agent?: false };

/** How long anything is waited for before the wait itself is an error, in milliseconds. */
const PATIENCE_MS = 30_000;

/** One stream, from its head on. */
export class EventStream {
  readonly response: IncomingMessage;
  readonly parser = new EventParser();
  /** The whole text, for answers that are no stream. */
  text = "";
  /** Whether the server has ended it in the way that an answer is ended. */
  ended = false;
  closed = false;
  readonly #request: ClientRequest;
  #taken = 0;
  #changed: (() => void)[] = [];

  private constructor(asked: ClientRequest, response: IncomingMessage) {
    this.#request = asked;
    this.response = response;
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      this.text += text;
      if (this.isStream) this.parser.add(text);
      this.#change();
    });
    response.on("end", () => {
      this.ended = true;
      this.#change();
    });
    response.on("error", () => undefined);
    response.on("close", () => {
      this.closed = true;
      this.#change();
    });
  }

  static open(url: string, options: StreamOptions = {}): Promise<EventStream> {
    return new Promise((resolve, reject) => {
      const headers = { accept: "text/event-stream", ...options.headers };
      const asked = request(url, { headers, agent: false });
      asked.on("response", (response) => resolve(new EventStream(asked, response)));
      asked.on("error", reject);
      asked.end();
    });
  }

  get status(): number {
    return this.response.statusCode ?? 0;
  }

  get isStream(): boolean {
    return this.response.headers["content-type"] === "text/event-stream";
  }

  get events(): readonly StreamEvent[] {
    return this.parser.events;
  }

  /** What was published, in its order, as it was told. */
  get told(): Told[] {
    return this.events.filter(({ type }) => type === "message").map(({ data }) => JSON.parse(data) as Told);
  }

  #change(): void {
    const changed = this.#changed;
    this.#changed = [];
    for (const resolve of changed) resolve();
  }

  async until(words: string, condition: () => boolean): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!condition()) {
      const last = this.events.slice(-3).map(({ type, data }) => `${type} ${data.slice(0, 200)}`);
      if (this.closed) throw new Error(`expected ${words}, got the end after ${last.join("; ")}`);
      const leftMs = until - performance.now();
      if (leftMs < 0) throw new Error(`waited too long for ${words}; the last were ${last.join("; ")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** The next event of the type, after those that were taken. */
  async next(type: string): Promise<Told> {
    let at = -1;
    await this.until(type, () => {
      at = this.events.findIndex((event, index) => index >= this.#taken && event.type === type);
      return at >= 0;
    });
    this.#taken = at + 1;
    return JSON.parse((this.events[at] as StreamEvent).data) as Told;
  }

  /** Everything, once the server has ended it. */
  async whole(): Promise<string> {
    const until = performance.now() + PATIENCE_MS;
    while (!this.closed && !this.ended) {
      if (performance.now() > until) throw new Error("waited too long for the end of the answer");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.text;
  }

  async problem(): Promise<{ readonly status: number; readonly code: string; readonly detail: string }> {
    return JSON.parse(await this.whole()) as { status: number; code: string; detail: string };
  }

  end(): void {
    this.#request.destroy();
  }
}

/** A stream at a path of the server, which ends with its test. */
export async function openStream(
  t: TestContext,
  server: { readonly url: string },
  path: string,
  headers: { readonly [name: string]: string } = {},
): Promise<EventStream> {
  const stream = await EventStream.open(`${server.url}${path}`, { headers });
  t.after(() => stream.end());
  return stream;
}

/** Reads as `EventSource` does: comes back with the last id whenever a stream ends, wherever `next` says. */
export class Returning {
  readonly told: Told[] = [];
  /** What came of each type. */
  readonly types: string[] = [];
  /** Whether each join was complete. */
  readonly recovered: boolean[] = [];
  lastEventId = "";
  streams = 0;
  current: EventStream | undefined;
  readonly #next: () => string;
  #isEnding = false;
  readonly #running: Promise<void>;

  constructor(t: TestContext, next: () => string) {
    this.#next = next;
    this.#running = this.#run();
    t.after(() => this.end());
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      const headers: { [name: string]: string } = this.lastEventId === "" ? {} : { "last-event-id": this.lastEventId };
      let stream: EventStream;
      try {
        stream = await EventStream.open(this.#next(), { headers });
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      this.streams++;
      this.current = stream;
      if (this.#isEnding) stream.end();
      while (!stream.closed) await stream.until("more", () => stream.closed || stream.ended).catch(() => undefined);
      this.#take(stream);
    }
  }

  #take(stream: EventStream): void {
    this.lastEventId = stream.parser.lastEventId || this.lastEventId;
    this.told.push(...stream.told);
    for (const { type, data } of stream.events) {
      this.types.push(type);
      if (type === "joined") this.recovered.push((JSON.parse(data) as Told).recovered);
    }
  }

  /** What has come so far, of the present stream too. */
  get all(): readonly Told[] {
    const { current } = this;
    return current === undefined || current.closed ? this.told : [...this.told, ...current.told];
  }

  /** Cuts the connection in the middle of whatever it is at. */
  cut(): void {
    this.current?.end();
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    this.current?.end();
    await this.#running;
  }
}
