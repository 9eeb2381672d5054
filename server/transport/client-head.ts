/** What a client says of itself in the head of a request over HTTP, and whether a page may ask at all. */
import { RequestError } from "../api/problems.js";
import { type OriginRules, originAllowed } from "./upgrade.js";

/** The cookie that carries a token where no header can: a browser's `EventSource` sends none. */
export const TOKEN_COOKIE = "roomcast_token";
/** Names under which tokens are sometimes put into addresses, where logs and histories keep them. */
const IN_ADDRESSES: readonly string[] = ["token", "access_token", "authorization", "jwt"];
const MAX_AGE_S = 600;

/** What of a request says who asks. */
export type RequestHead = {
  /** The first header of this name, which is given in lower case; "" where there is none. */
  header(name: string): string;
  /** What stands behind the `?`, as it came. */
  readonly query: string;
};

/** Who asks, as far as the head says. */
export type ClientHead = {
  readonly token: string | undefined;
  /** The ticket of the session that goes on. */
  readonly session: string | undefined;
  readonly origin: string | undefined;
};

/** Which pages may ask, and what their browsers are told of it. */
export class Pages {
  readonly #rules: OriginRules;
  /** Without `*`: a page that is named nowhere has nothing of a cookie, which its browser would send along. */
  readonly #named: OriginRules;

  constructor({ origins, loopback }: OriginRules) {
    this.#rules = { origins, loopback };
    this.#named = origins.includes("*")
      ? { origins: origins.filter((origin) => origin !== "*"), loopback: false }
      : this.#rules;
  }

  /** Whether a page that asks may; who is no page may. Other sites' pages may not, also where browsers hide who they are. */
  mayAsk(head: RequestHead): boolean {
    const origin = head.header("origin");
    if (!originAllowed(origin, head.header("host"), this.#rules)) return false;
    const site = head.header("sec-fetch-site");
    return origin !== "" || (site !== "cross-site" && site !== "same-site");
  }

  /** Headers that let the page read the answer. */
  headersFor(head: RequestHead): Readonly<Record<string, string>> {
    const origin = head.header("origin");
    if (origin === "" || !originAllowed(origin, head.header("host"), this.#rules)) return { vary: "origin" };
    const shown = { vary: "origin", "access-control-expose-headers": "retry-after" };
    return this.isNamed(origin, head.header("host"))
      ? { ...shown, "access-control-allow-origin": origin, "access-control-allow-credentials": "true" }
      : { ...shown, "access-control-allow-origin": "*" };
  }

  /** What a browser is told that asks before a page may. */
  preflightFor(head: RequestHead): Readonly<Record<string, string>> {
    return {
      ...this.headersFor(head),
      "access-control-allow-methods": "GET, POST",
      "access-control-allow-headers":
        "authorization, content-type, last-event-id, cache-control, idempotency-key, roomcast-session",
      "access-control-max-age": String(MAX_AGE_S),
    };
  }

  /** Whether the page's origin is let in by its name, or is this server's own host. */
  isNamed(origin: string, host: string): boolean {
    return originAllowed(origin, host, this.#named);
  }

  /**
   * Who asks. A cookie counts where no page of another site can have had it sent: from pages that are named, and where
   * `reads` says that the request changes nothing, from those that browsers say nothing of, since they are of this host. Throws `RequestError`.
   */
  read(head: RequestHead, reads: boolean): ClientHead {
    if (!this.mayAsk(head)) {
      throw new RequestError("forbidden", "origin: expected one that this server lets in", 403);
    }
    refuseInAddress(head.query);
    const origin = head.header("origin");
    const counts = origin === "" ? reads : this.isNamed(origin, head.header("host"));
    const session = head.header("roomcast-session");
    return {
      token: bearer(head.header("authorization")) ?? (counts ? tokenIn(head.header("cookie")) : undefined),
      session: session === "" ? undefined : session,
      origin: origin === "" ? undefined : origin,
    };
  }
}

function refuseInAddress(query: string): void {
  if (query === "") return;
  const params = new URLSearchParams(query);
  for (const name of IN_ADDRESSES) {
    if (!params.has(name)) continue;
    const instead = `expected the header Authorization or the cookie ${TOKEN_COOKIE}`;
    throw new RequestError("bad_request", `${name}: ${instead}: addresses are kept in logs and histories`, 400);
  }
}

/** Throws `RequestError` for credentials of another kind: whoever sends them should know that they do not count. */
function bearer(authorization: string): string | undefined {
  if (authorization === "") return undefined;
  const [, token] = /^bearer +([^\s]+)$/i.exec(authorization) ?? [];
  if (token === undefined) {
    throw new RequestError("unauthorized", "authorization: expected Bearer and a token", 401);
  }
  return token;
}

/** The token among the cookies, which may be written with escapes. */
export function tokenIn(cookies: string): string | undefined {
  for (const cookie of cookies.split(";")) {
    const [name = "", ...rest] = cookie.split("=");
    if (name.trim() !== TOKEN_COOKIE) continue;
    const value = rest.join("=").trim();
    const bare = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
    if (bare === "") return undefined;
    try {
      return decodeURIComponent(bare);
    } catch {
      return bare;
    }
  }
  return undefined;
}
