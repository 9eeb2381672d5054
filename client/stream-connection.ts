/** A client's connection without a WebSocket: the newest of its streams, and requests. */
import type { ClientFrame, ServerFrame } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";
import { readEvents } from "./event-reader.js";
import { ask, type Problem, positionsOf, problemOf } from "./http-requests.js";
import type { Connection, ConnectionEvents } from "./transport.js";

/** How long rooms that are wanted or left wait for others, for one new stream with all of them; in milliseconds. */
const TOGETHER_MS = 5;
/** How long the stream before is waited for, while its rooms are not all joined; in milliseconds. */
const PATIENCE_MS = 3000;
/** The most streams at once: browsers open six connections to a server, and requests need some. */
const MOST_STREAMS = 3;
/** Where streams end more often, there is no connection; in milliseconds. */
const STABLE_MS = 2000;
/** The most events that are remembered, to know them again, of rooms without history. */
const MOST_SEEN = 200;

export type StreamEvents = ConnectionEvents & {
  /** The first stream was welcomed. */
  works(): void;
  /** It does not come about, and not for a reason of the server's. */
  fails(): void;
};

type Event = { readonly room: string; readonly offset?: number };

type Stream = {
  /** Newer ones have higher ones. */
  readonly number: number;
  readonly openedAt: number;
  readonly abort: AbortController;
  /** The rooms that it has not joined yet, and what was missed in them, as far as it has come. */
  readonly joining: Map<string, Event[]>;
  seenAt: number;
};

type Place = {
  /** The number of the join that is to be answered. */
  id: number | undefined;
  /** The last event that was handed on. */
  position: Position | undefined;
  /** The number of the first stream that counts. What an older one brings is for nobody. */
  from: number;
  /** Whether it is joined with presence. */
  readonly presence: boolean;
};

export class StreamConnection implements Connection {
  readonly #base: string;
  readonly #events: StreamEvents;
  readonly #rooms = new Map<string, Place>();
  readonly #streams = new Set<Stream>();
  /** The requests of a room that wait for each other. */
  readonly #lanes = new Map<string, Promise<void>>();
  /** What waits for its turn and for no answer, by the room's and the event's name. */
  readonly #latest = new Map<string, { frame: ClientFrame<"publish"> }>();
  readonly #over = new AbortController();
  #count = 0;
  #newest: Stream | undefined;
  /** Events of rooms without history that an older stream brought while a newer one was being opened. */
  #seen: string[] = [];
  #token: string | undefined;
  #session: string | undefined;
  #helloId: number | undefined;
  #renewId: number | undefined;
  /** Whether the server has said anything: streams get through. */
  #isHeard = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the timer waits for the newest stream. */
  #isHeldBack = false;
  /** When a stream ended that should not have. */
  #endedAt = 0;
  #watch: ReturnType<typeof setInterval> | undefined;

  constructor(url: string, events: StreamEvents) {
    this.#base = url.replace(/^ws/, "http").replace(/[^/]*$/, "");
    this.#events = events;
  }

  send(wire: string | Uint8Array): void {
    const frame = JSON.parse(wire as string) as ClientFrame;
    const { type } = frame;
    if (type === "publish") this.#publish(frame);
    else if (type === "history" || type === "members" || type === "call" || type === "ping") void this.#ask(frame);
    else {
      if (type === "join") {
        const { id, since: position, presence = false } = frame;
        this.#rooms.set(frame.room, { id, position, from: this.#count + 1, presence });
      } else if (type === "leave") {
        this.#rooms.delete(frame.room);
        this.#tell({ type: "left", id: frame.id });
      } else if (type === "hello" || type === "renew") {
        this.#token = frame.token;
        if (type === "renew") this.#renewId = frame.id;
        else {
          this.#helloId = frame.id;
          this.#session = frame.session;
        }
      }
      this.#openIn(TOGETHER_MS);
    }
  }

  close(): void {
    this.#end();
  }

  #end(): void {
    if (!this.#isHeard) this.#events.fails();
    this.#over.abort();
    for (const { abort } of this.#streams) abort.abort();
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
  }

  #tell(frame: object): void {
    if (!this.#over.signal.aborted) this.#events.message(JSON.stringify(frame));
  }

  #down(code: number, reason: string): void {
    if (this.#over.signal.aborted) return;
    this.#end();
    this.#events.close(code, reason);
  }

  readonly #fetch = (path: string, { headers, ...options }: RequestInit = {}): Promise<Response> =>
    fetch(this.#base + path, {
      signal: this.#over.signal,
      cache: "no-store",
      ...options,
      headers: {
        ...(headers as Record<string, string>),
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
        ...(this.#session && { "roomcast-session": this.#session }),
      },
    });

  async #ask(frame: Parameters<typeof ask>[0]): Promise<void> {
    const answer = await ask(frame, this.#fetch);
    if (frame.id !== undefined) this.#tell({ ...answer, id: frame.id });
  }

  /** One after the other: two connections of a browser would let them change places. */
  #publish(frame: ClientFrame<"publish">): void {
    const { id, room, event } = frame;
    const name = `${room} ${event}`;
    // What nobody waits for is sent when its turn has come: the latest of its name alone.
    const waiting = id === undefined && this.#latest.get(name);
    if (waiting) {
      waiting.frame = frame;
      return;
    }
    const next = { frame };
    if (id === undefined) this.#latest.set(name, next);
    const before = this.#lanes.get(room) ?? Promise.resolve();
    const done: Promise<void> = before.then(async () => {
      this.#latest.delete(name);
      await this.#ask(next.frame);
      if (this.#lanes.get(room) === done) this.#lanes.delete(room);
    });
    this.#lanes.set(room, done);
  }

  #openIn(delayMs: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const { joining, openedAt } = this.#newest ?? {};
      const isBusy = joining?.size && Date.now() - (openedAt as number) < PATIENCE_MS;
      this.#isHeldBack = !!isBusy || this.#streams.size >= MOST_STREAMS;
      if (this.#isHeldBack) this.#openIn(PATIENCE_MS);
      else void this.#open();
    }, delayMs);
  }

  /** Opens a stream with all rooms, from where they are. The one before is read until this one has joined them. */
  async #open(): Promise<void> {
    const now = Date.now();
    const stream: Stream = {
      number: ++this.#count,
      openedAt: now,
      seenAt: now,
      abort: new AbortController(),
      // The blank is no room's name: it stands for the welcome.
      joining: new Map([" ", ...this.#rooms.keys()].map((room) => [room, []])),
    };
    const lastEventId = positionsOf(this.#rooms);
    const query = new URLSearchParams(
      [...this.#rooms].flatMap(([room, { presence }]) => [["room", room], ...(presence ? [["presence", room]] : [])]),
    );
    this.#newest = stream;
    this.#streams.add(stream);
    this.#seen = [];
    try {
      const response = await this.#fetch(`events?each&${query}`, {
        headers: { accept: "text/event-stream", ...(lastEventId && { "last-event-id": lastEventId }) },
        signal: stream.abort.signal,
      });
      if (!response.ok) this.#refused(await problemOf(response));
      else await readEvents(response.body as ReadableStream, (type, data) => this.#take(stream, type, data));
      throw new Error("the stream has ended");
    } catch (error) {
      this.#streams.delete(stream);
      if (stream === this.#newest && !this.#over.signal.aborted) this.#ended(stream, `${error}`);
    }
  }

  #ended({ joining }: Stream, reason: string): void {
    const wasAt = this.#endedAt;
    this.#endedAt = Date.now();
    // A proxy ends streams now and then. Not all at once are they opened anew.
    if (joining.size === 0 && this.#endedAt - wasAt > STABLE_MS) this.#openIn(Math.random() * 1000);
    else this.#down(1006, reason);
  }

  /** The server does not want this stream. */
  #refused(problem: Problem): void {
    const { code, retryMs } = problem;
    // Else it is somebody on the way, or a server that has no streams.
    this.#isHeard ||= retryMs !== undefined || code !== "unavailable";
    this.#tell({ ...problem, id: this.#helloId ?? this.#renewId });
    const close = ({ expired: 4203, unauthorized: 4200, forbidden: 4200 } as { [code: string]: number })[code];
    if (close) this.#down(close, code);
  }

  #take(stream: Stream, type: string, data: string): void {
    if (!this.#streams.has(stream) || this.#over.signal.aborted) return;
    stream.seenAt = Date.now();
    if (!type) {
      this.#tell({ type: "heartbeat" });
      return;
    }
    this.#isHeard = true;
    const frame = JSON.parse(data) as { readonly [name: string]: unknown } & { readonly room?: string };
    if (type === "welcome") this.#welcomed(stream, frame as unknown as ServerFrame<"welcome">);
    else if (type === "close") {
      const { code, reason, retryMs } = frame as unknown as { code: number; reason: string; retryMs?: number };
      this.#streams.delete(stream);
      stream.abort.abort();
      if (stream === this.#newest) this.#down(code, retryMs === undefined ? reason : JSON.stringify({ retryMs }));
    } else if (frame.room === undefined) {
      if (stream === this.#newest) this.#tell(frame);
    } else {
      const place = this.#rooms.get(frame.room);
      if (place && stream.number >= place.from) this.#takeOfRoom(stream, place, type, data, frame as never);
      if (type === "joined" || type === "removed" || type === "error") this.#settle(stream, frame.room);
    }
  }

  #welcomed(stream: Stream, welcome: ServerFrame<"welcome">): void {
    const { session, expiresInMs, heartbeatMs } = welcome;
    this.#session = session;
    if (this.#helloId !== undefined) {
      this.#tell({ ...welcome, id: this.#helloId });
      this.#helloId = undefined;
      this.#watch = setInterval(() => this.#check(heartbeatMs), heartbeatMs / 2);
      this.#events.works();
    }
    if (this.#renewId !== undefined) {
      this.#tell({ type: "renewed", id: this.#renewId, session, expiresInMs });
      this.#renewId = undefined;
    }
    this.#settle(stream, " ");
  }

  /** Requests may be answered while the stream is dead. */
  #check(heartbeatMs: number): void {
    const { seenAt, joining } = this.#newest as Stream;
    if (Date.now() - seenAt < heartbeatMs * 1.5) return;
    if (joining.size > 0) this.#down(1006, "the stream is silent");
    else this.#openIn(0);
  }

  /** A room's place in a stream is settled: the older streams are of no use once all are. */
  #settle({ number, joining }: Stream, room: string): void {
    joining.delete(room);
    if (joining.size > 0) return;
    for (const older of this.#streams) {
      if (older.number >= number) continue;
      this.#streams.delete(older);
      older.abort.abort();
    }
    if (!this.#isHeldBack) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#openIn(TOGETHER_MS);
  }

  #takeOfRoom(
    stream: Stream,
    place: Place,
    type: string,
    data: string,
    frame: ServerFrame<"joined"> & { offset?: number; retryMs?: number },
  ): void {
    const { room } = frame;
    if (type === "message") this.#takeEvent(stream, place, data, frame);
    else if (type === "presence") this.#tell(frame);
    else if (type === "joined") this.#joined(stream, place, frame);
    else {
      const { id } = place;
      const { retryMs } = frame;
      if (type === "reset") {
        place.position = frame.position;
        place.from = stream.number;
      } else if (id === undefined && retryMs !== undefined) {
        // To who was in already it is no news yet: what is missed comes with the next stream.
        this.#openIn(retryMs);
        return;
      } else this.#rooms.delete(room);
      // For good it comes as a removal.
      this.#tell(type !== "error" ? frame : id === undefined ? { ...frame, type: "removed" } : { ...frame, id });
    }
  }

  #joined(stream: Stream, place: Place, frame: ServerFrame<"joined">): void {
    const { position, recovered, room } = frame;
    const { id, position: was } = place;
    const events = stream.joining.get(room) ?? [];
    stream.joining.delete(room);
    place.from = stream.number;
    if (id !== undefined) {
      place.id = undefined;
      place.position = position;
      this.#tell({ ...frame, id, events });
      return;
    }
    if (was && !(recovered && position?.epoch === was.epoch)) {
      // What there is all the same comes behind it.
      place.position = position && { ...position, offset: (events[0]?.offset ?? position.offset + 1) - 1 };
      this.#tell({ type: "reset", room, position: place.position, reason: "history_lost" });
    }
    for (const event of events) this.#takeEvent(stream, place, "", event);
    // Whoever came or went while no stream had the room.
    const { members } = frame;
    if (members) this.#tell({ type: "presence", room, entered: members, left: [], count: members.length, all: true });
  }

  #takeEvent(stream: Stream, place: Place, data: string, event: Event): void {
    const { room, offset } = event;
    const { position } = place;
    const held = stream.joining.get(room);
    if (held) {
      held.push(event);
      return;
    }
    if (offset !== undefined) {
      if (!position || offset <= position.offset) return;
      place.position = { ...position, offset };
    } else if (stream !== this.#newest) {
      this.#seen = [...this.#seen.slice(1 - MOST_SEEN), data];
    } else {
      const index = this.#seen.indexOf(data);
      if (index >= 0) {
        this.#seen.splice(index, 1);
        return;
      }
    }
    this.#tell({ type: "events", room, events: [event] });
  }
}
