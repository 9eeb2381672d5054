/** One connection to Redis, from its handshake to its end. The only file that imports ioredis. */
import { Command, Redis, type RedisOptions } from "ioredis";
import { EngineError, LOST_RETRY_MS } from "../engine.js";
import type { RedisShard } from "./address.js";
import { Calls } from "./calls.js";
import { Runs } from "./runs.js";
import { allScripts, type Script } from "./scripts.js";
import type { Reply } from "./wire.js";

/** Where a connection leads: of a `RedisShard` what is needed to get there. */
export type Target = Pick<RedisShard, "hosts" | "primary" | "tls" | "db" | "username" | "password">;

export type ConnectionOptions = {
  /** What it leads to, as people are told. */
  readonly name: string;
  readonly target: Target;
  /** How long an answer may take, and the handshake, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether scripts will be run on it. */
  readonly runsScripts: boolean;
};

export type ConnectionEvents = {
  /** Something was published in a room that is subscribed on this connection. Throws nothing. */
  published?(name: Buffer, bytes: Buffer): void;
  /** It is gone, for this reason. Once, and only after it was open. */
  closed(reason: string): void;
  /** An answer was late. */
  late?(): void;
  answered?(): void;
  /** A Cluster took a subscribed room to another server. */
  moved?(): void;
};

/** What a command is made of, after its name. */
export type Word = string | number | Buffer;

/** Redis answered with an error. */
export class Refused extends EngineError {
  /** In Redis's words, which begin with a code: `MOVED 3999 127.0.0.1:6381`. */
  readonly reply: string;

  constructor(name: string, reply: string) {
    super("unavailable", `${name}: ${reply}`);
    this.reply = reply;
  }
}

/** The most calls that may wait for an answer. */
const MOST_UNDER_WAY = 10_000;
/** Answers that say that this is not a server to write to: it is left, and looked for anew. */
const WRONG_SERVER = /^(READONLY|LOADING|MASTERDOWN)\b/;

function optionsOf(
  { target, timeoutMs }: ConnectionOptions,
  attempt: number,
): RedisOptions & { replyMapping: "legacy" } {
  const { hosts, primary, tls, db, username, password } = target;
  // Another Sentinel at every attempt: the first one may be there and be wrong.
  const first = attempt % hosts.length;
  const address =
    primary === undefined
      ? { host: hosts[0].host, port: hosts[0].port }
      : {
          sentinels: [...hosts.slice(first), ...hosts.slice(0, first)],
          name: primary,
          updateSentinels: false,
          sentinelRetryStrategy: () => null,
          sentinelCommandTimeout: timeoutMs,
          ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
        };
  return {
    ...address,
    ...(tls ? { tls: {} } : {}),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    db,
    replyMapping: "legacy",
    lazyConnect: true,
    connectTimeout: timeoutMs,
    // One object is one connection: what is lost, resent and subscribed again is decided here, not there.
    retryStrategy: () => null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectionName: "roomcast",
  };
}

/**
 * A connection that is open. What is sent on it takes effect in the order it was sent. Every call settles: by its
 * answer, after `timeoutMs`, or at once when the connection closes: both are an `EngineError` "timeout", since it may
 * have its effect. What was never sent is refused as "unavailable".
 */
export class Connection {
  readonly #redis: Redis;
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #calls: Calls<Reply>;
  #isClosed = false;
  #isCorked = false;
  readonly #runs: Runs<Reply>;

  private constructor(redis: Redis, options: ConnectionOptions, events: ConnectionEvents) {
    this.#redis = redis;
    this.#options = options;
    this.#events = events;
    this.#calls = new Calls(options.timeoutMs, () => {
      events.late?.();
      return new EngineError("timeout", `${options.name}: no answer within ${options.timeoutMs} ms`);
    });
    this.#runs = new Runs({
      send: (words, resolve, reject) => this.#send("evalsha", words as Word[], resolve, reject),
      reload: () => void this.#load().catch(() => undefined),
      isUnknown: (error) => error instanceof Refused && error.reply.startsWith("NOSCRIPT"),
    });
    redis.once("close", () => this.destroy("the connection was closed"));
    redis.on("messageBuffer", (name: Buffer, bytes: Buffer) => events.published?.(name, bytes));
    redis.on("smessageBuffer", (name: Buffer, bytes: Buffer) => events.published?.(name, bytes));
    redis.on("moved", () => events.moved?.());
  }

  /** Rejects with an `Error` that says why not. `attempt` counts those that came before. */
  static async open(options: ConnectionOptions, attempt: number, events: ConnectionEvents): Promise<Connection> {
    const redis = new Redis(optionsOf(options, attempt));
    let reason: string | undefined;
    redis.on("error", (error: Error) => {
      reason = error.message;
    });
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("no answer to the connection")), options.timeoutMs * 2);
    });
    try {
      await Promise.race([redis.connect(), patience]);
      const connection = new Connection(redis, options, events);
      await Promise.race([connection.#prepare(), patience]);
      return connection;
    } catch (error) {
      redis.disconnect();
      redis.stream?.destroy();
      throw new Error(reason ?? (error as Error).message);
    } finally {
      clearTimeout(timer);
    }
  }

  async #prepare(): Promise<void> {
    const checks: Promise<unknown>[] = [];
    if (this.#options.target.primary !== undefined) checks.push(this.#checkRole());
    if (this.#options.runsScripts) checks.push(this.#load());
    await Promise.all(checks);
    if (this.#isClosed) throw new Error("the connection was closed");
  }

  async #checkRole(): Promise<void> {
    const [role] = (await this.send("role", [])) as Reply[];
    if (String(role) !== "master") throw new Error("this server is not the primary");
  }

  async #load(): Promise<void> {
    await Promise.all(allScripts.map(({ source }) => this.send("script", ["LOAD", source])));
  }

  /** The address it has got to, which a Sentinel may have named. */
  get address(): string {
    const { remoteAddress, remotePort } = this.#redis.stream;
    return `${remoteAddress}:${remotePort}`;
  }

  /** How many calls wait for an answer. */
  get underWay(): number {
    return this.#calls.size + this.#runs.held;
  }

  /** How many bytes have come: as long as it rises, the server is there. */
  get bytesRead(): number {
    return this.#redis.stream.bytesRead;
  }

  /** What is subscribed by sharded pub/sub, as far as the server has said. */
  get subscribed(): ReadonlySet<string> {
    const subscriber = this.#redis.condition?.subscriber;
    return new Set(subscriber ? subscriber.channels("ssubscribe") : []);
  }

  /** Sends one command. */
  send(command: string, words: readonly Word[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal();
      if (refusal === undefined) this.#send(command, words, resolve, reject);
      else reject(refusal);
    });
  }

  /** Runs a script. */
  run(script: Script, keys: readonly string[], words: readonly Word[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) reject(refusal);
      else this.#runs.run([script.sha, keys.length, ...keys, ...words], resolve, reject);
    });
  }

  /** A look whether the server is still there, also when there are too many calls. With a Sentinel, whether it is still the primary. */
  async probe(): Promise<void> {
    const byRole = this.#options.target.primary !== undefined && this.#options.runsScripts;
    const reply = await new Promise<Reply>((resolve, reject) => {
      if (this.#isClosed) reject(this.#gone());
      else this.#send(byRole ? "role" : "ping", [], resolve, reject);
    });
    if (byRole && String((reply as Reply[])[0]) !== "master") this.destroy("this server is not the primary any more");
  }

  #refusal(): EngineError | undefined {
    if (this.#isClosed) return this.#gone();
    if (this.underWay < MOST_UNDER_WAY) return undefined;
    return new EngineError("unavailable", `${this.#options.name}: ${MOST_UNDER_WAY} calls wait for an answer`);
  }

  #gone(): EngineError {
    return new EngineError("unavailable", `${this.#options.name}: the connection is gone`, LOST_RETRY_MS);
  }

  #lost(): EngineError {
    return new EngineError(
      "timeout",
      `${this.#options.name}: the connection was lost before the answer`,
      LOST_RETRY_MS,
    );
  }

  #send(name: string, words: readonly Word[], resolve: (reply: Reply) => void, reject: (error: Error) => void): void {
    const call = this.#calls.add(resolve, reject);
    const command = new Command(name, words as Word[], { replyEncoding: null });
    // In place of the command's own promise, which is a promise and several functions more for every call.
    command.resolve = (reply) => {
      this.#calls.answered(call);
      this.#events.answered?.();
      call.resolve(reply as Reply);
    };
    command.reject = (error) => {
      this.#calls.answered(call);
      call.reject(this.#errorOf(error));
    };
    this.#cork();
    this.#redis.sendCommand(command);
  }

  /** What is sent in one turn leaves in one write. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { stream } = this.#redis;
    stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }

  #errorOf(error: Error): EngineError {
    if (error.name !== "ReplyError") return this.#lost();
    if (WRONG_SERVER.test(error.message)) setImmediate(() => this.destroy(error.message));
    return new Refused(this.#options.name, error.message);
  }

  /** Closes it at once. What is under way rejects. */
  destroy(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#redis.disconnect();
    this.#redis.stream.destroy();
    this.#runs.abort(() => this.#gone());
    this.#calls.abort(() => this.#lost());
    this.#events.closed(reason);
  }
}
