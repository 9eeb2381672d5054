/** A running node, as the application has it. */
import { ProtocolError } from "../protocol/codes.js";
import { describe, isKey, isUser, MAX_USER_LENGTH } from "../protocol/fields.js";
import { isEventName, kindOf, MAX_KEY_LENGTH } from "../protocol/names.js";
import { Payload } from "../protocol/payload.js";
import type { Position } from "../protocol/positions.js";
import type { Revoke } from "./access/revocations/revocation.js";
import type { Forget } from "./cluster/asks.js";
import { checkRoom, checkTenant } from "./cluster/checks.js";
import type { Answered, Count, Counts, NodeInfo } from "./cluster/cluster.js";
import {
  type Called,
  type CallOptions,
  callUser,
  forgetEverywhere,
  listRooms,
  type PageOptions,
  type RoomsOptions,
  type RoomsPage,
} from "./cluster/everywhere.js";
import type { Settings } from "./config.js";
import { comeBack, Drain } from "./drain.js";
import { type HistoryOptions, type HistoryPage, readHistory } from "./history.js";
import { type MembersPage, readMembers } from "./members.js";
import type { NodeState } from "./metrics.js";
import { MetricsPort } from "./metrics-port.js";
import { nodeNumbers } from "./node-numbers.js";
import type { Parts } from "./parts.js";
import { fullName } from "./room/names.js";
import type { PublishOptions, Server, TenantOptions } from "./running.js";
import { versionOf } from "./version.js";

/** How long commands of the queue that are under way are waited for as the node ends, in milliseconds. */
const COMMANDS_MS = 3000;
/** How long it may take to write which members have gone, in milliseconds. */
const MEMBERS_MS = 2000;
/** How often it is looked whether something has come about, in milliseconds. */
const LOOK_MS = 10;

/** Resolves once it has come about, or at `until`, as `performance.now()` counts. */
export async function lookUntil(done: () => boolean, until: number): Promise<void> {
  while (!done() && performance.now() < until) await new Promise((next) => setTimeout(next, LOOK_MS));
}

export class Node implements Server {
  readonly settings: Settings;
  readonly #parts: Parts;
  #port = 0;
  #metrics: MetricsPort | undefined;
  #closing: Promise<void> | undefined;
  #drain: Drain | undefined;
  #state: NodeState = "starting";

  constructor(parts: Parts) {
    this.settings = parts.settings;
    this.#parts = parts;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** What keeps it from taking clients apart from its engines: a word, or nothing. */
  get pending(): readonly string[] {
    if (this.#state === "ready") return [];
    return [this.#state === "draining" ? "closing" : this.#state];
  }

  /** It is ready from now on; `false` where it has been told to end meanwhile. */
  begin(): boolean {
    if (this.#state !== "starting") return false;
    this.#state = "ready";
    return true;
  }

  async listen(): Promise<void> {
    const { listener, settings, doors, sessions, failed } = this.#parts;
    const metrics = {
      node: settings.node,
      version: versionOf(),
      numbers: () => nodeNumbers(this.#parts, this.#state),
    };
    const { host, port, metricsPort } = settings;
    try {
      this.#port = await listener.listen(host, port);
      if (metricsPort !== undefined) {
        this.#metrics = await MetricsPort.open({ host, port: metricsPort }, metrics, failed);
      }
    } catch (error) {
      listener.stop();
      await this.#letGo();
      throw error;
    }
    doors.start(sessions);
  }

  /** Ends what was opened for a node that never came to listen. */
  async #letGo(): Promise<void> {
    const { application, decisions, commands, records, rooms, rosters } = this.#parts;
    await rosters.close(0);
    await application.close(0);
    decisions.close();
    await commands?.close(0);
    await records?.close(0);
    await rooms.close();
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

  // Without `async`: each promise in between costs a turn of its own, and this is where the most events go by.
  publish(room: string, event: string, data: unknown, options: PublishOptions = {}): Promise<Position | undefined> {
    try {
      return this.#publish(room, event, data, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #publish(room: string, event: string, data: unknown, options: PublishOptions): Promise<Position | undefined> {
    const { rooms, sessions } = this.#parts;
    checkRoom(room);
    if (!isEventName(event)) throw new ProtocolError("event", "an event's name", describe(event));
    const { key, from, tenant = "" } = options;
    checkTenant(tenant);
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

  rooms(options?: RoomsOptions): Promise<RoomsPage> {
    return listRooms(this.#parts.cluster, options);
  }

  members(room: string, options?: PageOptions): Promise<MembersPage> {
    return readMembers(this.#parts.sessions.context, room, options);
  }

  history(room: string, options?: HistoryOptions): Promise<HistoryPage> {
    return readHistory(this.#parts.rooms, room, options);
  }

  call(user: string, method: string, data: unknown, options?: CallOptions): Promise<Called> {
    return callUser(this.#parts.cluster, user, method, data, options);
  }

  forget(what: Forget = {}): Promise<Answered> {
    return forgetEverywhere(this.#parts.cluster, what);
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
    const { sessions, rooms, listener, doors, log, settings } = this.#parts;
    const stopTaking = () => {
      listener.stop();
      doors.stopTaking();
    };
    const parts = { clients: sessions, log, stopTaking, isAlone: () => this.#isAlone, flush: () => rooms.flush() };
    this.#drain = new Drain(settings, parts);
    await this.#drain.run();
  }

  #closeClients(): void {
    const { listener, doors, rooms, sessions } = this.#parts;
    listener.stop();
    doors.stopTaking();
    // What the log has everyone gets before the goodbye.
    rooms.flush();
    sessions.sendAway(comeBack);
  }

  async #end(letClientsGo: () => Promise<void> | void): Promise<void> {
    const { listener, doors, rooms, sessions, cluster, revoking, jwks, log, settings } = this.#parts;
    const { decisions, commands, records, rosters } = this.#parts;
    const until = performance.now() + settings.deadlineMs;
    this.#state = "draining";
    cluster.announce();
    log.info("closing", { connections: sessions.size });
    // First of all, and while clients go: other nodes have what this one has not done.
    const commandsEnded = commands?.close(Math.min(COMMANDS_MS, settings.deadlineMs / 3));
    await letClientsGo();
    doors.stop();
    sessions.stop();
    jwks?.close();
    // A publish that waits for the application may still come into the log: its sender will ask again, with its key.
    // Requests over HTTP, too; their connections end with their answers.
    await lookUntil(() => sessions.pending === 0 && listener.traffic.open === 0, until);
    await this.#parts.application.close(until - performance.now());
    decisions.close();
    try {
      await commandsEnded;
      await rosters.close(Math.min(MEMBERS_MS, until - performance.now()));
      await records?.close(until);
      await cluster.close();
      await revoking.close();
      await rooms.close();
      await lookUntil(() => doors.entrance.open === 0, until);
    } finally {
      // Whatever the engine makes of its end, nothing here holds the process open.
      if (doors.entrance.open > 0) {
        log.warn("cutting connections that did not end in time", { connections: doors.entrance.open });
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
