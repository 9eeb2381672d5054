/** What the tests of the API share: keys, and requests over real HTTP. */
import { type IncomingHttpHeaders, request as open } from "node:http";
import { text } from "node:stream/consumers";
import { makeApiKey, type Scope, scopes } from "../../server/access/api-keys.js";

/** A key for some scopes, all by default, and its entry in the settings. */
export const keyFor = (named: readonly Scope[] = scopes, tenant = "") =>
  makeApiKey({ name: "shop", scopes: new Set(named), tenant });

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; fails where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly json: any;
};

export type Ask = {
  readonly method?: string;
  readonly key?: string;
  /** Sent as JSON, unless it is a string or bytes already. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One request, on a connection of its own. */
export async function ask(server: { readonly url: string }, path: string, options: Ask = {}): Promise<Answer> {
  const { body, key, method = body === undefined ? "GET" : "POST" } = options;
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(bytes) }),
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    ...options.headers,
  };
  const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    const sent = open(server.url + path, { method, headers, agent: false }, resolve);
    sent.on("error", reject);
    sent.end(bytes);
  });
  const answered = await text(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: answered,
    get json() {
      return JSON.parse(answered);
    },
  };
}
