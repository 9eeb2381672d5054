/**
 * Wrong values of every setting: as JSON in a file or in code, and the same as text in a flag or a variable. Each is
 * wrong in one way, and so told in one line. A setting that is new has to be put down here: it does not compile without.
 */
import type { SettingInfo } from "../../../server/cli/settings.js";
import type { SettingName } from "../../../server/config.js";

/** What must stand in no line: it is part of every wrong value that could be a secret. */
export const HIDDEN = "hunter2";

const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----\n${HIDDEN}\n-----END PRIVATE KEY-----`;

/** Numbers that are wrong for a setting of these bounds, and what is none. */
const notWhole = (min: number, max: number): readonly unknown[] => {
  return [min - 1, max + 1, "x", "", "1e3", `${min}s`, 1.5, 1e300, true, null, [], {}];
};

export const wrongValues: { readonly [Name in SettingName]: readonly unknown[] } = {
  host: ["", "not a host", "a/b", "a\nb", 5, null, "0.0.0.0", "::", "192.0.2.1", "example.org", "127.example"],
  port: [...notWhole(0, 65_535), "80x", "0x50", "٣"],
  secret: ["", HIDDEN, `${HIDDEN}${"x".repeat(24)}`, 5, null],
  moreSecrets: [HIDDEN, [HIDDEN], 5, [5], Array(9).fill(HIDDEN.repeat(5)), ["x".repeat(31)], null],
  tokenKeys: [["/no/such/file.pem"], "/no/such/file.pem", ["/"], [PRIVATE_KEY], [""], [5], null],
  jwksUrl: [
    ...["", "keys", "ftp://keys.example/", "http://keys.example/", `http://keys.example/?key=${HIDDEN}`],
    ...[`https://ann:${HIDDEN}@keys.example/`, "http://127.0.0.1.example/", "http://localhost.example/", 5, null],
  ],
  jwksRefreshMs: notWhole(1000, 86_400_000),
  jwksCooldownMs: notWhole(100, 3_600_000),
  tokenIssuer: [[""], ["x".repeat(513)], 5, [5], null],
  tokenAudience: [[""], ["x".repeat(513)], 5, [5], null],
  tokenSkewMs: notWhole(0, 60_000),
  maxTokenLifeMs: notWhole(60_000, 31 * 86_400_000),
  origins: [
    ...["example.org", "https://example.org/", "HTTPS://example.org", "https://example.org:443", "https://a b"],
    ...[5, [5], [""], null],
  ],
  kinds: [
    ...["{", 5, [], null, { "a:b": {} }, { "": {} }, { "a\nb": {} }, { "*x": {} }, JSON.parse('{"__proto__":{}}')],
    ...[{ chat: 5 }, { chat: null }, { chat: { histroy: {} } }, { chat: JSON.parse('{"__proto__":{}}') }],
    ...wrongRules().map(([rules]) => ({ chat: rules })),
  ],
  apiKeys: [
    ...[["x"], "x", 5, [5], null, [`a:publish:sha256:${HIDDEN}`], ["a:publish:md5:x"]],
    ...[
      [`a:nothing:sha256:${"0".repeat(64)}`],
      [`a:all:sha256:${"0".repeat(64)}:a|b`],
      [`a b:all:sha256:${"0".repeat(64)}`],
    ],
  ],
  apiMaxBytes: notWhole(1024, 16_777_216),
  hooks: [
    ...["{", 5, [], null, { conect: { url: "https://app.example/" } }, { connect: 5 }, { connect: {} }, { join: null }],
    ...[{ connect: { url: "app.example" } }, { connect: { url: `https://ann:${HIDDEN}@app.example/` } }],
    ...[{ connect: { url: "ftp://app.example/" } }, { join: { url: "https://app.example/", kinds: ["a:b"] } }],
    ...[
      { join: { url: "https://app.example/", timeoutMs: 5 } },
      { join: { url: "https://app.example/", whenDown: "x" } },
    ],
    // Without a secret to sign with.
    { connect: { url: "https://app.example/" } },
  ],
  hookSecrets: [HIDDEN, [HIDDEN], 5, null, Array(5).fill("x".repeat(32))],
  hookNetworks: [["10.0.0.0/33"], ["host"], 5, [5], null],
  hookTimeoutMs: notWhole(10, 60_000),
  hookMaxBytes: notWhole(256, 16_777_216),
  hookConcurrency: notWhole(1, 10_000),
  hookFailures: notWhole(1, 1000),
  hookRetryMs: notWhole(100, 60_000),
  hookTries: notWhole(1, 100),
  hookCacheSize: notWhole(0, 1_000_000),
  hookCacheMs: notWhole(0, 3_600_000),
  hookRefusalMs: notWhole(0, 3_600_000),
  queue: ["memory", "", 5, null, "redis", "nats"],
  queuePrefetch: notWhole(1, 10_000),
  queueAckMs: notWhole(1000, 3_600_000),
  queueTries: notWhole(1, 100),
  records: [["published"], "x", 5, [5], null, ["connected"]],
  recordsMax: notWhole(1000, 100_000_000),
  recordsAgeMs: notWhole(60_000, 31 * 86_400_000),
  heartbeatMs: [...notWhole(100, 600_000), 60_001],
  helloTimeoutMs: notWhole(100, 120_000),
  // Over most of these the native library ends the process.
  idleTimeoutMs: [...notWhole(8000, 960_000), 0, 1, 7, 960, 1000, 7000, 8500, 961_000, 8000],
  lingerMs: notWhole(0, 3_600_000),
  checkMs: notWhole(0, 3_600_000),
  resumeWindowMs: notWhole(0, 604_800_000),
  maxFrameBytes: [...notWhole(256, 16_777_216), "64k", 2_000_000],
  maxRooms: notWhole(1, 10_000),
  maxRequests: notWhole(1, 10_000),
  maxFramesPerTurn: notWhole(1, 100_000),
  maxBackpressureBytes: [...notWhole(4096, 268_435_456), 4096, 131_071],
  maxConnections: notWhole(1, 10_000_000),
  connectRate: notWhole(1, 1_000_000),
  maxHandshakes: notWhole(1, 1_000_000),
  addressConnections: notWhole(1, 10_000_000),
  addressRate: notWhole(1, 1_000_000),
  userConnections: notWhole(1, 1_000_000),
  userPublishRate: notWhole(1, 1_000_000),
  requestRate: notWhole(5, 1_000_000),
  byteRate: notWhole(1024, 1_073_741_824),
  trustProxy: [5, [5], "balancer", ["10.0.0.0/33"], ["10.0.0.0/"], ["10.0.0.0/8/8"], ["::1/129"], ["10.0.0/8"], null],
  memoryMaxBytes: [...notWhole(1_048_576, 1_099_511_627_776), "256m"],
  redis: [
    ...[5, [5], null, `http://:${HIDDEN}@a:6379`, "redis://a?weight=x", ["host:6379"], ["redis://a:65536"]],
    ...[["redis://a:6379+b:6379"], ["redis://a/x"], ["redis://a?weight=-1"], ["redis://a?wieght=1"]],
    ...[[`redis://:%zz${HIDDEN}@a`], [`redis://:${HIDDEN}@b@a`], ["redis://a", "redis://a:6379"]],
    ...[["redis://a?weight=0"], ["redis+sentinel://a:26379"], ["redis+cluster://a/0"]],
  ],
  redisUsername: [5, null],
  redisPassword: [5, null, [HIDDEN]],
  nats: [5, [5], null, "http://a", ["a:4222"], ["nats://a:65536"], ["nats://a/b"], ["nats://a b"]],
  natsStreams: [5, [], "a.b", ["a.b"], ["a?weight=x"], ["a", "a"], ["a?weight=1001"], null],
  natsReplicas: notWhole(1, 5),
  natsStorage: ["", "disk", 5, null],
  natsRetentionMs: [...notWhole(60_000, 31_536_000_000), "1d"],
  natsCredentials: ["/no/such/file.creds", "/", "", 5, null, PRIVATE_KEY],
  namespace: ["", "a b", "a:b", "a|b", "x".repeat(33), 5, null],
  engineTimeoutMs: notWhole(50, 60_000),
  probeMs: notWhole(100, 60_000),
  leaseMs: notWhole(1000, 600_000),
  noticeMs: [...notWhole(0, 3_600_000), 17_000],
  drainMs: [...notWhole(0, 3_600_000), 20_000],
  deadlineMs: [...notWhole(100, 3_600_000), 13_000],
  metricsPort: notWhole(0, 65_535),
  node: ["", "a b", "x".repeat(65), 5, null],
  logLevel: ["", "verbose", "INFO", 5, null],
  page: ["yes", "", "TRUE", 1, null],
};

/** Wrong rules of a kind, and what their line names. */
export function wrongRules(): readonly (readonly [unknown, string])[] {
  const at = (path: string) => `kinds.chat.${path}`;
  return [
    [{ history: 5 }, at("history")],
    [{ history: { size: -1 } }, at("history.size")],
    [{ history: { size: 100_001 } }, at("history.size")],
    [{ history: { ageMs: 0 } }, at("history.ageMs")],
    [{ history: { age: 5 } }, at("history.age")],
    [{ history: { toString: 5 } }, at("history.toString")],
    [{ keyWindowMs: 0 }, at("keyWindowMs")],
    [{ batchMs: 1001 }, at("batchMs")],
    [{ slow: "wait" }, at("slow")],
    [{ slow: "resume", history: { size: 0 } }, at("slow")],
    [{ engine: "kafka" }, at("engine")],
    [{ engine: "redis" }, at("engine")],
    [{ engine: "nats" }, at("engine")],
    [{ allow: 5 }, at("allow")],
    [{ allow: ["join"] }, at("allow")],
    [{ allow: { anonymus: [] } }, at("allow.anonymus")],
    [{ allow: { user: "join" } }, at("allow.user")],
    [{ allow: { user: ["jion"] } }, at("allow.user[0]")],
    [{ allow: { token: [5] } }, at("allow.token[0]")],
    [{ allow: { anonymous: [null] } }, at("allow.anonymous[0]")],
    [{ publishRate: 0 }, at("publishRate")],
    [{ publishRate: 1_000_001 }, at("publishRate")],
    [{ maxMembers: 0 }, at("maxMembers")],
    [{ maxMembers: "many" }, at("maxMembers")],
    [{ maxEventBytes: 0 }, at("maxEventBytes")],
    [{ maxEventBytes: 16_777_217 }, at("maxEventBytes")],
    [{ lastValue: 1 }, at("lastValue")],
    [{ presence: true }, at("presence")],
    [{ presence: { of: "all" } }, at("presence.of")],
    [{ presence: { maxListed: 1001 } }, at("presence.maxListed")],
    [{ presence: { graceMs: -1 } }, at("presence.graceMs")],
    [{ presence: { graceMs: 300_001 } }, at("presence.graceMs")],
    [{ presence: { intervalMs: 49 } }, at("presence.intervalMs")],
    [{ presence: { every: 1 } }, at("presence.every")],
    [{ record: "yes" }, at("record")],
    [{ record: true }, at("record")],
  ];
}

/** A wrong value as a flag or a variable gives it; `undefined` where it would be right, or another, as text. */
export function asText({ schema }: SettingInfo, value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (schema.type !== "array" && schema.type !== "string") return JSON.stringify(value);
  const isList =
    schema.type === "array" && Array.isArray(value) && value.every((one) => typeof one === "string" && one !== "");
  return isList && value.length > 0 ? value.join(",") : undefined;
}
