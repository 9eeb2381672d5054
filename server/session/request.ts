/** What every verb needs: who asks whether it may, and how an answer is put. */
import type { ReceivedFrame } from "../../protocol/codec.js";
import { isRoomName } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import { type Action, Refusal, whenAnswered } from "../hooks/hooks.js";
import type { Session } from "./session.js";

export type Received<T extends ReceivedFrame["type"]> = Extract<ReceivedFrame, { type: T }>;
export type Done = void | Promise<void>;

export const forbidden = (action: Action, room: string) =>
  new Refusal("forbidden", `room: you may not ${action} in "${room}"`);

export const optional = <N extends string, V>(name: N, value: V | undefined): { [K in N]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { [K in N]?: V };

/** Names that start with `$` are the server's own; the rules for names leave that character out anyway. */
export function mayBeAsked(room: string): void {
  if (!isRoomName(room)) throw new Refusal("bad_request", `room: expected a room's name, got ${JSON.stringify(room)}`);
}

/** Asks the application, in the same turn where there is nobody to ask. */
export function authorized(
  session: Session,
  action: Action,
  room: string | undefined,
  token: string | undefined,
  next: () => Done,
): Done {
  const ask = session.context.hooks.authorize;
  if (ask === undefined) return next();
  const question = { user: session.user, info: session.info, session: session.id, action, room, token };
  return whenAnswered(ask(question), (may) => {
    if (may !== true) throw forbidden(action, room ?? "");
    return session.state === "open" ? next() : undefined;
  });
}

/** What the application answers with, once it is known to have a form on the wire, and not to be too much for one. */
export function given(name: string, value: unknown, maxBytes: number): Payload {
  let payload: Payload;
  try {
    payload = Payload.ofValue(value);
  } catch (error) {
    // The client has asked nothing wrong.
    throw new TypeError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (payload.isWithin(maxBytes)) return payload;
  throw new Refusal("too_large", `the application's answer: expected at most ${maxBytes} bytes, got ${payload.size}`);
}
