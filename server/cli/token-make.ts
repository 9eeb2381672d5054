/** Making a token: the options, the claims they stand for, and the signature. */
import { createSecretKey, randomBytes } from "node:crypto";
import { type JWTPayload, SignJWT } from "jose";
import { describe, isUser, MAX_USER_LENGTH } from "../../protocol/fields.js";
import { isRoomName, isTenant, TENANT_TEXT } from "../../protocol/names.js";
import { parseActions, roomActions } from "../access/actions.js";
import { GrantError, MAX_PATTERNS, parsePattern } from "../access/grants.js";
import { type ClaimRules, readAccess, readRoomToken } from "../access/tokens/claims.js";
import { MAX_TOKEN_LENGTH, TokenError } from "../access/tokens/token.js";
import { ConfigError, type Settings } from "../config.js";
import { DURATION_TEXT, parseDuration } from "./duration.js";
import { readPrivateKey, readText, type SigningKey } from "./token-keys.js";
import { toldClaims } from "./token-told.js";

export const claimOptions = [
  ...(["user", "room", "only-room", "may", "expires", "tenant", "info", "id", "issuer", "audience"] as const),
];
export const signingOptions = ["secret-file", "key", "key-id"] as const;
type Option = (typeof claimOptions)[number] | (typeof signingOptions)[number];
type Options = ReadonlyMap<string, readonly string[]>;

/** How long a token is good for of which nothing is said: long enough to try things, too short to be worth much to a thief. */
const EXPIRES = "1h";
/** Those that may be given more than once. */
const REPEATED: ReadonlySet<string> = new Set<Option>(["room", "audience"]);
const ACTIONS = `some of ${roomActions.join(", ")}`;
const MIN_SECRET_LENGTH = 32;

/** Prints the token alone on standard output and, on a terminal, what it says on standard error. Rejects with `ConfigError`. */
export async function makeToken(options: Options, settings: Settings): Promise<void> {
  const lines: string[] = [];
  for (const [name, values] of options) {
    if (values.length > 1 && !REPEATED.has(name)) lines.push(`--${name}: expected once, got it again`);
  }
  const claims = claimsOf(options, settings, lines);
  if (lines.length === 0) lines.push(...refusalOf(claims, settings));
  const [key, keyLines] = signingKey(options, settings);
  if (key === undefined || lines.length > 0) throw new ConfigError([...lines, ...keyLines]);
  const [kid] = options.get("key-id") ?? [];
  const header = { alg: key.algorithm, typ: "JWT", ...(kid === undefined ? {} : { kid }) };
  const token = await new SignJWT(claims).setProtectedHeader(header).sign(key.key);
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new ConfigError([
      `--info, --room: expected a token of at most ${MAX_TOKEN_LENGTH} characters, got ${token.length}`,
    ]);
  }
  process.stdout.write(`${token}\n`);
  if (process.stderr.isTTY) process.stderr.write(`${toldClaims(claims, key.algorithm, settings).join("\n")}\n`);
}

/** The first value of each option, checked; what is wrong goes to `lines`. */
function reader(options: Options, lines: string[]) {
  return (name: Option, test: (text: string) => boolean, expected: string): string | undefined => {
    const [text] = options.get(name) ?? [];
    if (text === undefined || test(text)) return text;
    lines.push(`--${name}: expected ${expected}, got ${describe(text)}`);
    return undefined;
  };
}

const among = (length: number) => (text: string) => text.length > 0 && text.length <= length;

function claimsOf(options: Options, settings: Settings, lines: string[]): JWTPayload {
  const read = reader(options, lines);
  const user = read("user", isUser, `1 to ${MAX_USER_LENGTH} characters`);
  const tenant = read("tenant", isTenant, TENANT_TEXT);
  const id = read("id", among(128), "1 to 128 characters");
  const expires = read("expires", (text) => parseDuration(text) !== undefined, DURATION_TEXT) ?? EXPIRES;
  const issuer = read("issuer", among(512), "1 to 512 characters") ?? settings.tokenIssuer[0];
  const audience = options.get("audience") ?? settings.tokenAudience.slice(0, 1);
  const issuedAt = Math.floor(Date.now() / 1000);
  const claims = {
    sub: user,
    tenant,
    ...(options.has("only-room") ? roomClaims(options, lines) : sessionClaims(options, user, lines)),
    jti: id ?? randomBytes(12).toString("base64url"),
    iss: issuer,
    aud: audience.length > 1 ? [...audience] : audience[0],
    iat: issuedAt,
    exp: issuedAt + Math.floor((parseDuration(expires) ?? 0) / 1000),
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}

/** A token for one room: to join it with, not to connect with. */
function roomClaims(options: Options, lines: string[]): object {
  const read = reader(options, lines);
  for (const name of ["room", "info"].filter((one) => options.has(one))) {
    lines.push(`--${name}: expected no --only-room with it, which makes a token to join one room with`);
  }
  const room = read("only-room", isRoomName, "one room's name, 1 to 128 characters of A-Z a-z 0-9 _ - . : @ /");
  const may = read("may", (text) => parseActions(spaced(text)) !== undefined, ACTIONS);
  return { room, may: may && spaced(may) };
}

/** Words may also have commas between them, as lists have in other options. */
const spaced = (text: string): string => text.replaceAll(",", " ").trim().replace(/ +/g, " ");

function sessionClaims(options: Options, user: string | undefined, lines: string[]): object {
  if (options.has("may"))
    lines.push("--may: expected --only-room with it; for patterns it is --room 'PATTERN=ACTIONS'");
  const rooms = new Map<string, string>();
  for (const given of options.get("room") ?? []) {
    const [pattern, words] = patternOf(given, user, lines);
    rooms.set(pattern, [rooms.get(pattern) ?? "", words].join(" ").trim());
  }
  if (rooms.size > MAX_PATTERNS) lines.push(`--room: expected at most ${MAX_PATTERNS} patterns, got ${rooms.size}`);
  return { rooms: rooms.size === 0 ? undefined : Object.fromEntries(rooms), info: infoOf(options, lines) };
}

/** `PATTERN=ACTIONS`: no name of a room has a `=`. */
function patternOf(given: string, user: string | undefined, lines: string[]): readonly [string, string] {
  const equals = given.indexOf("=");
  const pattern = equals < 0 ? given : given.slice(0, equals);
  const words = spaced(given.slice(equals + 1));
  if (equals < 0 || words === "" || parseActions(words) === undefined) {
    lines.push(`--room: expected PATTERN=ACTIONS, ${ACTIONS}, got ${describe(given)}`);
  } else {
    try {
      parsePattern(pattern, user);
    } catch (error) {
      if (!(error instanceof GrantError)) throw error;
      lines.push(`--room: ${error.message}`);
    }
  }
  return [pattern, words];
}

function infoOf(options: Options, lines: string[]): unknown {
  const [text] = options.get("info") ?? [];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    lines.push(`--info: expected JSON, got ${describe(text)}`);
    return undefined;
  }
}

/** What a server with these settings would say against it: a token that it refuses is made by mistake. */
function refusalOf(claims: JWTPayload, settings: Settings): string[] {
  const { tokenIssuer: issuers, tokenAudience: audiences, tokenSkewMs: skewMs, maxTokenLifeMs: maxLifeMs } = settings;
  const rules: ClaimRules = { issuers, audiences, skewMs, maxLifeMs };
  try {
    if (claims["room"] === undefined) readAccess(claims, rules, Date.now());
    else readRoomToken(claims, rules, Date.now());
    return [];
  } catch (error) {
    if (error instanceof TokenError) return [`these settings would refuse it: ${error.message}`];
    throw error;
  }
}

/** What signs it, or what is wrong with that. */
function signingKey(options: Options, settings: Settings): readonly [SigningKey | undefined, readonly string[]] {
  const [file] = options.get("secret-file") ?? [];
  const [keyFile] = options.get("key") ?? [];
  try {
    if (keyFile !== undefined && file === undefined) return [readPrivateKey(keyFile), []];
    if (keyFile !== undefined) return [undefined, ["--secret-file: expected no --key with it"]];
    const secret = file === undefined ? settings.secret : readText("--secret-file", file);
    if (secret === undefined) {
      const expected = "ROOMCAST_SECRET, the file of --config, --secret-file, or a private key by --key";
      return [undefined, [`secret: expected one in ${expected}; roomcast token --new-secret makes one`]];
    }
    if (secret.length >= MIN_SECRET_LENGTH)
      return [{ key: createSecretKey(Buffer.from(secret)), algorithm: "HS256" }, []];
    const got = `${secret.length}`;
    return [undefined, [`--secret-file: expected a secret of at least ${MIN_SECRET_LENGTH} characters, got ${got}`]];
  } catch (error) {
    if (error instanceof ConfigError) return [undefined, error.lines];
    throw error;
  }
}
