/** A running node, as the application has it. */
import { ProtocolError } from "../protocol/codes.js";
import { describe, isKey, isUser, MAX_USER_LENGTH } from "../protocol/fields.js";
import { isEventName, isRoomName, isTenantOrNone, kindOf, MAX_KEY_LENGTH, TENANT_TEXT } from "../protocol/names.js";
import { Payload } from "../protocol/payload.js";
import type { Position } from "../protocol/positions.js";
import type { Revoke } from "./access/revocations/revocation.js";
import type { Jwks } from "./access/tokens/jwks.js";
import type { Cluster, Count, Counts, NodeInfo } from "./cluster/cluster.js";
import type { Settings } from "./config.js";
import { comeBack, Drain } from "./drain.js";
import type { DecisionCache } from "./hooks/decision-cache.js";
import type { Log } from "./log.js";
import type { MetricsSource } from "./metrics.js";
import { MetricsPort } from "./metrics-port.js";
import type { Revoking } from "./revoking.js";
import { fullName } from "./room/names.js";
import type { Rooms } from "./room/rooms.js";
import type { Sessions } from "./session/sessions.js";
import type { Listener } from "./transport/listener.js";
import type { WebSockets } from "./transport/websocket.js";

export type PublishOptions = {
  /** Names this publish: the same key from the same sender within the window is not a second event. */
  readonly key?: string;
  /** The user it is from. */
  readonly from?: string;
  /** Whose room it is; left out: the room of a server without tenants. */
  readonly tenant?: string;
};

export type TenantOptions = {
  /** Whose user or room it is; left out: one of a server without tenants. */
  readonly tenant?: string | undefined;
};

/** How often it is looked whether something has come about, in milliseconds. */
const LOOK_MS = 10;

/** Resolves once it has come about, or at `until`, as `performance.now()` counts. */
export async function lookUntil(done: () => boolean, until: number): Promise<void> {
  while (!done() && performance.now() < until) await new Promise((next) => setTimeout(next, LOOK_MS));
}

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
  disconnect(user: string, options?: TenantOptions): Promise<Count>;
  /** Takes the user's sessions out of the room, on all nodes, and tells each. Resolves and rejects as `disconnect` does. */
  remove(user: string, room: string, options?: TenantOptions): Promise<Count>;
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
  readonly decisions: DecisionCache;
  readonly metrics: MetricsSource;
  readonly failed: (error: unknown) => void;
  readonly onClosing: () => void;
};

export class Node implements Server {
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
      this.#parts.decisions.close();
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
    if (!isTenantOrNone(tenant)) {
      throw new ProtocolError("tenant", TENANT_TEXT, describe(tenant));
    }
    if (key !== undefined && !isKey(key)) {
      throw new ProtocolError("key", `1 to ${MAX_KEY_LENGTH} characters`, describe(key));
    }
    if (from !== undefined && !isUser(from)) {
      throw new ProtocolError("from", `1 to ${MAX_USER_LENGTH} characters`, describe(from));
    }
    const payload = data instanceof Payload ? data : Payload.ofValue(data);
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

  disconnect(user: string, { tenant }: TenantOptions = {}): Promise<Count> {
    return this.#parts.cluster.disconnect(user, tenant);
  }

  remove(user: string, room: string, { tenant }: TenantOptions = {}): Promise<Count> {
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
    const { decisions } = this.#parts;
    const until = performance.now() + settings.deadlineMs;
    onClosing();
    log.info("closing", { connections: sessions.size });
    await letClientsGo();
    sockets.stop();
    sessions.stop();
    jwks?.close();
    // A publish that waits for the application may still come into the log: its sender will ask again, with its key.
    await lookUntil(() => sessions.pending === 0, until);
    decisions.close();
    try {
      await cluster.close();
      await revoking.close();
      await rooms.close();
      await lookUntil(() => sockets.open === 0, until);
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
