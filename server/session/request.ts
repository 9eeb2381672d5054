/** What every verb needs: who asks whether it may, and how an answer is put. */
import type { ReceivedFrame } from "../../protocol/codec.js";
import { isRoomName, kindOf } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import type { RoomAction } from "../access/actions.js";
import { Refusal, whenAnswered } from "../hooks/hooks.js";
import type { Session } from "./session.js";

export type Received<T extends ReceivedFrame["type"]> = Extract<ReceivedFrame, { type: T }>;
export type Done = void | Promise<void>;

export const forbidden = (action: RoomAction, room: string) =>
  new Refusal("forbidden", `room: you may not ${action} in "${room}"`);

export const noMembers = (room: string) =>
  new Refusal("forbidden", `presence: nobody is a member of rooms of the kind "${kindOf(room)}" (presence.of)`);

export const optional = <N extends string, V>(name: N, value: V | undefined): { [K in N]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { [K in N]?: V };

/** Names that start with `$` are the server's own; the rules for names leave that character out anyway. */
export function mayBeAsked(room: string): void {
  if (!isRoomName(room)) throw new Refusal("bad_request", `room: expected a room's name, got ${JSON.stringify(room)}`);
}

/**
 * Goes on where the session may do it in the room, by its name as the client knows it: in the same turn where the rules
 * or its token say so, else once the application has. `token` is what came with the request for the application to read.
 */
export function authorized(
  session: Session,
  action: RoomAction,
  room: string,
  token: string | undefined,
  next: () => Done,
): Done {
  const verdict = session.may(action, room);
  if (verdict === "yes") return next();
  const ask = session.context.hooks.authorize;
  if (verdict === "no" || ask === undefined) throw forbidden(action, room);
  return whenAnswered(ask({ ...session.asker, action, room, token }), (may) => {
    if (may !== true) throw forbidden(action, room);
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
