/** Everything that a client may ask, in one place. */
import { inTime, Refusal, whenAnswered } from "../hooks/hooks.js";
import { greet, renew } from "./hello.js";
import { history } from "./history.js";
import { join, leave } from "./join.js";
import { members } from "./members.js";
import { publish } from "./publish.js";
import { type Done, given, type Received } from "./request.js";
import type { Request, Session, Verbs } from "./session.js";

function call(session: Session, frame: Received<"call">): Done {
  const answerer = session.context.hooks.onCall;
  if (answerer === undefined)
    throw new Refusal("unknown_method", `method: expected one the application knows, got ${frame.method}`);
  const answer = async (): Promise<void> => {
    const data = await inTime(answerer({ ...session.asker, method: frame.method, data: frame.data.value }));
    const payload = given("onCall", data ?? null, session.context.limits.maxBackpressureBytes);
    // In JSON binary is a string of base64, in events and here.
    const value = session.link.codec.binary ? payload.value : JSON.parse(payload.json);
    session.send({ type: "result", id: frame.id, data: value });
  };
  const ask = session.context.hooks.authorize;
  if (ask === undefined) return answer();
  return whenAnswered(ask({ ...session.asker, action: "call" }), (may) => {
    if (may !== true) throw new Refusal("forbidden", `method: you may not call "${frame.method}"`);
    return session.state === "open" ? answer() : undefined;
  });
}

function act(session: Session, frame: Request): Done {
  switch (frame.type) {
    case "join":
      return join(session, frame);
    case "leave":
      return leave(session, frame);
    case "publish":
      return publish(session, frame);
    case "history":
      return history(session, frame);
    case "call":
      return call(session, frame);
    case "renew":
      return renew(session, frame);
    case "ping":
      return session.send({ type: "pong", id: frame.id });
    case "members":
      return members(session, frame);
    case "hello":
      throw new Refusal("bad_request", "type: expected one hello, got hello again");
    default:
      return frame satisfies never;
  }
}

export const verbs: Verbs = { greet, act };
