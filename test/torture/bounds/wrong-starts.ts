/** Every way in which `roomcast serve` can be told something wrong: starts that have to fail, each for one thing. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SettingInfo, settingInfos } from "../../../server/cli/settings.js";
import type { SettingsInput } from "../../../server/config.js";
import type { Scope } from "../../support/services/scope.js";
import type { Start } from "./serve-once.js";
import { asText, HIDDEN, wrongRules, wrongValues } from "./wrong-values.js";

/** Files for starts, in a folder that goes with its scope. */
export class Files {
  readonly folder = mkdtempSync(join(tmpdir(), "roomcast-wrong-"));
  #count = 0;

  constructor(scope: Scope) {
    scope.after(() => rm(this.folder, { recursive: true, force: true }));
  }

  write(text: string | Buffer): string {
    const path = join(this.folder, `${++this.#count}`);
    writeFileSync(path, text);
    return path;
  }
}

/** One wrong value in each way that a setting can come. */
function waysOf(info: SettingInfo, value: unknown, files: Files): Start[] {
  const { name, flag, variable } = info;
  const path = files.write(JSON.stringify({ [name]: value }));
  const inFile = { args: ["--config", path], named: name, from: path };
  const text = asText(info, value);
  if (text === undefined) return [inFile];
  return [
    { args: [`${flag}=${text}`], named: name, from: flag },
    { args: [], env: { [variable]: text }, named: name, from: variable },
    inFile,
  ];
}

/** All wrong values of all settings, in all ways. */
export function everyValue(files: Files): Start[] {
  return settingInfos.flatMap((info) => wrongValues[info.name].flatMap((value) => waysOf(info, value, files)));
}

/** One wrong value of each setting, the ways by turns. */
export function oneOfEach(files: Files): Start[] {
  return settingInfos.flatMap((info, index) => {
    const ways = waysOf(info, wrongValues[info.name][0], files);
    return ways.slice(index % ways.length).slice(0, 1);
  });
}

/** Every rule of a kind, wrong, with the place in the line. */
export function everyRule(): Start[] {
  return wrongRules().map(([rules, named]) => {
    return { args: ["--kinds", JSON.stringify({ chat: rules })], named, from: "--kinds" };
  });
}

/** Settings that are right in themselves and do not fit each other; `named` is the one that the line is about. */
const pairs: readonly (readonly [SettingsInput, string])[] = [
  [{ heartbeatMs: 30_000, idleTimeoutMs: 20_000 }, "heartbeatMs"],
  [{ idleTimeoutMs: 19_000 }, "idleTimeoutMs"],
  [{ maxFrameBytes: 1_000_000, maxBackpressureBytes: 1_000_000 }, "maxFrameBytes"],
  [{ maxBackpressureBytes: 100_000 }, "maxBackpressureBytes"],
  [{ noticeMs: 1000, drainMs: 1000, deadlineMs: 2000 }, "deadlineMs"],
  [{ drainMs: 20_000 }, "drainMs"],
  [{ noticeMs: 17_000 }, "noticeMs"],
  [{ kinds: { chat: { engine: "nats" } }, redis: ["redis://a"] }, "kinds.chat.engine"],
  [{ kinds: { chat: { engine: "redis" } }, nats: ["nats://a"] }, "kinds.chat.engine"],
  [{ kinds: { "*": { history: { size: 0 } }, chat: { slow: "resume" } } }, "kinds.chat.slow"],
  [{ nats: ["nats://a"], kinds: { chat: { keyWindowMs: 100_000_000 } } }, "kinds.chat"],
  [{ nats: ["nats://a"], kinds: { chat: { history: { ageMs: 100_000_000 } } } }, "kinds.chat"],
  [{ nats: ["nats://a"], natsRetentionMs: 60_000 }, "natsRetentionMs"],
  [{ redis: ["redis://a?name=x", "redis://b?name=x"] }, "redis"],
  [{ redis: ["redis://a?weight=0", "redis://b?weight=0"] }, "redis"],
  [{ natsStreams: ["a", "a?weight=2"] }, "natsStreams"],
  [{ kinds: { chat: { maxEventBytes: 65_537 } } }, "kinds.chat.maxEventBytes"],
  [{ kinds: { chat: { maxEventBytes: 1000 } }, maxFrameBytes: 999 }, "kinds.chat.maxEventBytes"],
  [{ host: "0.0.0.0" }, "host"],
  [{ host: "0.0.0.0", moreSecrets: [], tokenKeys: [] }, "host"],
];

/** Files of keys that are not what they have to be. */
function wrongKeys(files: Files): string[] {
  const spki = { type: "spki", format: "pem" } as const;
  const pkcs8 = { type: "pkcs8", format: "pem" } as const;
  const both = { publicKeyEncoding: spki, privateKeyEncoding: pkcs8 };
  const pair = generateKeyPairSync("ed25519", both);
  const ed25519 = { publicKey: String(pair.publicKey), privateKey: String(pair.privateKey) };
  const small = generateKeyPairSync("rsa", { modulusLength: 1024, ...both });
  const otherCurve = generateKeyPairSync("ec", { namedCurve: "secp384r1", ...both });
  const x25519 = generateKeyPairSync("x25519", both);
  return [
    ...[ed25519.privateKey, small.privateKey, otherCurve.privateKey, `${ed25519.publicKey}${ed25519.privateKey}`],
    ...[small.publicKey, otherCurve.publicKey, x25519.publicKey, ed25519.publicKey.slice(0, 60)],
    ...["", HIDDEN, `-----BEGIN PUBLIC KEY-----\n${HIDDEN}\n-----END PUBLIC KEY-----\n`, '{"kty":"oct"}'],
    Buffer.from(ed25519.publicKey.replace(/-----[^-]+-----|\n/g, ""), "base64").toString("latin1"),
  ].map((text) => files.write(String(text)));
}

/** Files of settings that are none. */
function wrongFiles(files: Files): string[] {
  const texts = ["", "{", "[]", "5", "null", `"${HIDDEN}"`, `{"secret": ${HIDDEN}}`, `{\n "secret": "${HIDDEN}",\n}`];
  const odd = ["\u0000", `{"redisPassword":"${HIDDEN}"`, "[".repeat(100_000), '{"a":tru}'].map((text) =>
    files.write(text),
  );
  return [...texts.map((text) => files.write(text)), ...odd, files.folder, join(files.folder, "none"), ""];
}

/** Names that are none of ours, in each way that names come. */
function wrongNames(files: Files): Start[] {
  const flags = ["--prot", "--hsot", "--idleTimeoutMs", "--constructor", "--__proto__", "-p", "--x\ny", "--"];
  const names = ["prot", "constructor", "__proto__", "toString", "a\nb", ""];
  const shown = (name: string) => (/^\w+$/.test(name) ? name : JSON.stringify(name));
  return [
    ...flags.slice(0, -1).flatMap((flag) => {
      const named = flag === "--x\ny" ? '"--x\\ny"' : flag;
      return [
        { args: [`${flag}=${HIDDEN}`], named },
        { args: flag === "-p" ? [flag] : [flag, HIDDEN], named },
      ];
    }),
    ...names.map((name) => {
      const path = files.write(`{${JSON.stringify(name)}: "${HIDDEN}"}`);
      return { args: ["--config", path], named: shown(name), from: path };
    }),
    ...["ROOMCAST_PROT", "ROOMCAST___PROTO__", "ROOMCAST_", "ROOMCAST_SECRETS"].map((name) => {
      return { args: [], env: { [name]: HIDDEN }, named: name };
    }),
  ];
}

/** Flags that are not written as flags are. */
const wrongForms: readonly Start[] = [
  { args: ["--port", "1", "--port", "2"], named: "--port" },
  { args: ["--port"], named: "--port" },
  { args: ["--secret"], named: "--secret" },
  { args: ["--config"], named: "--config" },
  { args: ["--check=yes"], named: "--check" },
  { args: ["--json"], named: "--json" },
];

/** What is wrong in other ways than by one value. */
export function everythingElse(files: Files): Start[] {
  return [
    ...pairs.map(([values, named]): Start => {
      const path = files.write(JSON.stringify(values));
      return { args: ["--config", path], named, from: path };
    }),
    ...wrongKeys(files).map((path) => ({ args: ["--token-keys", path], named: "tokenKeys", from: "--token-keys" })),
    ...wrongFiles(files).flatMap((path): Start[] => [
      { args: ["--config", path], named: "config" },
      { args: [], env: { ROOMCAST_CONFIG: path }, named: "config" },
    ]),
    ...wrongNames(files),
    ...wrongForms,
  ];
}
