import { ProtocolError } from "../protocol/codes.js";
import { describe, isKey, isUser, MAX_USER_LENGTH } from "../protocol/fields.js";
import { isEventName, isRoomName, kindOf, MAX_KEY_LENGTH } from "../protocol/names.js";
import { Payload } from "../protocol/payload.js";
import type { Position } from "../protocol/positions.js";
import { isTenant } from "./access/access.js";
import { Usage } from "./access/limits/limits.js";
import { Permissions } from "./access/permissions.js";
import type { Revoke } from "./access/revocations/revocation.js";
import { Revocations } from "./access/revocations/revocations.js";
import { AccessRules } from "./access/rules.js";
import { TicketSeal } from "./access/ticket.js";
import type { Jwks } from "./access/tokens/jwks.js";
import type { Tokens } from "./access/tokens/tokens.js";
import { Cluster, type Count, type Counts, type NodeActions, type NodeInfo } from "./cluster/cluster.js";
import { ConfigError, enginesIn, parseSettings, rulesOf, type Settings, type SettingsInput } from "./config.js";
import { comeBack, Drain } from "./drain.js";
import type { Broker } from "./engine/engine.js";
import { type EngineDemands, openEngine } from "./engine/open.js";
import { type Hooks, Refusal } from "./hooks/hooks.js";
import { createLog, type Log } from "./log.js";
import type { MetricsSource } from "./metrics.js";
import { MetricsPort } from "./metrics-port.js";
import { nativeProblem } from "./native.js";
import { Revoking, revocationsRoom } from "./revoking.js";
import { fullName, shownName } from "./room/names.js";
import { Rooms } from "./room/rooms.js";
import { byHook, byTokens, everyone, type Identities } from "./session/identity.js";
import { Sessions } from "./session/sessions.js";
import { Slices } from "./session/slices.js";
import { verbs } from "./session/verbs.js";
import { jwksOf, secretsOf, tokensOf } from "./token-checks.js";
import { httpRoutes } from "./transport/http.js";
import { ListenError, Listener } from "./transport/listener.js";
import { isLoopback } from "./transport/upgrade.js";
import { WebSockets } from "./transport/websocket.js";
import { versionOf } from "./version.js";

export type {
  Action,
  AuthenticateQuestion,
  AuthorizeQuestion,
  CallQuestion,
  Hooks,
  Identity,
  PublishQuestion,
} from "./hooks/hooks.js";
export type { Count, Counts, Log, NodeInfo, Position, Revoke, Settings, SettingsInput };
export { ConfigError, ListenError, ProtocolError, Refusal };

/** Settings as in `docs/operations.md`, and the application's hooks. */
export type ServerOptions = SettingsInput &
  Hooks & {
    /** Where the server's own words go; by default lines on standard error. */
    readonly log?: Log | undefined;
  };

export type PublishOptions = {
  /** Names this publish: the same key from the same sender within the window is not a second event. */
  readonly key?: string;
  /** The user it is from. */
  readonly from?: string;
  /** Whose room it is; left out: the room of a server without tenants. */
  readonly tenant?: string;
};

export type UserOptions = {
  /** Whose user it is; left out: one of a server without tenants. */
  readonly tenant?: string | undefined;
};

export type TenantOptions = {
  /** Whose room it is; left out: the room of a server without tenants. */
  readonly tenant?: string | undefined;
};

/** How long a start waits for engines that cannot be reached yet, in milliseconds. */
const REACHED_MS = 5000;
/** How often it is looked whether the engines are there, or the last connection has gone, in milliseconds. */
const LOOK_MS = 10;

/** A running node. */
export interface Server {
  /** The TCP port it listens on. */
  readonly port: number;
  /** `http://host:port` */
  readonly url: string;
  /** `http://host:port/metrics`, where `metricsPort` is set. */
  readonly metricsUrl: string | undefined;
  readonly settings: Settings;
  /** How many clients are connected, those included that have not said hello. */
  readonly connections: number;
  /** How many rooms are open: with someone here, or lingering. */
  readonly openRooms: number;
  /** What of the engines cannot be reached now, a line each; empty when everything works. */
  problems(): readonly string[];
  /** The nodes that are there, this one first: those that gave a sign of life within `leaseMs`. */
  nodes(): readonly NodeInfo[];
  /**
   * Closes every session of the user, on all nodes (close code 4201: the SDK does not come back by itself). Whether the
   * user may come back is for `authenticate` to say. Resolves with how many there were. Rejects with `ProtocolError` for
   * what cannot be a user, and with `EngineError` where the other nodes cannot be asked; it is done on this one then too.
   */
  disconnect(user: string, options?: UserOptions): Promise<Count>;
  /** Takes the user's sessions out of the room, on all nodes, and tells each. Resolves and rejects as `disconnect` does. */
  remove(user: string, room: string, options?: UserOptions): Promise<Count>;
  /**
   * Takes back a token, all of a user's tokens, a user's right to be connected, or actions in rooms, on all nodes, until
   * the tokens that allow it have expired. Sessions that it concerns are closed (code 4200) or taken out of the rooms.
   * Resolves once it is in the log that all nodes read, and done on this one. Rejects with `ProtocolError` for what cannot
   * be, naming the field, and with `EngineError` where the log cannot be written now: it is done on this node then too, and
   * is written later.
   */
  revoke(what: Revoke): Promise<void>;
  /** How many clients and open rooms there are, on all nodes. Rejects with `EngineError` where they cannot be asked. */
  counts(): Promise<Counts>;
  /** How many clients are in the room, on all nodes. Rejects as `counts` does, and with `ProtocolError`. */
  count(room: string, options?: TenantOptions): Promise<Count>;
  /**
   * Publishes an event, as the application. Resolves once it is in the log, with its position; with `undefined` in a
   * room without history. Rejects with `ProtocolError` for names or data that cannot travel, and with `EngineError`.
   */
  publish(room: string, event: string, data: unknown, options?: PublishOptions): Promise<Position | undefined>;
  /**
   * Ends without any client noticing: `/ready` says no, load balancers have `noticeMs` to see it, then each client is
   * told to move to another node, in its turn within `drainMs`, and is served until it is there. Those who have not moved shortly
   * before `deadlineMs` are closed as by `close`. Where there is no other node to move to, it is `close`. Resolves
   * once everything has ended, after `deadlineMs` at the latest.
   */
  drain(): Promise<void>;
  /**
   * Takes no new connections, tells every client to come back (close code 4100, each after a delay of its own), waits
   * for publishes under way and ends. Resolves after `deadlineMs` at the latest. Cuts a drain short.
   */
  close(): Promise<void>;
}

/** Counts the turns of the event loop, and reads the clock once in each, while somebody asks. */
function turnClock(): { turn(): number; now(): number } {
  let turn = 1;
  let now = 0;
  let armed = false;
  const look = (): void => {
    if (armed) return;
    armed = true;
    now = performance.now();
    setImmediate(() => {
      turn++;
      armed = false;
    });
  };
  return {
    turn() {
      look();
      return turn;
    },
    now() {
      look();
      return now;
    },
  };
}

/** The application says who its clients are, or their tokens do; without either nobody is asked. */
function identitiesOf({ authenticate }: ServerOptions, tokens: Tokens, rules: AccessRules): Identities {
  if (authenticate !== undefined) return byHook(authenticate);
  return tokens.configured ? byTokens(tokens, rules.admitsAnonymous) : everyone;
}

const SETTING_FREE = ["authenticate", "authorize", "onPublish", "onCall", "log"] as const;

function settingsOf(options: ServerOptions): Settings {
  const given: { [name: string]: unknown } = { ...options };
  for (const name of SETTING_FREE) delete given[name];
  return parseSettings(given as SettingsInput, { authenticates: options.authenticate !== undefined });
}

/**
 * Starts a node in this process: on Redis or NATS, where they are configured, else on the memory engine alone. It listens
 * once the promise is resolved; engines that cannot be reached by then are connected to later.
 * Rejects with `ConfigError` for settings that are wrong, and with `ListenError` where the port cannot be had.
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const settings = settingsOf(options);
  const log = options.log ?? createLog({ level: settings.logLevel });
  const loopback = isLoopback(settings.host);
  const problem = nativeProblem();
  if (problem !== undefined) throw new Error(problem);
  const listener = await Listener.create();
  const failed = (error: unknown): void => log.error("an unexpected error", { error: String(error) });
  const sockets = new WebSockets(listener.app, { ...settings, loopback }, failed);
  sockets.onCrowdedAddress = (address, reason) => {
    log.warn("refusing connections: too many from one address; is it a balancer's?", { address, reason });
  };
  const rulesFor = rulesOf(settings);
  const jwks = jwksOf(settings, log);
  const tokens = tokensOf(settings, jwks);
  const isOpen = options.authenticate === undefined && options.authorize === undefined && !tokens.configured;
  const access = new AccessRules(settings.kinds, { isOpen, maxFrameBytes: settings.maxFrameBytes });
  const revocations = new Revocations();
  const rooms = new Rooms({
    openBroker: await openEngine(settings, demandsOf(settings), log),
    fanout: sockets,
    rulesFor,
    reserved: {
      deliver: (room, events) => revoking.deliver(room, events) || cluster.deliver(room, events),
      suspect: (room) => revoking.suspect(room) || cluster.suspect(),
    },
    lingerMs: settings.lingerMs,
    checkMs: settings.checkMs,
  });
  let state: "starting" | "ready" | "closing" = "starting";
  const actions: NodeActions = {
    state: () => ({
      address: server.url,
      connections: sessions.size,
      sessions: sessions.welcomed,
      rooms: rooms.size,
      problems: rooms.broker.problems(),
      draining: state === "closing",
    }),
    disconnect: (user, tenant) => sessions.disconnect(user, tenant),
    remove: (user, tenant, room) => sessions.takeOut(user, tenant, room),
    revoke: (revocation) => revoking.revokeWritten(revocation),
    revocations: (from, most) => revoking.list(from, most),
    count: (room, tenant) => rooms.find(fullName(tenant, room))?.size ?? 0,
  };
  const usage = new Usage(settings, (room) => rooms.find(room)?.holds ?? 0);
  const { node: name, leaseMs } = settings;
  const cluster = new Cluster({ name, version: versionOf(), broker: rooms.broker, actions, usage, leaseMs, log });
  const sessions = new Sessions({
    context: {
      node: settings.node,
      verbs,
      rooms,
      hooks: options,
      identities: identitiesOf(options, tokens, access),
      permissions: new Permissions(access, revocations),
      limits: settings,
      usage,
      heartbeatMs: settings.heartbeatMs,
      tickets: new TicketSeal(secretsOf(settings), settings.resumeWindowMs),
      log,
      slices: new Slices(),
      ...turnClock(),
    },
    helloTimeoutMs: settings.helloTimeoutMs,
    publishedBytes: () => sockets.publishedBytes,
  });
  const enforce = async () => void (await sessions.checkRevoked());
  const { maxTokenLifeMs } = settings;
  const [engine = "memory"] = enginesIn(settings);
  const revoking = new Revoking({ broker: rooms.broker, engine, revocations, maxTokenLifeMs, enforce, log });
  const problems = (): string[] => [
    ...(state === "ready" ? [] : [state]),
    ...rooms.broker.problems(),
    ...revoking.problems(),
  ];
  listener.serve(httpRoutes({ problems, engines: enginesIn(settings), page: settings.page }), failed);
  const onClosing = () => {
    state = "closing";
    cluster.announce();
  };
  const numbers = () => ({
    state: state === "closing" ? ("draining" as const) : state,
    connections: sessions.size,
    sessions: sessions.welcomed,
    handshakes: sessions.handshakes,
    refused: sockets.refused,
    limited: usage.refused,
    rooms: rooms.size,
    publishedBytes: sockets.publishedBytes,
    logReads: rooms.logReads,
    strays: rooms.strays,
    problems: rooms.broker.problems().length,
    drain: { left: state === "closing" ? sessions.size : 0, moved: sessions.moved, closed: sessions.sentAway },
  });
  const metrics = { node: name, version: versionOf(), numbers };
  const server = new Node({
    settings,
    log,
    listener,
    sockets,
    rooms,
    sessions,
    cluster,
    revoking,
    jwks,
    metrics,
    failed,
    onClosing,
  });
  await server.listen();
  await Promise.all([reached(rooms.broker, log), jwks?.start()]);
  await revoking.start();
  if (state === "starting") state = "ready";
  // It goes on trying by itself where the engine is away.
  void cluster.start();
  return server;
}

/** What all kinds of rooms together ask of the engines. Kinds that are not named have the rules of `*`. */
function demandsOf(settings: Settings): EngineDemands {
  const rulesFor = rulesOf(settings);
  const onNats = [...Object.keys(settings.kinds), "*"].map(rulesFor).filter(({ engine }) => engine === "nats");
  return {
    engineOf: (room) => rulesFor(kindOf(shownName(room))).engine,
    maxHistory: Math.max(0, ...onNats.map(({ history }) => history.size)),
    maxKeyWindowMs: Math.max(1000, ...onNats.map(({ keyWindowMs }) => keyWindowMs)),
    own: revocationsRoom(settings.maxTokenLifeMs),
  };
}

/**
 * Waits a moment for the engines. One that is away does not keep the node from starting: it connects for ever, and says
 * at `/ready` that it has not yet.
 */
async function reached(broker: Broker, log: Log): Promise<void> {
  const until = performance.now() + REACHED_MS;
  while (broker.problems().length > 0 && performance.now() < until) {
    await new Promise((next) => setTimeout(next, LOOK_MS));
  }
  for (const problem of broker.problems()) log.warn(`starting without an engine: ${problem}`);
}

type Parts = {
  readonly settings: Settings;
  readonly log: Log;
  readonly listener: Listener;
  readonly sockets: WebSockets;
  readonly rooms: Rooms;
  readonly sessions: Sessions;
  readonly cluster: Cluster;
  readonly revoking: Revoking;
  readonly jwks: Jwks | undefined;
  readonly metrics: MetricsSource;
  readonly failed: (error: unknown) => void;
  readonly onClosing: () => void;
};

class Node implements Server {
  readonly settings: Settings;
  readonly #parts: Parts;
  #port = 0;
  #metrics: MetricsPort | undefined;
  #closing: Promise<void> | undefined;
  #drain: Drain | undefined;

  constructor(parts: Parts) {
    this.settings = parts.settings;
    this.#parts = parts;
  }

  async listen(): Promise<void> {
    const { listener, settings, sockets, sessions, rooms, metrics, failed } = this.#parts;
    const { host, port, metricsPort } = settings;
    try {
      this.#port = await listener.listen(host, port);
      if (metricsPort !== undefined) {
        this.#metrics = await MetricsPort.open({ host, port: metricsPort }, metrics, failed);
      }
    } catch (error) {
      listener.stop();
      await rooms.close();
      throw error;
    }
    sockets.start(sessions);
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return this.#urlOf(this.#port);
  }

  get metricsUrl(): string | undefined {
    return this.#metrics && `${this.#urlOf(this.#metrics.port)}/metrics`;
  }

  #urlOf(port: number): string {
    const { host } = this.settings;
    return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  get connections(): number {
    return this.#parts.sessions.size;
  }

  get openRooms(): number {
    return this.#parts.rooms.size;
  }

  problems(): readonly string[] {
    return [...this.#parts.rooms.broker.problems(), ...this.#parts.revoking.problems()];
  }

  async publish(
    room: string,
    event: string,
    data: unknown,
    options: PublishOptions = {},
  ): Promise<Position | undefined> {
    const { rooms, sessions } = this.#parts;
    if (!isRoomName(room)) throw new ProtocolError("room", "a room's name", describe(room));
    if (!isEventName(event)) throw new ProtocolError("event", "an event's name", describe(event));
    const { key, from, tenant = "" } = options;
    if (tenant !== "" && !isTenant(tenant)) {
      throw new ProtocolError("tenant", "1 to 32 characters of A-Z a-z 0-9 _ - .", describe(tenant));
    }
    if (key !== undefined && !isKey(key)) {
      throw new ProtocolError("key", `1 to ${MAX_KEY_LENGTH} characters`, describe(key));
    }
    if (from !== undefined && !isUser(from)) {
      throw new ProtocolError("from", `1 to ${MAX_USER_LENGTH} characters`, describe(from));
    }
    const payload = Payload.ofValue(data);
    const { maxFrameBytes } = this.settings;
    // A larger one would be more than a slow reader may have waiting: it would be cut off at it, over and over.
    if (!payload.isWithin(maxFrameBytes)) {
      throw new ProtocolError("data", `at most ${maxFrameBytes} bytes (maxFrameBytes)`, `${payload.size}`);
    }
    const { maxEventBytes } = sessions.context.permissions.rules.of(kindOf(room));
    if (!payload.isWithin(maxEventBytes)) {
      throw new ProtocolError("data", `at most ${maxEventBytes} bytes (maxEventBytes)`, `${payload.size}`);
    }
    const published = { event, data: payload, from, at: Date.now(), key };
    const name = fullName(tenant, room);
    return rooms.broker.publish(name, published, rooms.rulesFor(name));
  }

  nodes(): readonly NodeInfo[] {
    return this.#parts.cluster.nodes();
  }

  disconnect(user: string, { tenant }: UserOptions = {}): Promise<Count> {
    return this.#parts.cluster.disconnect(user, tenant);
  }

  remove(user: string, room: string, { tenant }: UserOptions = {}): Promise<Count> {
    return this.#parts.cluster.remove(user, room, tenant);
  }

  // What is wrong rejects, like everything else.
  async revoke(what: Revoke): Promise<void> {
    await this.#parts.revoking.revoke(what);
  }

  counts(): Promise<Counts> {
    return this.#parts.cluster.counts();
  }

  count(room: string, { tenant }: TenantOptions = {}): Promise<Count> {
    return this.#parts.cluster.count(room, tenant);
  }

  drain(): Promise<void> {
    this.#closing ??= this.#end(() => this.#moveClients());
    return this.#closing;
  }

  close(): Promise<void> {
    this.#drain?.hurry();
    this.#closing ??= this.#end(() => this.#closeClients());
    return this.#closing;
  }

  /** Whether clients that are told to move would find another node. */
  get #isAlone(): boolean {
    const { rooms, cluster } = this.#parts;
    // Without its engine it cannot know.
    return rooms.broker.problems().length === 0 && cluster.nodes().every(({ self, draining }) => self || draining);
  }

  async #moveClients(): Promise<void> {
    const { sessions, rooms, listener, sockets, log, settings } = this.#parts;
    const stopTaking = () => {
      listener.stop();
      sockets.stopTaking();
    };
    const parts = { clients: sessions, log, stopTaking, isAlone: () => this.#isAlone, flush: () => rooms.flush() };
    this.#drain = new Drain(settings, parts);
    await this.#drain.run();
  }

  #closeClients(): void {
    const { listener, sockets, rooms, sessions } = this.#parts;
    listener.stop();
    sockets.stopTaking();
    // What the log has everyone gets before the goodbye.
    rooms.flush();
    sessions.sendAway(comeBack);
  }

  async #end(letClientsGo: () => Promise<void> | void): Promise<void> {
    const { listener, sockets, rooms, sessions, cluster, revoking, jwks, log, settings, onClosing } = this.#parts;
    const until = performance.now() + settings.deadlineMs;
    onClosing();
    log.info("closing", { connections: sessions.size });
    await letClientsGo();
    sockets.stop();
    sessions.stop();
    jwks?.close();
    const lookUntil = async (done: () => boolean) => {
      while (!done() && performance.now() < until) await new Promise((next) => setTimeout(next, LOOK_MS));
    };
    // A publish that waits for the application may still come into the log: its sender will ask again, with its key.
    await lookUntil(() => sessions.pending === 0);
    try {
      await cluster.close();
      await revoking.close();
      await rooms.close();
      await lookUntil(() => sockets.open === 0);
    } finally {
      // Whatever the engine makes of its end, nothing here holds the process open.
      if (sockets.open > 0) {
        log.warn("cutting connections that did not end in time", { connections: sockets.open });
        listener.cut();
      } else {
        // A client that never reads that it was closed would hold the process open for as long as TCP waits for it.
        setTimeout(() => listener.cut(), Math.max(0, until - performance.now())).unref();
      }
      this.#metrics?.close();
    }
    log.info("closed");
  }
}
