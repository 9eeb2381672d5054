/** What a node answers over plain HTTP: whether it lives, whether it takes clients, and the start page. */
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
};

/** What is answered at a path, now or later. */
export type Route = () => Reply | Promise<Reply>;

export type HttpOptions = {
  /**
   * What keeps the node from taking new clients, a line each: that it starts or drains, and what of an engine cannot be
   * reached, in lines that begin with the engine's name. Asked at each request.
   */
  readonly problems: () => readonly string[];
  /** The engines that have a path of their own under `/ready`, where the others do not count. */
  readonly engines?: readonly string[];
  /**
   * Whether the start page is served at `/`, and the SDK for pages without a bundler at `/v1/client.js`, with what it loads
   * later beside it.
   */
  readonly page: boolean;
};

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * What goes with every answer over HTTP, unless it says otherwise itself: so no route can forget it. What is no page may
 * not become one, in a frame or by a guess at what it is; and no other site's page may read it.
 */
export const safeHeaders = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
} as const;

/** An answer of a few words. */
export function plainReply(status: number, body: string, headers: Reply["headers"] = {}): Reply {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body };
}

const pageHeaders = {
  "cache-control": "no-cache",
  // `'self'` in connect-src does not cover WebSockets in every browser.
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self' ws: wss:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
};

/** For pages of any origin, since its name stays the same a browser asks again soon. */
const clientHeaders = {
  "cache-control": "public, max-age=300",
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
};

/** Assets carry a hash of their contents in their name, so what was fetched once never changes. */
const assetHeaders = { "cache-control": "public, max-age=31536000, immutable" };

/**
 * The paths that answer GET (and HEAD, without the body), each with what it answers now. Every other path is 404, every
 * other method 405. The page's files are read once, here: throws where they were not built.
 */
export function httpRoutes({ problems, engines = [], page }: HttpOptions): ReadonlyMap<string, () => Reply> {
  const routes = new Map<string, () => Reply>();
  routes.set("/v1/socket", () => noSocket);
  routes.set("/live", () => plainReply(200, "live\n"));
  routes.set("/ready", () => readiness(problems()));
  for (const engine of engines) {
    const others = engines.filter((name) => name !== engine);
    routes.set(`/ready/${engine}`, () => readiness(problems().filter((line) => !others.includes(firstWord(line)))));
  }
  if (page) for (const [path, reply] of pageReplies()) routes.set(path, () => reply);
  return routes;
}

const firstWord = (line: string): string => /^\w*/.exec(line)?.[0] ?? "";

/** For those who come to where WebSockets are opened, and open none. */
const noSocket = plainReply(426, "this is where WebSockets are opened: expected Upgrade: websocket", {
  upgrade: "websocket",
  // Pages of any origin may learn so much: the SDK finds out here whether the server can be reached where no WebSocket opens.
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
});

/** What the metrics' own port answers, at `/metrics`. */
export function metricsRoutes(metrics: {
  readonly contentType: string;
  text(): Promise<string>;
}): ReadonlyMap<string, Route> {
  const scrape = async (): Promise<Reply> => {
    return plainReply(200, await metrics.text(), { "content-type": metrics.contentType });
  };
  return new Map([["/metrics", scrape]]);
}

/** Names what is wrong in one word each: the rest, addresses among it, is for the log. */
function readiness(problems: readonly string[]): Reply {
  if (problems.length === 0) return plainReply(200, "ready\n");
  const words = [...new Set(problems.map(firstWord))].join(", ");
  return plainReply(503, `not ready: ${words}\n`, { "retry-after": "5" });
}

/** Built into `page/` beside this folder, in dist; see scripts/pages.mjs. */
const pageFolder = new URL("../page/", import.meta.url);

function pageReplies(): Map<string, Reply> {
  const replies = new Map<string, Reply>();
  replies.set("/", file("index.html", pageHeaders));
  for (const name of readdirSync(new URL("v1/", pageFolder))) {
    const headers = name === "client.js" ? clientHeaders : { ...clientHeaders, ...assetHeaders };
    replies.set(`/v1/${name}`, file(`v1/${name}`, headers));
  }
  for (const name of readdirSync(new URL("assets/", pageFolder))) {
    replies.set(`/assets/${name}`, file(`assets/${name}`, assetHeaders));
  }
  return replies;
}

function file(name: string, headers: Readonly<Record<string, string>>): Reply {
  const type = contentTypes[extname(name)];
  if (type === undefined) throw new Error(`${name}: expected one of ${Object.keys(contentTypes).join(", ")}`);
  return { status: 200, headers: { ...headers, "content-type": type }, body: readFileSync(new URL(name, pageFolder)) };
}
