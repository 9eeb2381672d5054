import {
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";

import type { Access } from "./access.js";

/** What a session may be resumed with, signed into the secret that `welcome` gives the client. */
export type Ticket = {
  readonly session: string;
  /** What the session goes by; left out where its token says so. What was granted is as the application gave it. */
  readonly access?: Omit<Access, "grants"> | undefined;
  /** When the right to be connected ends, in Unix milliseconds. */
  readonly expiresAt?: number | undefined;
  /** A digest of the token it was welcomed with: the ticket is good with that token only. */
  readonly tokenDigest?: string | undefined;
  /** Unix milliseconds. */
  readonly issuedAt: number;
};

/** A ticket's parts: what it says, in base64url, and the signature of that, of this length. */
const SIGNATURE_LENGTH = 43;
/** Nothing longer is worth a look. */
const MAX_LENGTH = 32_768;

/** A short digest of a token, to compare tokens without keeping them. */
export function digestOf(token: string | undefined): string | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest("base64url").slice(0, 22);
}

const keyOf = (secret: string | Buffer): KeyObject =>
  createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", "roomcast session ticket", 32)));

const signatureOf = (key: KeyObject, body: string): string =>
  createHmac("sha256", key).update(body).digest("base64url");

const isSame = (one: Buffer, other: Buffer): boolean => one.length === other.length && timingSafeEqual(one, other);

/**
 * Signs tickets (HMAC-SHA256), so that any node that has the same secret can tell its own and nobody else can make or
 * change one. Nothing is kept on the server. What a ticket says can be read by the client, as in a token: it is about
 * that client. Without a secret the key is the process's own, and tickets end with it.
 */
export class TicketSeal {
  /** The first signs; the others are of secrets that are about to be, or were until a moment ago. */
  readonly #keys: readonly [KeyObject, ...KeyObject[]];
  readonly #windowMs: number;

  constructor([secret, ...others]: readonly string[], windowMs: number) {
    this.#keys = [keyOf(secret ?? randomBytes(32)), ...others.map(keyOf)];
    this.#windowMs = windowMs;
  }

  seal(ticket: Ticket): string {
    const body = Buffer.from(JSON.stringify(ticket)).toString("base64url");
    return `s_${body}.${signatureOf(this.#keys[0], body)}`;
  }

  /** The ticket, or `undefined` where it is not one of ours, past the resume window, past its end, or of another token. */
  open(sealed: string, token: string | undefined, now: number): Ticket | undefined {
    const dot = sealed.length - SIGNATURE_LENGTH - 1;
    if (!sealed.startsWith("s_") || sealed.length > MAX_LENGTH || sealed[dot] !== ".") return undefined;
    const body = sealed.slice(2, dot);
    const signature = Buffer.from(sealed.slice(dot + 1));
    if (!this.#keys.some((key) => isSame(signature, Buffer.from(signatureOf(key, body))))) return undefined;
    const ticket = JSON.parse(Buffer.from(body, "base64url").toString()) as Ticket;
    const live = now - ticket.issuedAt <= this.#windowMs && (ticket.expiresAt === undefined || ticket.expiresAt > now);
    return live && ticket.tokenDigest === digestOf(token) ? ticket : undefined;
  }
}
