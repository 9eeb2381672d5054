/** What clients may: servers that ask for tokens, clients that have one, and what the server says to what they ask. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { RoomAction } from "../../server/access/actions.js";
import { SECRET, signed } from "./sign.js";
import { connect, type Server, type ServerOptions, startServer } from "./start-server.js";
import type { WsClient } from "./ws-client.js";

export type Claims = { readonly [name: string]: unknown };

/** So far from now, in Unix seconds. */
export const seconds = (fromNowMs: number): number => (Date.now() + fromNowMs) / 1000;

/** A server that asks for tokens; the rules are only those that a test gives. */
export const start = (t: TestContext, options: ServerOptions = {}) =>
  startServer(t, { secret: SECRET, kinds: {}, ...options });

export const enter = (t: TestContext, server: Server, claims: Claims): Promise<WsClient> =>
  connect(t, server, { hello: { token: signed(claims) } });

/** A token for the room `chat:1` where the claims name no other. */
export const roomToken = (claims: Claims = {}): string => signed({ room: "chat:1", ...claims });

export const actions = ["join", "publish", "history", "members"] as const;

export const frameOf = (action: RoomAction, room: string) =>
  action === "publish" ? ({ type: action, room, event: "said", data: 1 } as const) : ({ type: action, room } as const);

/** What the server says to it: `yes`, or the code of the error. */
export async function ask(client: WsClient, action: RoomAction, room: string): Promise<string> {
  const answer = await client.request(frameOf(action, room));
  if (answer.type === "error") return answer.code;
  if (answer.type === "joined") await client.ask("left", { type: "leave", room });
  return "yes";
}

/** Which of the actions it may do in the room. */
export async function allowed(client: WsClient, room: string): Promise<string> {
  const words: string[] = [];
  for (const action of actions) {
    const answer = await ask(client, action, room);
    assert.match(answer, /^(yes|forbidden)$/);
    if (answer === "yes") words.push(action);
  }
  return words.join(" ");
}

/** What has come and was not taken. */
export const left = (client: WsClient) => client.frames.filter(({ type }) => type !== "heartbeat");
