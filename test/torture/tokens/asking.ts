/** What a server makes of tokens, in each of the ways in which they can be shown. */
import { closeCodes } from "../../../protocol/codes.js";
import type { ServerFrame } from "../../../protocol/frames.js";
import { WsClient } from "../../support/ws-client.js";

/** What came of a hello. */
export type Hello = {
  readonly answer: ServerFrame;
  /** The code of the close, where there was one. */
  readonly close: number | undefined;
};

const isRefused = (answer: ServerFrame, code: string): boolean => answer.type === "error" && answer.code === code;

/** Says hello on a connection of its own. Rejects where the server cannot be reached. */
export async function sayHello(url: string, token: string): Promise<Hello> {
  const client = await WsClient.connect(url, { hello: false });
  try {
    const answer = await client.request({ type: "hello", token });
    return { answer, close: answer.type === "error" ? (await client.close()).code : undefined };
  } finally {
    client.end();
  }
}

/** Why the hello's outcome is not a refusal for good with this code; `undefined`: it is. */
export async function helloFault(url: string, token: string, code: "unauthorized" | "expired") {
  const { answer, close } = await sayHello(url, token);
  const wanted = code === "expired" ? closeCodes.expired : closeCodes.unauthorized;
  return isRefused(answer, code) && close === wanted ? undefined : `${shown(answer)}, close ${close}`;
}

/** The same of a renewal, after which the session has to be as it was. */
export async function renewFault(session: WsClient, token: string, code: "unauthorized" | "expired") {
  const answer = await session.request({ type: "renew", token });
  await session.ping();
  return isRefused(answer, code) ? undefined : shown(answer);
}

/** The same of a join with a token for its room. */
export async function joinFault(session: WsClient, room: string, token: string, code: "unauthorized" | "expired") {
  const answer = await session.request({ type: "join", room, token });
  await session.ping();
  return isRefused(answer, code) ? undefined : shown(answer);
}

/** What an answer was, without what a client could resume with. */
export const shown = (answer: ServerFrame): string =>
  answer.type === "error" ? `error ${answer.code} (${answer.message})` : answer.type;
