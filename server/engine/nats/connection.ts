/**
 * One connection to NATS, and the only file that imports `nats`. The client's own reconnecting is not used: it buffers
 * what is published meanwhile, subscribes everything again in one go, and leaves flushes unsettled. Here every connection
 * is a new one of the client's; what was under way fails, and subscriptions come back in slices.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { connect, credsAuthenticator, type MsgHdrs, type NatsConnection } from "nats";
import type { Log } from "../../log.js";
import type { Circuit } from "../circuit.js";
import { EngineError, LOST_RETRY_MS } from "../engine.js";
import type { NatsServer } from "./address.js";
import { Calls, type Receive } from "./calls.js";
import { Incoming, type NatsMessage } from "./incoming.js";

/** How many subscriptions are sent in one turn of the loop. */
const SLICE = 1000;
/** The pause before the next attempt to connect, in milliseconds: doubled up to the second, with jitter. */
const RETRY_MS = [50, 1000] as const;
/** How long an attempt to connect may take, in milliseconds. */
const CONNECT_MS = 2000;
/** Bytes that were written and may not have reached the server: how many until it is asked, and how many at the most. */
const CONFIRM_BYTES = 1_048_576;
const MAX_UNCONFIRMED_BYTES = 67_108_864;
const HOUR_MS = 3_600_000;

/**
 * A subscription, as this node wants it, whatever connection there is. To the client it is one of its own: the client's
 * take over a kilobyte each.
 */
export class Watch {
  readonly subject: string;
  readonly #take: (message: Incoming) => void;
  /** What the client reads and sets. */
  sid = 0;
  received = 0;
  queue = undefined;
  max: number | undefined = undefined;
  /** What it was last subscribed on: a number of another connection must not be given back to this one. */
  on: object | undefined = undefined;

  constructor(subject: string, take: (message: Incoming) => void) {
    this.subject = subject;
    this.#take = take;
  }

  callback(error: Error | null, message: NatsMessage): void {
    if (error === null) this.#take(new Incoming(message));
  }

  close(): void {
    // The client's subscriptions end an iterator here; there is none.
  }
}

/** What is used of the client's insides; its version is pinned to the major, and the tests run through all of it. */
type Insides = {
  readonly protocol: {
    /** Without a socket once it is closed. */
    readonly transport: { readonly socket: Socket | undefined };
    subscribe(subscription: Watch): void;
    unsubscribe(subscription: Watch): void;
    /** Tells the server alone: what is on its way still comes. */
    unsub(subscription: Watch): void;
  };
};

/**
 * The client takes all listeners off a socket before it destroys it. The error of a write to a server that has just said
 * goodbye comes a moment later: without anyone to hear it, it would end the process.
 */
function hearLateErrors(socket: Socket | undefined): void {
  if (socket === undefined) return;
  const removeAll = socket.removeAllListeners.bind(socket);
  socket.removeAllListeners = (...events) => removeAll(...events).on("error", () => undefined);
}

export type ConnectionOptions = {
  readonly servers: readonly NatsServer[];
  /** The path of a .creds file. */
  readonly credentials?: string | undefined;
  readonly timeoutMs: number;
  readonly probeMs: number;
  readonly log: Log;
  /** Opened and closed by the connection. */
  readonly circuit: Circuit;
};

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #circuit: Circuit;
  /** Called when there is a connection again and all subscriptions are at the server. */
  readonly #connected: () => void;
  readonly #lost: () => void;
  readonly #watches = new Set<Watch>();
  readonly #calls: Calls;
  readonly #inbox = `_INBOX.${randomBytes(12).toString("hex")}`;
  readonly #probeTimer: NodeJS.Timeout;
  #nc: NatsConnection | undefined;
  #insides: Insides["protocol"] | undefined;
  /** The largest payload that the server takes, headers included, in bytes. */
  #maxPayload = 1_048_576;
  #sent = 0;
  #confirmed = 0;
  #confirming = false;
  #probing = false;
  #closed = false;
  readonly #stop = new AbortController();

  constructor(options: ConnectionOptions, connected: () => void, lost: () => void) {
    this.#options = options;
    this.#circuit = options.circuit;
    this.#connected = connected;
    this.#lost = lost;
    this.#calls = new Calls(options.timeoutMs);
    this.watch(`${this.#inbox}.*`, (reply) => this.#calls.take(reply.subject.slice(this.#inbox.length + 1), reply));
    this.#probeTimer = setInterval(() => void this.#probe(), options.probeMs);
    this.#probeTimer.unref();
    void this.#connectForEver();
  }

  get isUp(): boolean {
    return this.#nc !== undefined;
  }

  /** The largest payload that the server takes, headers included, in bytes. */
  get maxPayload(): number {
    return this.#maxPayload;
  }

  /** Subscribes, now and on every later connection. The server has it once a `flush` after it has resolved. */
  watch(subject: string, take: (message: Incoming) => void): Watch {
    const watch = new Watch(subject, take);
    this.#watches.add(watch);
    this.#subscribe(watch);
    return watch;
  }

  unwatch(watch: Watch): void {
    if (!this.#watches.delete(watch) || this.#insides === undefined) return;
    if (watch.on === this.#insides) this.#insides.unsubscribe(watch);
  }

  /** Asks the server for nothing more of it. What is on its way still comes, until a `flush` after this has resolved. */
  quiet(watch: Watch): void {
    if (this.#watches.has(watch) && watch.on === this.#insides) this.#insides?.unsub(watch);
  }

  #subscribe(watch: Watch): void {
    if (this.#insides === undefined) return;
    watch.on = this.#insides;
    this.#insides.subscribe(watch);
  }

  /** Publishes without an answer. Throws an `EngineError` where it cannot be handed to a connection. */
  publish(subject: string, data: Uint8Array, headers?: Uint8Array, reply?: string): void {
    const nc = this.#nc;
    if (nc === undefined) throw new EngineError("unavailable", "NATS: not connected");
    if (this.#sent - this.#confirmed > MAX_UNCONFIRMED_BYTES) {
      throw new EngineError("unavailable", "NATS: the server does not keep up");
    }
    const size = data.length + (headers?.length ?? 0);
    if (size > this.#maxPayload) {
      throw new EngineError("unavailable", `NATS: ${size} bytes are more than its max_payload of ${this.#maxPayload}`);
    }
    try {
      if (reply === undefined && headers === undefined) nc.publish(subject, data);
      else if (headers === undefined) nc.publish(subject, data, { reply: reply ?? "" });
      else nc.publish(subject, data, { reply: reply ?? "", headers: { encode: () => headers } as unknown as MsgHdrs });
    } catch (error) {
      throw new EngineError("unavailable", `NATS: ${error instanceof Error ? error.message : "cannot publish"}`);
    }
    this.#sent += size + 100;
    if (this.#sent - this.#confirmed > CONFIRM_BYTES && !this.#confirming) void this.#confirm();
  }

  /** Publishes, and resolves with the answer. Rejects with an `EngineError`, at the latest after `timeoutMs`. */
  request(subject: string, data: Uint8Array, headers?: Uint8Array): Promise<Incoming> {
    return new Promise((resolve, reject) => {
      const receive = (reply: Incoming): boolean => {
        resolve(reply);
        return true;
      };
      const token = this.#calls.add(receive, reject);
      if (token !== undefined) this.#ask(token, subject, data, `${this.#inbox}.${token}`, reject, headers);
    });
  }

  /**
   * Publishes, and gives every answer to `receive` until that says that it was the last one. The answers may have any
   * subject: those of a consumer have the subjects of its messages.
   */
  requestMany(subject: string, data: Uint8Array, receive: Receive, fail: (error: EngineError) => void): void {
    const failed = (error: EngineError): void => {
      if (watch !== undefined) this.unwatch(watch);
      fail(error);
    };
    let watch: Watch | undefined;
    const token = this.#calls.add((reply) => {
      const isLast = receive(reply);
      if (isLast && watch !== undefined) this.unwatch(watch);
      return isLast;
    }, failed);
    if (token === undefined) return;
    const inbox = `${this.#inbox}.many.${token}`;
    watch = this.watch(inbox, (reply) => this.#calls.take(token, reply));
    this.#ask(token, subject, data, inbox, failed);
  }

  #ask(
    token: string,
    subject: string,
    data: Uint8Array,
    inbox: string,
    fail: (error: EngineError) => void,
    headers?: Uint8Array,
  ): void {
    try {
      this.publish(subject, data, headers, inbox);
    } catch (error) {
      this.#calls.drop(token);
      fail(error as EngineError);
    }
  }

  /** Resolves once the server has had everything sent so far. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const nc = this.#nc;
      if (nc === undefined) {
        reject(new EngineError("unavailable", "NATS: not connected"));
        return;
      }
      const token = this.#calls.add(() => true, reject);
      if (token === undefined) return;
      const arrived = (): void => {
        this.#calls.drop(token);
        resolve();
      };
      // It rejects only together with the connection, which fails all calls.
      nc.flush().then(arrived, () => undefined);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop.abort();
    clearInterval(this.#probeTimer);
    this.#circuit.end();
    const nc = this.#nc;
    this.#nc = undefined;
    this.#insides = undefined;
    this.#calls.failAll(new EngineError("unavailable", "NATS: closed", 0));
    this.#calls.close();
    this.#watches.clear();
    await nc?.close().catch(() => undefined);
  }

  async #connectForEver(): Promise<void> {
    let retryMs: number = RETRY_MS[0];
    let next = Math.floor(Math.random() * this.#options.servers.length);
    while (!this.#closed) {
      const server = this.#options.servers[next++ % this.#options.servers.length] as NatsServer;
      try {
        const nc = await this.#dial(server);
        retryMs = RETRY_MS[0];
        await this.#use(nc);
      } catch (error) {
        const reason = error instanceof Error ? error.message : "it failed";
        if (!this.#closed) this.#circuit.trip(`cannot connect to ${server.host}:${server.port}: ${reason}`);
        retryMs = Math.min(retryMs * 2, RETRY_MS[1]);
      }
      const waitMs = retryMs * (0.5 + Math.random() / 2);
      await pause(waitMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
    }
  }

  async #dial(server: NatsServer): Promise<NatsConnection> {
    const { credentials, timeoutMs } = this.#options;
    const { host, port, user, password, token } = server;
    return connect({
      servers: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
      name: "roomcast",
      reconnect: false,
      timeout: Math.min(CONNECT_MS, Math.max(timeoutMs, 500)),
      // The client's own look at the connection does not end one whose buffer is full: see #probe.
      pingInterval: HOUR_MS,
      ignoreClusterUpdates: true,
      noAsyncTraces: true,
      ...(server.tls ? { tls: {} } : {}),
      ...(user === undefined ? {} : { user, pass: password ?? "" }),
      ...(token === undefined ? {} : { token }),
      ...(credentials === undefined ? {} : { authenticator: credsAuthenticator(await readFile(credentials)) }),
    });
  }

  /** Resolves when the connection is gone. */
  async #use(nc: NatsConnection): Promise<void> {
    if (this.#closed) {
      await nc.close();
      return;
    }
    const gone = nc.closed().then((error) => this.#drop(nc, error instanceof Error ? error.message : "it was closed"));
    this.#nc = nc;
    this.#insides = (nc as unknown as Insides).protocol;
    hearLateErrors(this.#insides.transport.socket);
    this.#maxPayload = nc.info?.max_payload ?? this.#maxPayload;
    this.#sent = 0;
    this.#confirmed = 0;
    this.#confirming = false;
    try {
      await this.#subscribeAll(nc);
      await this.flush();
      if (this.#nc === nc) {
        this.#circuit.close();
        this.#connected();
      }
    } catch (error) {
      this.#drop(nc, error instanceof Error ? error.message : "it was not to be set up");
    }
    await gone;
  }

  async #subscribeAll(nc: NatsConnection): Promise<void> {
    let count = 0;
    // The set may change meanwhile: what is added is met at its end, and was subscribed when it was added.
    for (const watch of this.#watches) {
      if (this.#nc !== nc) return;
      if (watch.on !== this.#insides) this.#subscribe(watch);
      if (++count % SLICE === 0) await turn();
    }
  }

  #drop(nc: NatsConnection, reason: string): void {
    if (this.#nc !== nc) return;
    this.#nc = undefined;
    this.#insides = undefined;
    this.#circuit.trip(`connection lost: ${reason}`);
    this.#calls.failAll(new EngineError("timeout", "NATS: the connection was lost before the answer", LOST_RETRY_MS));
    this.#lost();
    void nc.close().catch(() => undefined);
  }

  /** Ends a connection that gives no sign of life, so that one that is half open is found out. */
  async #probe(): Promise<void> {
    const nc = this.#nc;
    if (nc === undefined || this.#probing) return;
    this.#probing = true;
    const patience = Math.max(this.#options.probeMs, this.#options.timeoutMs, 1000);
    const pong = nc.flush().then(
      () => true,
      () => false,
    );
    let heard = -1;
    for (let alive = false; !alive && this.#nc === nc; ) {
      alive = await Promise.race([pong, pause(patience, false, { ref: false })]);
      const { inBytes } = nc.stats();
      // The answer may stand behind much that is on its way here: whoever still sends is there.
      if (!alive && inBytes === heard) this.#drop(nc, "no answer to a probe");
      heard = inBytes;
    }
    this.#probing = false;
  }

  async #confirm(): Promise<void> {
    const nc = this.#nc;
    const sent = this.#sent;
    this.#confirming = true;
    await nc?.flush().catch(() => undefined);
    if (this.#nc !== nc) return;
    this.#confirmed = sent;
    this.#confirming = false;
  }
}
