/** Public keys that are listed at an address (JWKS, RFC 7517), read again as they change. */
import type { Log } from "../../log.js";
import { type ListedKey, readJwks } from "./jwks-document.js";
import type { PublicAlgorithm, PublicKey } from "./key-sources.js";
import { TokenError } from "./token.js";

/** The longest list, in bytes. */
export const MAX_JWKS_BYTES = 262_144;
/** How long an answer may take, in milliseconds. */
const TIMEOUT_MS = 5000;
/** The most keys that are kept, those that are no longer listed among them. */
const MAX_KEPT = 300;
/** The most keys that are tried for a token which names none. */
const MAX_TRIED = 8;
/** After a read that failed, the next is made after so long, in milliseconds, then after twice as long, and so on. */
const RETRY_MS = 1000;
/** A token that may be good is not asked for again sooner than this, in milliseconds. */
const LEAST_RETRY_MS = 500;
/** How often it is logged that the keys cannot be read, in milliseconds. */
const LOG_AGAIN_MS = 600_000;

type Kept = ListedKey & {
  /** When it was found that it is no longer listed, in Unix milliseconds. */
  goneAt: number | undefined;
};

export type JwksOptions = {
  readonly url: URL;
  /** How often the keys are read again, in milliseconds; each node somewhat sooner, by chance. */
  readonly refreshMs: number;
  /** How long after a read the next may be made for a token with an unknown key, in milliseconds. */
  readonly cooldownMs: number;
  /** How long a key is honoured that is no longer listed, in milliseconds: as long as what it signed may be good. */
  readonly keepMs: number;
  readonly log: Log;
  /** As the global one, which it is where it is left out. */
  readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
  /** The time in Unix milliseconds. */
  readonly now?: () => number;
};

/**
 * The keys at one address. What is known is answered at once, also while the address cannot be reached. A timer reads
 * them again, which holds no process open; so does a token that names a key which is not known, once within the cooldown.
 */
export class Jwks {
  readonly #options: JwksOptions;
  readonly #now: () => number;
  /** Those that are listed come first. */
  #keys: readonly Kept[] = [];
  #reading: Promise<void> | undefined;
  /** When the last read began that came to a list, in Unix milliseconds. */
  #readAt: number | undefined;
  /** Before then no token causes a read. */
  #mayReadAt = 0;
  #failures = 0;
  #loggedAt: number | undefined;
  #passedOver = "";
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Ends the read that goes on. */
  #stop: (() => void) | undefined;

  constructor(options: JwksOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins to read the keys, and goes on with it. Resolves after the first try, whatever came of it. */
  start(): Promise<void> {
    return this.refresh();
  }

  /** Ends reading. What is known stays. */
  close(): void {
    clearTimeout(this.#timer);
    this.#closed = true;
    this.#stop?.();
  }

  /**
   * The keys that may have signed a token that names its key so, or none. `undefined` where there is no such key, or
   * nothing was read yet: it may become known, by `lookFor`.
   */
  find(algorithm: PublicAlgorithm, keyId: string | undefined): readonly PublicKey[] | undefined {
    const goneBefore = this.#now() - this.#options.keepMs;
    const good = this.#keys.filter(({ goneAt }) => goneAt === undefined || goneAt > goneBefore);
    const named = keyId === undefined ? good : good.filter((key) => key.keyId === keyId);
    if (this.#readAt === undefined || (keyId !== undefined && named.length === 0)) return undefined;
    return named.filter((key) => key.algorithm === algorithm).slice(0, MAX_TRIED);
  }

  /**
   * The keys that `find` did not know, after the list was read again, where the cooldown allows it. `signedBefore` is the
   * latest that the token may have been signed, in Unix milliseconds; left out, it may have been now. Rejects with
   * `TokenError`, `unavailable`, where the key may have been listed since the last read: the token may be good.
   */
  async lookFor(
    algorithm: PublicAlgorithm,
    keyId: string | undefined,
    signedBefore: number | undefined,
  ): Promise<readonly PublicKey[]> {
    const neededAt = Math.min(signedBefore ?? Number.POSITIVE_INFINITY, this.#now());
    if (this.#reading !== undefined) await this.#reading;
    else if (this.#now() >= this.#mayReadAt) await this.refresh();
    const found = this.find(algorithm, keyId);
    if (found !== undefined) return found;
    // Whoever signs with a key has listed it before.
    if (this.#readAt !== undefined && this.#readAt >= neededAt) return [];
    const retryMs = Math.max(LEAST_RETRY_MS, this.#mayReadAt - this.#now());
    throw new TokenError("unavailable", "token: the key it names is not known yet", retryMs);
  }

  /** Reads the keys now, with whoever does already. Never rejects. */
  refresh(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    clearTimeout(this.#timer);
    const startedAt = this.#now();
    try {
      this.#take(await this.#fetched(), startedAt);
    } catch (error) {
      this.#failed(error);
    }
    if (this.#closed) return;
    const waitMs = this.#failures > 0 ? this.#mayReadAt - this.#now() : this.#options.refreshMs;
    this.#timer = setTimeout(() => void this.refresh(), waitMs * (0.8 + 0.2 * Math.random())).unref();
  }

  async #fetched(): Promise<string> {
    // The signal alone is not relied on: Node 20 holds what `fetch` makes of it weakly, and once that is collected nothing ends.
    const controller = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const stopped = new Promise<never>((_, reject) => {
      const stop = (reason: string): void => {
        const error = new Error(reason);
        reject(error);
        controller.abort(error);
      };
      this.#stop = () => stop("it is no longer wanted");
      timer = setTimeout(() => stop(`a timeout: there was no answer in ${TIMEOUT_MS} ms`), TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#ask(controller.signal), stopped]);
    } finally {
      clearTimeout(timer);
      this.#stop = undefined;
    }
  }

  async #ask(signal: AbortSignal): Promise<string> {
    const { url, fetch: ask = fetch } = this.#options;
    const headers = { accept: "application/jwk-set+json, application/json" };
    // Who may redirect may name another signer.
    const answer = await ask(url, { headers, redirect: "error", signal });
    if (answer.status !== 200 || answer.body === null) {
      await answer.body?.cancel();
      throw new Error(`it was answered with status ${answer.status}`);
    }
    const parts: Uint8Array[] = [];
    let bytes = 0;
    const reader = answer.body.getReader();
    const cancel = (): void => void reader.cancel().catch(() => undefined);
    signal.addEventListener("abort", cancel);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(parts).toString();
      bytes += value.length;
      if (bytes <= MAX_JWKS_BYTES) parts.push(value);
      else {
        cancel();
        throw new Error(`it is longer than ${MAX_JWKS_BYTES} bytes`);
      }
    }
  }

  #take(text: string, startedAt: number): void {
    const { keys, passedOver } = readJwks(text);
    const now = this.#now();
    const listed = new Set(keys.map(({ identity }) => identity));
    const gone = this.#keys
      .filter(({ identity, goneAt }) => !listed.has(identity) && (goneAt ?? now) > now - this.#options.keepMs)
      .map((key) => ({ ...key, goneAt: key.goneAt ?? now }))
      .sort((a, b) => b.goneAt - a.goneAt);
    this.#keys = [...keys.map((key) => ({ ...key, goneAt: undefined })), ...gone].slice(0, MAX_KEPT);
    this.#readAt = startedAt;
    this.#mayReadAt = startedAt + this.#options.cooldownMs;
    this.#tell(passedOver);
  }

  #tell(passedOver: readonly string[]): void {
    const { log, url } = this.#options;
    const where = { url: url.origin + url.pathname };
    if (this.#failures > 0) log.info("the keys of tokens could be read again", where);
    this.#failures = 0;
    this.#loggedAt = undefined;
    const text = passedOver.join("; ");
    if (text !== "" && text !== this.#passedOver) log.warn("keys of tokens were passed over", { ...where, keys: text });
    this.#passedOver = text;
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    const { log, url, cooldownMs, refreshMs } = this.#options;
    const now = this.#now();
    this.#mayReadAt = now + Math.min(RETRY_MS * 2 ** Math.min(this.#failures, 20), cooldownMs, refreshMs);
    this.#failures++;
    if (this.#loggedAt !== undefined && now - this.#loggedAt < LOG_AGAIN_MS) return;
    this.#loggedAt = now;
    const { message, cause } = error as Error;
    const reason = cause instanceof Error ? `${message}: ${cause.message}` : message;
    const known = this.#keys.length;
    log.warn("the keys of tokens cannot be read", { url: url.origin + url.pathname, reason, known });
  }
}
