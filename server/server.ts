import { ProtocolError } from "../protocol/codes.js";
import { kindOf } from "../protocol/names.js";
import type { Position } from "../protocol/positions.js";
import { ApiKeys } from "./access/api-keys.js";
import { Usage } from "./access/limits/limits.js";
import { Permissions } from "./access/permissions.js";
import type { Revoke } from "./access/revocations/revocation.js";
import { Revocations } from "./access/revocations/revocations.js";
import { AccessRules } from "./access/rules.js";
import { TicketSeal } from "./access/ticket.js";
import type { Tokens } from "./access/tokens/tokens.js";
import { Api } from "./api/api.js";
import { documentRoutes } from "./api/documents.js";
import { Application, type Elsewhere } from "./application.js";
import type { Forget } from "./cluster/asks.js";
import { type Answered, Cluster, type Count, type Counts, NODES_ROOM, type NodeInfo } from "./cluster/cluster.js";
import {
  type Called,
  type CallOptions,
  occupiedElsewhere,
  type PageOptions,
  type RoomsOptions,
  type RoomsPage,
} from "./cluster/everywhere.js";
import { ConfigError, enginesIn, parseSettings, rulesOf, type Settings, type SettingsInput } from "./config.js";
import type { Broker } from "./engine/engine.js";
import { type EngineDemands, openEngine, openStore } from "./engine/open.js";
import { openLedger } from "./engine/open-ledger.js";
import { openPresences } from "./engine/open-presence.js";
import type { HistoryOptions, HistoryPage } from "./history.js";
import { DecisionCache } from "./hooks/decision-cache.js";
import type { RingOf } from "./hooks/homes.js";
import { type Hooks, Refusal } from "./hooks/hooks.js";
import { type HookHeaders, type VerifyHookOptions, verifyHook } from "./hooks/signature.js";
import { createLog, type Log } from "./log.js";
import type { MembersPage } from "./members.js";
import { nativeProblem } from "./native.js";
import { lookUntil, Node } from "./node.js";
import { nodeActions } from "./node-actions.js";
import type { Parts } from "./parts.js";
import { Rosters } from "./presence/rosters.js";
import { commandsOf, queuesOf } from "./queueing.js";
import { observerOf, recordsOf } from "./recording.js";
import { Revoking, revocationsRoom } from "./revoking.js";
import { roomOfMembers, shownName } from "./room/names.js";
import { Rooms } from "./room/rooms.js";
import type { PublishOptions, Server, TenantOptions } from "./running.js";
import { byHook, byTokens, everyone, type Identities } from "./session/identity.js";
import { Sessions } from "./session/sessions.js";
import { Slices } from "./session/slices.js";
import { verbs } from "./session/verbs.js";
import { jwksOf, secretsOf, tokensOf } from "./token-checks.js";
import { apiRoutes } from "./transport/api-routes.js";
import { Doors } from "./transport/doors.js";
import { httpRoutes } from "./transport/http.js";
import { ListenError, Listener } from "./transport/listener.js";
import { isLoopback } from "./transport/upgrade.js";
import { turnClock } from "./turn-clock.js";
import { versionOf } from "./version.js";

export { ApiError, ServerClient, type ServerClientOptions } from "./api/server-client.js";
export type {
  Action,
  AuthenticateQuestion,
  AuthorizeQuestion,
  CallQuestion,
  Hooks,
  Identity,
  PublishQuestion,
} from "./hooks/hooks.js";
export type {
  Answered,
  Called,
  CallOptions,
  Count,
  Counts,
  Forget,
  HistoryOptions,
  HistoryPage,
  HookHeaders,
  Log,
  MembersPage,
  NodeInfo,
  PageOptions,
  Position,
  PublishOptions,
  Revoke,
  RoomsOptions,
  RoomsPage,
  Server,
  Settings,
  SettingsInput,
  TenantOptions,
  VerifyHookOptions,
};
export { ConfigError, ListenError, ProtocolError, Refusal, verifyHook };

/** Settings as in `docs/operations.md`, and the application's hooks. */
export type ServerOptions = SettingsInput &
  Hooks & {
    /** Where the server's own words go; by default lines on standard error. */
    readonly log?: Log | undefined;
  };

/** Registers of members are compared with what is known once in so many times that a room is with its log. */
const CHECKS = 3;
/** How long a start waits for engines that cannot be reached yet, in milliseconds. */
const REACHED_MS = 5000;
/** The application says who its clients are, or their tokens do; without either nobody is asked. */
function identitiesOf({ authenticate }: Hooks, tokens: Tokens, rules: AccessRules): Identities {
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
  const doors = new Doors(listener, { ...settings, loopback }, failed);
  doors.entrance.onCrowdedAddress = (address, reason) => {
    log.warn("refusing connections: too many from one address; is it a balancer's?", { address, reason });
  };
  const rulesFor = rulesOf(settings);
  const jwks = jwksOf(settings, log);
  const tokens = tokensOf(settings, jwks);
  const revocations = new Revocations();
  const decides = settings.hooks.connect !== undefined || settings.hooks.join !== undefined;
  const store = decides ? await openStore(settings, "hooks", log) : undefined;
  const decisions = new DecisionCache({ ...settings, store });
  const elsewhere: Elsewhere = {
    id: () => cluster.id,
    nodes: () => cluster.nodes(),
    isCutOff: () => rooms.broker.problems().length > 0,
    ring: await ringOfNodes(settings),
    ledger: settings.hooks.rooms === undefined ? undefined : await openLedger(settings, log),
    ask: async (reports) => {
      const { occupied, missing } = await occupiedElsewhere(cluster, reports);
      return { said: occupied, isWhole: missing.length === 0 };
    },
  };
  const application = new Application(
    options,
    settings,
    settings.hookCacheSize > 0 ? decisions : undefined,
    elsewhere,
    log,
  );
  const isOpen = !application.decides && !tokens.configured;
  const access = new AccessRules(settings.kinds, { isOpen, maxFrameBytes: settings.maxFrameBytes });
  const queues = await queuesOf(settings, log);
  const self = {
    name: settings.node,
    get instance() {
      return cluster.id;
    },
  };
  const records = recordsOf(settings, queues, { node: self, nodes: () => cluster.nodes().length, log });
  const openBroker = await openEngine(settings, demandsOf(settings), log);
  const rooms = new Rooms({
    openBroker: (deliver, suspect) => {
      const broker = openBroker(deliver, suspect);
      return records === undefined ? broker : records.over(broker);
    },
    fanout: doors,
    rulesFor,
    occupied: application.occupancy && ((room, isHere) => application.occupancy?.changed(room, isHere)),
    reserved: {
      deliver: (room, events) =>
        rosters.deliver(room, events) || revoking.deliver(room, events) || cluster.deliver(room, events),
      suspect: (room) => {
        // What the others have forgotten meanwhile, this node has not heard of.
        if (room === NODES_ROOM) decisions.clear();
        return rosters.suspect(room) || revoking.suspect(room) || cluster.suspect();
      },
    },
    lingerMs: settings.lingerMs,
    checkMs: settings.checkMs,
  });
  const actions = nodeActions(
    () => parts,
    () => server,
  );
  const usage = new Usage(settings, (room) => rooms.find(room)?.holds ?? 0);
  const { node: name, leaseMs } = settings;
  const cluster = new Cluster({ name, version: versionOf(), broker: rooms.broker, actions, usage, leaseMs, log });
  const rosters = new Rosters({
    ...{ instance: cluster.id, broker: rooms.broker, fanout: doors, leaseMs, log },
    engines: await openPresences(settings, log),
    checkMs: settings.checkMs === 0 ? Number.POSITIVE_INFINITY : settings.checkMs * CHECKS,
  });
  const sessions = new Sessions({
    context: {
      node: settings.node,
      verbs,
      rooms,
      presences: rosters,
      hooks: application.hooks,
      identities: identitiesOf(application.hooks, tokens, access),
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
    publishedBytes: () => doors.publishedBytes,
    observer: observerOf(records),
  });
  const enforce = async () => void (await sessions.checkRevoked());
  const { maxTokenLifeMs } = settings;
  const [engine = "memory"] = enginesIn(settings);
  const revoking = new Revoking({ broker: rooms.broker, engine, revocations, maxTokenLifeMs, enforce, log });
  const api = new Api({
    app: () => server,
    keys: new ApiKeys(settings.apiKeys),
    isOpen: loopback && isOpen && settings.apiKeys.length === 0,
    log,
  });
  const roomProblems = () => rooms.broker.problems();
  const commands = queues && commandsOf(queues, settings, { server: () => server, problems: roomProblems, log });
  const parts: Parts = {
    ...{
      settings,
      log,
      listener,
      doors,
      rooms,
      rosters,
      sessions,
      usage,
      cluster,
      revoking,
      jwks,
      decisions,
      application,
      api,
    },
    ...{ commands, records, failed },
  };
  const server = new Node(parts);
  serveHttp(parts, server);
  await server.listen();
  records?.start();
  await Promise.all([reached(rooms.broker, log), jwks?.start()]);
  await revoking.start();
  if (server.begin()) commands?.start();
  // It goes on trying by itself where the engine is away.
  void cluster.start();
  return server;
}

/** Everything that is answered over HTTP, but for what clients ask: streams are at the doors. After the WebSocket route. */
function serveHttp({ settings, listener, api, doors, failed }: Parts, server: Node): void {
  const { apiMaxBytes: maxBytes, origins, page } = settings;
  const others = { "/v1/rooms/{room}/events": ["GET"] };
  apiRoutes(listener, api, { maxBytes, origins, clients: doors.clients, others }, failed);
  const problems = (): string[] => [...server.pending, ...server.problems()];
  const routes = httpRoutes({ problems, engines: enginesIn(settings), page });
  listener.serve(new Map([...routes, ...documentRoutes(versionOf(), page)]), failed);
}

/** Rooms have nodes that keep count of them as they have shards. Loaded only where somebody is told of the counts. */
async function ringOfNodes({ hooks }: Settings): Promise<RingOf | undefined> {
  if (hooks.rooms === undefined) return undefined;
  const { Ring } = await import("./engine/ring.js");
  return (nodes) => new Ring(nodes.map((name) => ({ name, weight: 1 })));
}

/** What all kinds of rooms together ask of the engines. Kinds that are not named have the rules of `*`. */
function demandsOf(settings: Settings): EngineDemands {
  const rulesFor = rulesOf(settings);
  const onNats = [...Object.keys(settings.kinds), "*"].map(rulesFor).filter(({ engine }) => engine === "nats");
  return {
    engineOf: (room) => rulesFor(kindOf(shownName(roomOfMembers(room) ?? room))).engine,
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
  await lookUntil(() => broker.problems().length === 0, performance.now() + REACHED_MS);
  for (const problem of broker.problems()) log.warn(`starting without an engine: ${problem}`);
}
