import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import { randomBytesOf } from "./random.js";

/** What a session may be resumed with, sealed into the secret that `welcome` gives the client. */
export type Ticket = {
  readonly session: string;
  readonly user?: string | undefined;
  readonly info?: unknown;
  readonly expiresAt?: number | undefined;
  /** A digest of the token it was welcomed with: the ticket is good with that token only. */
  readonly tokenDigest?: string | undefined;
  /** Unix milliseconds. */
  readonly issuedAt: number;
};

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Longer than any ticket we seal: nothing longer is worth a look. */
const MAX_LENGTH = 8192;

/** A short digest of a token, to compare tokens without keeping them. */
export function digestOf(token: string | undefined): string | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest("base64url").slice(0, 22);
}

/**
 * Seals tickets, with AES-256-GCM, so that any node that has the same secret can open them and nobody else can read or
 * make one. Nothing is kept on the server. Without a secret the key is the process's own, and tickets end with it.
 */
export class TicketSeal {
  readonly #key: Buffer;
  readonly #windowMs: number;

  constructor(secret: string | undefined, windowMs: number) {
    this.#key = Buffer.from(hkdfSync("sha256", secret ?? randomBytes(32), "", "roomcast session ticket", 32));
    this.#windowMs = windowMs;
  }

  seal(ticket: Ticket): string {
    const nonce = randomBytesOf(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const body = cipher.update(JSON.stringify(ticket), "utf8");
    cipher.final();
    return `s_${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64url")}`;
  }

  /** The ticket, or `undefined` where it is not one of ours, past the resume window, past its end, or of another token. */
  open(sealed: string, token: string | undefined, now: number): Ticket | undefined {
    if (!sealed.startsWith("s_") || sealed.length > MAX_LENGTH) return undefined;
    const bytes = Buffer.from(sealed.slice(2), "base64url");
    if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
    let ticket: Ticket;
    try {
      const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      const body = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      decipher.final();
      ticket = JSON.parse(body.toString("utf8")) as Ticket;
    } catch {
      return undefined;
    }
    const live = now - ticket.issuedAt <= this.#windowMs && (ticket.expiresAt === undefined || ticket.expiresAt > now);
    return live && ticket.tokenDigest === digestOf(token) ? ticket : undefined;
  }
}
