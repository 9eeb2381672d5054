import {
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";

/** What a session may be resumed with, signed into the secret that `welcome` gives the client. */
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

/** A ticket's parts: what it says, in base64url, and the signature of that, of this length. */
const SIGNATURE_LENGTH = 43;
/** Nothing longer is worth a look. */
const MAX_LENGTH = 8192;

/** A short digest of a token, to compare tokens without keeping them. */
export function digestOf(token: string | undefined): string | undefined {
  return token === undefined ? undefined : createHash("sha256").update(token).digest("base64url").slice(0, 22);
}

/**
 * Signs tickets (HMAC-SHA256), so that any node that has the same secret can tell its own and nobody else can make or
 * change one. Nothing is kept on the server. What a ticket says can be read by the client, as in a token: it is about
 * that client. Without a secret the key is the process's own, and tickets end with it.
 */
export class TicketSeal {
  readonly #key: KeyObject;
  readonly #windowMs: number;

  constructor(secret: string | undefined, windowMs: number) {
    const bytes = hkdfSync("sha256", secret ?? randomBytes(32), "", "roomcast session ticket", 32);
    this.#key = createSecretKey(Buffer.from(bytes));
    this.#windowMs = windowMs;
  }

  #signatureOf(body: string): string {
    return createHmac("sha256", this.#key).update(body).digest("base64url");
  }

  seal(ticket: Ticket): string {
    const body = Buffer.from(JSON.stringify(ticket)).toString("base64url");
    return `s_${body}.${this.#signatureOf(body)}`;
  }

  /** The ticket, or `undefined` where it is not one of ours, past the resume window, past its end, or of another token. */
  open(sealed: string, token: string | undefined, now: number): Ticket | undefined {
    const dot = sealed.length - SIGNATURE_LENGTH - 1;
    if (!sealed.startsWith("s_") || sealed.length > MAX_LENGTH || sealed[dot] !== ".") return undefined;
    const body = sealed.slice(2, dot);
    const signature = Buffer.from(sealed.slice(dot + 1));
    const own = Buffer.from(this.#signatureOf(body));
    if (signature.length !== own.length || !timingSafeEqual(signature, own)) return undefined;
    const ticket = JSON.parse(Buffer.from(body, "base64url").toString()) as Ticket;
    const live = now - ticket.issuedAt <= this.#windowMs && (ticket.expiresAt === undefined || ticket.expiresAt > now);
    return live && ticket.tokenDigest === digestOf(token) ? ticket : undefined;
  }
}
