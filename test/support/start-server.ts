/** A server and clients that end with their test. */
import type { TestContext } from "node:test";
import { createServer, type Server, type ServerOptions } from "../../server/server.js";
import { type ConnectOptions, WsClient } from "./ws-client.js";

export type { Server, ServerOptions };

/** Users may do everything: for tests in which it is not the question who may what. */
export const usersMayAll: NonNullable<ServerOptions["kinds"]> = {
  "*": { allow: { user: ["join", "publish", "history", "members"] } },
};

/**
 * A server on a free port of loopback, without the start page and without a word in the log. Where it asks its clients who
 * they are, and the test says nothing of what they may, users may do everything.
 */
export async function startServer(t: TestContext, options: ServerOptions = {}): Promise<Server> {
  const quick = { noticeMs: 0, drainMs: 0, deadlineMs: 1000 };
  const asks = options.authenticate !== undefined || options.secret !== undefined;
  const kinds = asks && options.authorize === undefined ? usersMayAll : {};
  const server = await createServer({ port: 0, page: false, logLevel: "silent", kinds, ...quick, ...options });
  t.after(() => server.close());
  return server;
}

export async function connect(
  t: TestContext,
  server: { readonly url: string },
  options: ConnectOptions = {},
): Promise<WsClient> {
  const client = await WsClient.connect(server.url, options);
  t.after(() => client.end());
  return client;
}
