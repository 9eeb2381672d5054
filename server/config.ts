/**
 * The settings: one schema, from which come the types, the checks, the flags and variables of the command, its help,
 * `docs/settings.schema.json` and the table in `docs/operations.md`.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { describe } from "../protocol/fields.js";
import { roomActions } from "./access/actions.js";
import { parseApiKey } from "./access/api-keys.js";
import { parseJwksUrl, readPublicKey } from "./access/tokens/key-sources.js";
import { type EngineName, engineNames } from "./engine/engine.js";
import { parseNatsServer, parseNatsStream } from "./engine/nats/address.js";
import { parseRedisShard } from "./engine/redis/address.js";
import { hookFields, hookNames, hookSettings } from "./hooks/settings.js";
import { nearest } from "./nearest.js";
import { type KindRules, resolveKinds } from "./room/rules.js";
import { KIND_NAME, parsedBy, whole } from "./schemas.js";
import { parseAddressRange } from "./transport/client-address.js";
import { isLoopback } from "./transport/upgrade.js";

const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, `one of ${words.join(", ")}`);

const text = (pattern: RegExp, expected: string) => z.string(expected).regex(pattern, expected);

/** Throws where there is no file that can be read. */
function readSome(path: string): void {
  try {
    readFileSync(path);
  } catch (error) {
    throw new Error(`expected a file that can be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

const WEEK_MS = 604_800_000;
const HOUR_MS = 3_600_000;

// What uWebSockets.js takes, in seconds; it ends the process over any other value.
const SECONDS = "whole seconds from 8000 to 960000, in milliseconds";
const SECRET_TEXT = "a string of at least 32 characters";
const KIND = 'a kind: "*", or 1 to 128 characters of A-Z a-z 0-9 _ - . @ /';
const ORIGIN = 'an origin as browsers send it, scheme://host[:port] without the scheme\'s own port, or "*"';

/** Browsers write an origin in one way; another way of writing it would never match. */
function isOrigin(origin: string): boolean {
  if (!/^https?:/.test(origin)) return true;
  return URL.canParse(origin) && new URL(origin).origin === origin;
}

const ACTIONS = `a list of some of ${roomActions.join(", ")}`;
const actionList = z.array(oneOf(roomActions), ACTIONS).optional();

const kindRules = z.strictObject(
  {
    history: z
      .strictObject(
        {
          size: whole(0, 100_000).optional().describe("The most events that the log of a room keeps; 0 keeps none."),
          ageMs: whole(1, WEEK_MS)
            .optional()
            .describe(
              "How long the log keeps an event at the most, in milliseconds; by default a week in a kind with lastValue, on NATS no longer than natsRetentionMs.",
            ),
        },
        "an object with size and ageMs",
      )
      .optional(),
    keyWindowMs: whole(1, WEEK_MS)
      .optional()
      .describe("How long the key of a publish is remembered, so that it counts once, in milliseconds."),
    batchMs: whole(0, 1000)
      .optional()
      .describe(
        "How long the events of a busy room are held so that they leave together, in milliseconds; 0 holds none.",
      ),
    engine: oneOf(engineNames)
      .optional()
      .describe("Which engine holds the rooms; by default redis where it is configured, else nats, else memory."),
    slow: oneOf(["resume", "skip"])
      .optional()
      .describe("A reader that cannot keep up is cut off and resumes by its position, or skips events and is told so."),
    allow: z
      .strictObject(
        {
          anonymous: actionList.describe(
            "What clients without a user may do: a list of join, publish, history, members.",
          ),
          user: actionList.describe("What clients with a user may do, whatever their token says."),
          token: actionList.describe("The most that tokens may allow; by default all of it."),
        },
        "an object with anonymous, user and token",
      )
      .optional(),
    publishRate: whole(1, 1_000_000).optional().describe("How many events a second may be published in a room."),
    maxMembers: whole(1, 10_000_000).optional().describe("The most clients in a room at once, on all nodes together."),
    maxEventBytes: whole(1, 16_777_216).optional().describe("The largest data of an event, in bytes."),
    lastValue: z
      .boolean("true or false")
      .optional()
      .describe(
        "Whether a join that resumes nothing gets the latest event of the room at once; it takes a history.size of 1 or more.",
      ),
    record: z
      .boolean("true or false")
      .optional()
      .describe("Whether what is published in the rooms is told in the stream of what happened; it takes a queue."),
    presence: z
      .strictObject(
        {
          of: oneOf(["nobody", "asking", "everyone"])
            .optional()
            .describe(
              "Who is a member of the rooms: nobody, those who join with presence, or everyone who joins; by default those who ask.",
            ),
          maxListed: whole(0, 1000)
            .optional()
            .describe("The most users that clients are told by name; in rooms with more, members are only counted."),
          graceMs: whole(0, 300_000)
            .optional()
            .describe("How long who has lost the connection is still a member, in milliseconds."),
          intervalMs: whole(50, 60_000)
            .optional()
            .describe("The least time between two frames that tell who came and went, in milliseconds."),
        },
        "an object with of, maxListed, graceMs and intervalMs",
      )
      .optional(),
  },
  "an object with history, keyWindowMs, batchMs, engine, slow, allow, publishRate, maxMembers, maxEventBytes, lastValue, record and presence",
);

export const settings = z.strictObject({
  host: text(/^[A-Za-z0-9_.:-]{1,253}$/, "an IP address or a host name")
    .default("127.0.0.1")
    .describe(
      "The address to listen on, an IP address or a host name. Anything but this machine's own (127.0.0.1, ::1, localhost) asks for a secret.",
    ),
  port: whole(0, 65_535).default(8000).describe("The TCP port to listen on; 0 takes a free one."),
  secret: z
    .string(SECRET_TEXT)
    .min(32, SECRET_TEXT)
    .optional()
    .describe(
      "The secret that signs clients' tokens (JWT, HS256), at least 32 characters. With one, a client without a valid token is refused. Keep it out of the command line, which others on the machine can read.",
    ),
  moreSecrets: z
    .array(z.string(SECRET_TEXT).min(32, SECRET_TEXT), "a list of secrets")
    .max(8, "at most 8 secrets")
    .default([])
    .describe(
      "Further secrets whose tokens and sessions are honoured, while one secret takes the place of another; each as secret.",
    ),
  tokenKeys: z
    .array(parsedBy(readPublicKey), "a list of files")
    .max(16, "at most 16 files")
    .default([])
    .describe(
      "Files with the public keys (PEM) of those who sign tokens: RSA for RS256, EC on P-256 for ES256, Ed25519 for EdDSA.",
    ),
  jwksUrl: parsedBy(parseJwksUrl)
    .optional()
    .describe(
      "Where the public keys of those who sign tokens are listed (JWKS): an https address, or http on this machine. For RS256, ES256 and EdDSA.",
    ),
  jwksRefreshMs: whole(1000, 86_400_000)
    .default(600_000)
    .describe("How often the keys at jwksUrl are read again, in milliseconds."),
  jwksCooldownMs: whole(100, HOUR_MS)
    .default(30_000)
    .describe("How long after a read of jwksUrl a token with an unknown key may cause another, in milliseconds."),
  tokenIssuer: z
    .array(text(/^.{1,512}$/, "1 to 512 characters"), "a list of issuers")
    .default([])
    .describe(
      "The issuers that are trusted: a token's claim iss has to be one of them. Without any it is not looked at.",
    ),
  tokenAudience: z
    .array(text(/^.{1,512}$/, "1 to 512 characters"), "a list of audiences")
    .default([])
    .describe(
      "What this server is called in tokens: their claim aud has to hold one of them. Without any it is not looked at.",
    ),
  tokenSkewMs: whole(0, 60_000)
    .default(3000)
    .describe(
      "How far the clock of whoever signs tokens may be off, in milliseconds; so long after its token's end a client is closed that has not renewed it.",
    ),
  maxTokenLifeMs: whole(60_000, 31 * 86_400_000)
    .default(86_400_000)
    .describe(
      "The longest a token may be good for from now on, in milliseconds; others are refused. What was revoked is remembered so long, and keys that jwksUrl no longer lists are.",
    ),
  origins: z
    .array(
      text(/^(\*|[a-z][a-z0-9+.-]*:\/\/[^/?#@\s,A-Z]+)$/, ORIGIN).refine(isOrigin, ORIGIN),
      `a list, each ${ORIGIN}`,
    )
    .default([])
    .describe(
      'The origins of the web pages that may connect, scheme://host[:port] each, or "*" for any; without any, pages of the server\'s own host. Programs that are not browsers send no origin and are not asked for one.',
    ),
  kinds: z
    .record(text(KIND_NAME, KIND), kindRules, "an object of kinds and their rules")
    .default({})
    .describe(
      'The rules of rooms by their kind, the part of the name before the first ":". What a kind leaves out comes from "*", then from the defaults.',
    ),
  apiKeys: z
    .array(parsedBy(parseApiKey), "a list of keys")
    .max(100, "at most 100 keys")
    .default([])
    .describe(
      "The keys by which other services use the HTTP API, as roomcast key prints them: name:scopes:sha256:digest. The keys themselves are not in it.",
    ),
  apiMaxBytes: whole(1024, 16_777_216)
    .default(1_048_576)
    .describe("The largest body of a request to the HTTP API, in bytes."),
  hooks: hookSettings
    .default({})
    .describe(
      `What the application is asked and told over HTTP: an object with some of ${hookNames.join(", ")}, each with its url.`,
    ),
  hookSecrets: z
    .array(z.string(SECRET_TEXT).min(32, SECRET_TEXT), "a list of secrets")
    .max(4, "at most 4 secrets")
    .default([])
    .describe(
      "The secrets that sign what is posted to hooks, each at least 32 characters; with several each signs, while one takes the place of another.",
    ),
  hookNetworks: z
    .array(parsedBy(parseAddressRange), "a list of addresses")
    .default([])
    .describe(
      "Private addresses that hooks may be posted to all the same, by IP address or range (10.0.0.0/8): otherwise they go to public ones alone.",
    ),
  hookTimeoutMs: whole(10, 60_000).default(3000).describe("How long a hook may take to answer, in milliseconds."),
  hookMaxBytes: whole(256, 16_777_216).default(65_536).describe("The largest answer of a hook, in bytes."),
  hookConcurrency: whole(1, 10_000)
    .default(100)
    .describe("How many posts to one hook may be under way at once; as many again wait."),
  hookFailures: whole(1, 1000)
    .default(5)
    .describe("After how many failures in a row a hook is not asked for a while: its circuit opens."),
  hookRetryMs: whole(100, 60_000)
    .default(2000)
    .describe("How long after its circuit opened a hook is tried again, in milliseconds."),
  hookTries: whole(1, 100)
    .default(10)
    .describe("How often a hook that tells something is posted, with growing pauses, before it is given up."),
  hookCacheSize: whole(0, 1_000_000)
    .default(10_000)
    .describe("The most answers of hooks that a node remembers; 0 remembers none."),
  hookCacheMs: whole(0, HOUR_MS)
    .default(300_000)
    .describe("The longest that an answer of a hook is remembered, whatever it says itself, in milliseconds."),
  hookRefusalMs: whole(0, HOUR_MS)
    .default(5000)
    .describe("The longest that an answer of a hook is remembered that refuses, in milliseconds."),
  queue: oneOf(["redis", "nats"])
    .optional()
    .describe(
      "Which engine keeps the queue of commands that backends write to, and the stream of what happened; without it there are none.",
    ),
  queuePrefetch: whole(1, 10_000)
    .default(200)
    .describe("The most commands of the queue that a node has taken and not yet acknowledged."),
  queueAckMs: whole(1000, HOUR_MS)
    .default(30_000)
    .describe(
      "After how long a command that was taken and not acknowledged is given to another node, in milliseconds.",
    ),
  queueTries: whole(1, 100)
    .default(5)
    .describe("How often a command is tried, with growing pauses, before it goes to the dead letters."),
  records: z
    .array(oneOf(["connected", "left"]), "a list of some of connected, left")
    .default([])
    .describe(
      "What is told in the stream of what happened, besides events in kinds with record: that users connected, and left.",
    ),
  recordsMax: whole(1000, 100_000_000)
    .default(1_000_000)
    .describe("The most entries that the stream of what happened keeps; the oldest go first."),
  recordsAgeMs: whole(60_000, 31 * 86_400_000)
    .default(WEEK_MS)
    .describe("How long the stream of what happened keeps an entry, in milliseconds; the dead letters, too."),
  heartbeatMs: whole(100, 600_000)
    .default(20_000)
    .describe("The longest a client waits for a sign of life from the server, in milliseconds; at most idleTimeoutMs."),
  helloTimeoutMs: whole(100, 120_000)
    .default(10_000)
    .describe("How long a new connection may take to say hello, in milliseconds."),
  idleTimeoutMs: whole(8000, 960_000, SECONDS)
    .multipleOf(1000, SECONDS)
    .default(60_000)
    .describe(
      "A connection from which nothing came for so long, not even the answer to a ping, is closed; in milliseconds, whole seconds only.",
    ),
  lingerMs: whole(0, HOUR_MS)
    .default(60_000)
    .describe("How long a room stays open after its last member left, in milliseconds: who comes back finds it warm."),
  checkMs: whole(0, HOUR_MS)
    .default(5000)
    .describe(
      "How often each open room is compared with the end of its log, in milliseconds; 0 is never. At most 4,000 rooms a second: with more than 20,000 open a round takes longer.",
    ),
  resumeWindowMs: whole(0, WEEK_MS)
    .default(7_200_000)
    .describe("How long after its welcome a session can be resumed, in milliseconds."),
  maxFrameBytes: whole(256, 16_777_216).default(65_536).describe("The largest frame a client may send, in bytes."),
  maxRooms: whole(1, 10_000).default(100).describe("The most rooms a session may be in at once."),
  maxRequests: whole(1, 10_000)
    .default(32)
    .describe("The most requests of one session that may be without an answer at once."),
  maxFramesPerTurn: whole(1, 100_000)
    .default(1000)
    .describe(
      "The most frames taken from one connection in one turn of the event loop; a client that sends more is closed.",
    ),
  maxBackpressureBytes: whole(4096, 268_435_456)
    .default(1_048_576)
    .describe(
      "The most that may wait to be sent to one connection, in bytes; a client that reads too slowly for it falls under its rooms' rule slow. At least twice maxFrameBytes.",
    ),
  maxConnections: whole(1, 10_000_000)
    .default(100_000)
    .describe("The most connections at once; further ones are refused."),
  connectRate: whole(1, 1_000_000)
    .default(2000)
    .describe(
      "How many new connections a second are taken; further ones are told when to come back, one after the other at this rate.",
    ),
  maxHandshakes: whole(1, 1_000_000)
    .default(1000)
    .describe("The most connections at once that have not been welcomed yet; further ones are told when to come back."),
  addressConnections: whole(1, 10_000_000)
    .default(10_000)
    .describe(
      "The most connections from one IP address (IPv6: from one /64) on this node; balancers in trustProxy are not counted.",
    ),
  addressRate: whole(1, 1_000_000)
    .default(1000)
    .describe("How many new connections a second are taken from one IP address (IPv6: from one /64) on this node."),
  userConnections: whole(1, 1_000_000)
    .default(100)
    .describe("The most sessions that one user may have at once, on all nodes together."),
  userPublishRate: whole(1, 1_000_000)
    .default(500)
    .describe("How many events a second one user may publish, on all nodes together."),
  requestRate: whole(5, 1_000_000)
    .default(500)
    .describe("How many requests a second a session may make; twice as many at once."),
  byteRate: whole(1024, 1_073_741_824)
    .default(1_048_576)
    .describe("How many bytes a second a session may send; twice as many at once."),
  trustProxy: z
    .array(parsedBy(parseAddressRange), "a list of addresses")
    .default([])
    .describe(
      "The load balancers whose X-Forwarded-For is believed, by IP address or range (10.0.0.0/8); from anyone else the header is passed over.",
    ),
  memoryMaxBytes: whole(1_048_576, 1_099_511_627_776)
    .default(268_435_456)
    .describe("The most that the events in the memory engine may weigh, in bytes; the oldest go first."),
  redis: z
    .array(parsedBy(parseRedisShard), "a list of addresses")
    .default([])
    .describe(
      "The Redis servers that hold rooms, a shard each: redis://host:6379, rediss:// for TLS, redis+sentinel://host:port+host:port/primary-name, redis+cluster://host:port+host:port. A query sets the shard's name, its weight, and the weight before a change: ?name=a&weight=2&was=1. A password is better kept in redisPassword.",
    ),
  redisUsername: z.string("a string").optional().describe("The user of all Redis servers whose address names none."),
  redisPassword: z.string("a string").optional().describe("The password of all Redis servers whose address has none."),
  nats: z
    .array(parsedBy(parseNatsServer), "a list of addresses")
    .default([])
    .describe("The servers of one NATS with JetStream: nats://host:4222, or tls://."),
  natsStreams: z
    .array(parsedBy(parseNatsStream), "a list of streams")
    .min(1, "a list of at least one stream")
    .default(["roomcast"])
    .describe(
      "The JetStream streams that hold rooms, a shard each; with its weight: name?weight=2. Made at the start.",
    ),
  natsReplicas: whole(1, 5).default(1).describe("On how many servers of NATS each stream is kept: 1, 3 or 5."),
  natsStorage: oneOf(["file", "memory"])
    .default("file")
    .describe("Where the streams of NATS are kept: file or memory."),
  natsRetentionMs: whole(60_000, 31_536_000_000)
    .default(86_400_000)
    .describe(
      "How long the streams of NATS keep an event, in milliseconds; longer than any history, since positions of silent rooms hold so long.",
    ),
  natsCredentials: parsedBy(readSome).optional().describe("The file with the credentials for NATS (.creds)."),
  namespace: text(/^[A-Za-z0-9_-]{1,32}$/, "1 to 32 characters of A-Z a-z 0-9 _ -")
    .default("roomcast")
    .describe(
      "What the names of all keys and streams begin with, 1 to 32 characters of A-Z a-z 0-9 _ -; nodes of one namespace are one server.",
    ),
  engineTimeoutMs: whole(50, 60_000)
    .default(1500)
    .describe("How long Redis or NATS may take to answer before a request is given up, in milliseconds."),
  probeMs: whole(100, 60_000)
    .default(2000)
    .describe("How often the connections to Redis and NATS are probed, in milliseconds."),
  leaseMs: whole(1000, 600_000)
    .default(15_000)
    .describe("A node that gave no sign of life for so long is taken to be gone, in milliseconds."),
  noticeMs: whole(0, HOUR_MS)
    .default(5000)
    .describe(
      "How long a node that drains still takes new clients while /ready is 503 already, in milliseconds: what a load balancer needs to notice.",
    ),
  drainMs: whole(0, HOUR_MS)
    .default(8000)
    .describe(
      "The time over which a node that drains tells its clients, one after the other, to move, in milliseconds.",
    ),
  deadlineMs: whole(100, HOUR_MS)
    .default(25_000)
    .describe(
      "How long draining may take from the signal to the end, in milliseconds; clients that have not moved are told to come back before it, and what is still open then is cut. Longer than noticeMs and drainMs together; shorter than what kills the process (30 s in Kubernetes).",
    ),
  node: text(/^[A-Za-z0-9_.-]{1,64}$/, "1 to 64 characters of A-Z a-z 0-9 _ - .")
    .optional()
    .describe("This node's name, 1 to 64 characters of A-Z a-z 0-9 _ - . ; by default one made up at each start."),
  metricsPort: whole(0, 65_535)
    .optional()
    .describe(
      "The TCP port at which /metrics is served, for Prometheus, on the same host; 0 takes a free one, and without it there is none. Keep it away from the public.",
    ),
  logLevel: oneOf(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("The least important lines that are logged: debug, info, warn or error; silent logs nothing."),
  page: z
    .boolean("true or false")
    .default(true)
    .describe("Whether the start page is served at /, and the SDK for pages without a bundler at /v1/client.js."),
});

/** The settings as they are given: all may be left out. */
export type SettingsInput = z.input<typeof settings>;
/** The settings as they hold: each with a value, but `secret`, which may be missing. */
export type Settings = Omit<z.output<typeof settings>, "node"> & { readonly node: string };
export type SettingName = keyof Settings;

export const settingNames = Object.keys(settings.shape) as readonly SettingName[];

/** Settings that are wrong: `lines` has one for each, naming it, what was expected, and what came. Secrets are not in it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join("\n"));
    this.lines = lines;
  }
}

export type ParseOptions = {
  /** Whether the application says who may connect (the hook `authenticate`), so that no secret is needed. */
  readonly authenticates?: boolean;
  /** Where a setting came from, for the lines: `ROOMCAST_PORT`, `--port`, the file's name. */
  readonly from?: (name: string) => string | undefined;
};

/** One wrong value: where it stands, and what is wrong with it. */
type Wrong = { readonly path: readonly PropertyKey[]; readonly text: string };

const wrongValue = (path: readonly PropertyKey[], expected: string, got: string): Wrong => ({
  path,
  text: `expected ${expected}, got ${got}`,
});

/** More names than these do not go on a line that people read. */
const MOST_NAMED = 12;

function wrongName(path: readonly PropertyKey[], known: readonly string[]): Wrong {
  const meant = nearest(String(path.at(-1)), known);
  const all = known.length > MOST_NAMED ? "roomcast serve --help lists them" : `there are ${known.join(", ")}`;
  return { path, text: `no such setting; ${meant === undefined ? all : `did you mean ${meant}?`}` };
}

/** A name that may be anything, where a line has room for it. */
const shownName = (name: string): string => (/^[\w.@/*-]{1,128}$/.test(name) ? name : describe(name));

/** The line for one wrong value: `port: expected a whole number from 0 to 65535, got "abc" (from ROOMCAST_PORT)`. */
function lineOf({ path, text }: Wrong, from: ParseOptions["from"]): string {
  const source = from?.(String(path[0]));
  const name = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${shownName(String(step))}`)).join("");
  return `${name.slice(1)}: ${text}${source === undefined ? "" : ` (from ${source})`}`;
}

function wrongOf(issue: z.core.$ZodIssue, name: string, value: unknown): Wrong[] {
  const path = [name, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    if (name === "hooks") {
      const known = path.length === 1 ? hookNames : hookFields;
      return issue.keys.map((key) => wrongName([...path, key], known));
    }
    // Below `kinds`: the rules of a kind, or what one of these has of its own.
    const { history, allow } = kindRules.shape;
    const known = path.length === 2 ? kindRules : path[2] === "allow" ? allow.unwrap() : history.unwrap();
    return issue.keys.map((key) => wrongName([...path, key], Object.keys(known.shape)));
  }
  if (issue.code === "invalid_key") return [wrongValue(path, KIND, describe(issue.path.at(-1)))];
  const got = issue.path.reduce<unknown>((at, step) => (at as { [key: PropertyKey]: unknown })[step], value);
  return [wrongValue(path, issue.message, SECRET.has(name) || isKeyText(got) ? hidden(got) : describe(got))];
}

/** What is wrong first at each place: a text in a list's place is also too long for one. */
function firstOfEach(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  const places = issues.map(({ path }) => JSON.stringify(path));
  return issues.filter((_, index) => places.indexOf(places[index] ?? "") === index);
}

/** Settings whose values are not repeated: addresses may hold a password. */
const SECRET: ReadonlySet<string> = new Set<SettingName>([
  ...(["secret", "moreSecrets", "jwksUrl", "apiKeys", "hooks", "hookSecrets"] as const),
  ...(["redis", "redisPassword", "nats"] as const),
]);

/** Whether a key itself was given where the path of its file belongs. */
const isKeyText = (value: unknown): boolean => typeof value === "string" && value.includes("-----BEGIN");

const hidden = (value: unknown): string =>
  typeof value === "string" ? `${value.length} characters` : "something else (not shown)";

/** The settings of which any one makes clients show tokens. */
const KEYS = ["secret", "moreSecrets", "tokenKeys", "jwksUrl"] as const;

/** A list that was given without anything in it, as by a variable that was left empty. */
const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

/** What is wrong between settings, each right in itself. `values` lacks those that are not. */
function crossChecks(values: Partial<Settings>, given: object, authenticates: boolean): Wrong[] {
  const wrong: Wrong[] = [];
  const { host, kinds } = values;
  const asks =
    authenticates ||
    values.hooks?.connect !== undefined ||
    KEYS.some((name) => name in given && !isEmpty((given as SettingsInput)[name]));
  if (host !== undefined && !isLoopback(host) && !asks) {
    const expected =
      "127.0.0.1, ::1 or localhost as long as there is no secret (ROOMCAST_SECRET, 32 characters or more)";
    wrong.push(wrongValue(["host"], expected, describe(host)));
  }
  // A pair that does not fit is put down to the one that was set.
  const atMost = (low: SettingName, high: SettingName, times = 1) => {
    const [small, large] = [values[low], values[high]];
    if (typeof small !== "number" || typeof large !== "number" || small * times <= large) return;
    const most = `at most ${Math.floor(large / times)}, since ${high} is ${large}`;
    const least = `at least ${small * times}, since ${low} is ${small}`;
    wrong.push(low in given ? wrongValue([low], most, String(small)) : wrongValue([high], least, String(large)));
  };
  atMost("heartbeatMs", "idleTimeoutMs");
  const { noticeMs, drainMs, deadlineMs } = values;
  if (noticeMs !== undefined && drainMs !== undefined && deadlineMs !== undefined && noticeMs + drainMs >= deadlineMs) {
    const set = (["deadlineMs", "drainMs", "noticeMs"] as const).find((name) => name in given) ?? "deadlineMs";
    const expected = `noticeMs and drainMs (${noticeMs} and ${drainMs}) to be less than deadlineMs (${deadlineMs})`;
    wrong.push(wrongValue([set], expected, String(values[set])));
  }
  if (Object.keys(values.hooks ?? {}).length > 0 && values.hookSecrets?.length === 0) {
    wrong.push(wrongValue(["hooks"], "hookSecrets to sign them with (ROOMCAST_HOOK_SECRETS)", "none"));
  }
  const { queue, records } = values;
  if (queue !== undefined && !enginesIn(values).includes(queue)) {
    const expected = `an engine that has an address (ROOMCAST_${queue.toUpperCase()})`;
    wrong.push(wrongValue(["queue"], expected, describe(queue)));
  }
  const recorded = Object.entries(kinds ?? {}).find(([, { record }]) => record === true);
  if (queue === undefined && !("queue" in given) && (recorded !== undefined || (records ?? []).length > 0)) {
    const path = recorded === undefined ? ["records"] : ["kinds", recorded[0], "record"];
    wrong.push(wrongValue(path, "none of it as long as there is no queue (ROOMCAST_QUEUE)", "some"));
  }
  // One event of full size must not look like a backlog.
  atMost("maxFrameBytes", "maxBackpressureBytes", 2);
  const configured = enginesIn(values);
  for (const [kind, { engine }] of Object.entries(kinds ?? {})) {
    if (engine === undefined || configured.includes(engine)) continue;
    const expected = `${configured.join(" or ")}, since ${engine} has no address (ROOMCAST_${engine.toUpperCase()})`;
    wrong.push(wrongValue(["kinds", kind, "engine"], expected, describe(engine)));
  }
  const { maxFrameBytes } = values;
  for (const [kind, { maxEventBytes = 0 }] of Object.entries(kinds ?? {})) {
    if (maxFrameBytes === undefined || maxEventBytes <= maxFrameBytes) continue;
    const expected = `at most ${maxFrameBytes}, since no frame may be longer (maxFrameBytes)`;
    wrong.push(wrongValue(["kinds", kind, "maxEventBytes"], expected, String(maxEventBytes)));
  }
  const { natsRetentionMs = Number.POSITIVE_INFINITY } = values;
  const tooLong = longestOnNats(values).filter(([, longest]) => longest > natsRetentionMs);
  for (const [kind, longest] of tooLong.some(([name]) => name === "*") ? tooLong.slice(-1) : tooLong) {
    const least = `at least ${longest}, which the kind ${JSON.stringify(kind)} asks for by history.ageMs or keyWindowMs`;
    const most = `history.ageMs and keyWindowMs of at most ${natsRetentionMs}, since natsRetentionMs is that`;
    const isSet = "natsRetentionMs" in given;
    const retention = wrongValue(["natsRetentionMs"], least, String(natsRetentionMs));
    wrong.push(isSet ? retention : wrongValue(["kinds", kind], most, String(longest)));
  }
  const shards = (values.redis ?? []).map((shard) => parseRedisShard(shard));
  const twice = shards.find(({ name }, index) => shards.findIndex((other) => other.name === name) < index);
  if (twice) wrong.push(wrongValue(["redis"], "shards of different names", `"${twice.name}" twice`));
  if (shards.length > 0 && !shards.some(({ weight }) => weight > 0)) {
    wrong.push(wrongValue(["redis"], "a shard with a weight above 0", "none"));
  }
  const streams = (values.natsStreams ?? []).map((stream) => parseNatsStream(stream));
  if (new Set(streams.map(({ name }) => name)).size < streams.length) {
    wrong.push(wrongValue(["natsStreams"], "streams of different names", "one twice"));
  }
  for (const [kind, rules] of Object.entries(kinds ?? {})) {
    if (rules.slow !== "resume" || resolveKinds(kinds ?? {})(kind).history.size > 0) continue;
    const expected = '"skip", since the kind keeps no history to resume from';
    wrong.push(wrongValue(["kinds", kind, "slow"], expected, '"resume"'));
  }
  for (const [kind, rules] of Object.entries(kinds ?? {})) {
    if (rules.lastValue !== true || resolveKinds(kinds ?? {})(kind).history.size > 0) continue;
    const expected = "false, since the kind keeps no history (history.size)";
    wrong.push(wrongValue(["kinds", kind, "lastValue"], expected, "true"));
  }
  return wrong;
}

/** The kinds that NATS holds, "*" last, each with the longest time that anything of it is to be known, in milliseconds. */
function longestOnNats({ redis = [], nats = [], kinds, natsRetentionMs }: Partial<Settings>): [string, number][] {
  if (kinds === undefined) return [];
  const rulesFor = rulesOf({ redis, nats, kinds, natsRetentionMs });
  const named = [...Object.keys(kinds).filter((kind) => kind !== "*"), "*"].map(
    (kind) => [kind, rulesFor(kind)] as const,
  );
  return named
    .filter(([, { engine }]) => engine === "nats")
    .map(([kind, { history, keyWindowMs }]) => [kind, Math.max(history.ageMs, keyWindowMs)]);
}

/** The engines that are configured; rooms of which nothing else is said are in the first. */
export function enginesIn(values: Partial<Pick<Settings, "redis" | "nats">>): readonly EngineName[] {
  const services = (["redis", "nats"] as const).filter((name) => (values[name] ?? []).length > 0);
  return [...services, "memory"];
}

/** Whether there are keys to check tokens with: without them nobody is asked who they are. */
export function checksTokens({ secret, moreSecrets, tokenKeys, jwksUrl }: Settings): boolean {
  return secret !== undefined || moreSecrets.length > 0 || tokenKeys.length > 0 || jwksUrl !== undefined;
}

type RuleSettings = Pick<Settings, "redis" | "nats" | "kinds"> & { readonly natsRetentionMs?: number | undefined };

/** The rules of rooms by their kind, each with the engine that holds it. */
export function rulesOf(values: RuleSettings): (kind: string) => KindRules {
  return resolveKinds(values.kinds, { engine: enginesIn(values)[0], natsRetentionMs: values.natsRetentionMs });
}

/** Throws `ConfigError`, with a line for every setting that is wrong. */
export function parseSettings(input: SettingsInput, options: ParseOptions = {}): Settings {
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
  const values: { [name: string]: unknown } = {};
  const wrong: Wrong[] = [];
  for (const name of Object.keys(given)) {
    if (!settingNames.includes(name as SettingName)) wrong.push(wrongName([name], settingNames));
  }
  for (const name of settingNames) {
    const result = settings.shape[name].safeParse(given[name]);
    if (result.success) values[name] = result.data;
    else wrong.push(...firstOfEach(result.error.issues).flatMap((issue) => wrongOf(issue, name, given[name])));
  }
  const { kinds } = given as { kinds?: object };
  // Zod passes over this one name, which would leave a kind without the rules it was given.
  if (kinds && Object.hasOwn(kinds, "__proto__")) wrong.push(wrongValue(["kinds"], KIND, '"__proto__"'));
  wrong.push(...crossChecks(values as Partial<Settings>, given, options.authenticates ?? false));
  if (wrong.length > 0) throw new ConfigError([...new Set(wrong.map((one) => lineOf(one, options.from)))]);
  return { ...values, node: values["node"] ?? `n_${randomBytes(4).toString("hex")}` } as Settings;
}
