/**
 * Signs what is posted to hooks, and checks it: as the Standard Webhooks specification says, version 1 (HMAC-SHA256).
 * The bytes of a secret are its text in UTF-8; a library of that specification wants them as `whsec_` and their base64.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

/** How far a post's time may be from now where nothing else is said, in milliseconds. */
const TOLERANCE_MS = 300_000;
/** More signatures than these are not looked at. */
const MAX_SIGNATURES = 16;
const MAX_HEADER_LENGTH = 4096;

const digest = (secret: string, id: string, timestamp: string, body: string | Uint8Array): Buffer =>
  createHmac("sha256", Buffer.from(secret, "utf8")).update(`${id}.${timestamp}.`).update(body).digest();

export type SignedHeaders = {
  readonly "webhook-id": string;
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
};

/** The headers of one post; one signature for each secret. `nowMs`: Unix milliseconds. */
export function signHook(
  id: string,
  body: string | Uint8Array,
  secrets: readonly string[],
  nowMs: number,
): SignedHeaders {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signatures = secrets.map((secret) => `v1,${digest(secret, id, timestamp, body).toString("base64")}`);
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

/** The headers of a request: Node's own object, or a `Headers` of fetch. */
export type HookHeaders =
  | { readonly [name: string]: string | readonly string[] | undefined }
  | { get(name: string): string | null };

export type VerifyHookOptions = {
  /** How far the post's time may be from now, in milliseconds; 300000 by default. */
  readonly toleranceMs?: number;
  /** Now, in Unix milliseconds; by default the clock's. */
  readonly now?: number;
};

function headerOf(headers: HookHeaders, name: string): string {
  const { get } = headers as { readonly get?: unknown };
  const value =
    typeof get === "function"
      ? (headers as { get(name: string): string | null }).get(name)
      : (headers as { readonly [name: string]: unknown })[name];
  return typeof value === "string" && value.length <= MAX_HEADER_LENGTH ? value : "";
}

/**
 * Whether a post to a hook comes from a server that has one of `secrets` (its setting `hookSecrets`), and is of now.
 * `body` is the request's body in the bytes it came in: JSON that was parsed and printed again is not what was signed.
 * Takes the same time whatever signature came. Throws `TypeError` where there are no secrets, since nothing could pass.
 */
export function verifyHook(
  headers: HookHeaders,
  body: string | Uint8Array,
  secrets: string | readonly string[],
  options: VerifyHookOptions = {},
): boolean {
  const known = typeof secrets === "string" ? [secrets] : secrets;
  if (known.length === 0 || known.some((secret) => typeof secret !== "string" || secret === "")) {
    throw new TypeError("secrets: expected the server's hookSecrets, one or more, none of them empty");
  }
  const { toleranceMs = TOLERANCE_MS, now = Date.now() } = options;
  const id = headerOf(headers, "webhook-id");
  const timestamp = headerOf(headers, "webhook-timestamp");
  if (id === "" || !/^\d{1,12}$/.test(timestamp)) return false;
  if (!(Math.abs(now - Number(timestamp) * 1000) <= toleranceMs)) return false;
  const shown = headerOf(headers, "webhook-signature")
    .split(" ", MAX_SIGNATURES)
    .filter((signature) => signature.startsWith("v1,"))
    .map((signature) => Buffer.from(signature.slice(3), "base64"));
  let holds = false;
  for (const secret of known) {
    const expected = digest(secret, id, timestamp, body);
    // All of them are compared, also after one was found.
    for (const each of shown) if (each.length === expected.length && timingSafeEqual(each, expected)) holds = true;
  }
  return holds;
}
