/** All that can be fuzzed, by name. */
import type { Scope } from "../support/services/scope.js";
import { CodecTarget } from "./codec-target.js";
import { HttpTarget, SocketTarget } from "./connection-targets.js";
import type { Target } from "./target.js";
import { ALLOWED, SECRET } from "./tokens.js";
import { Victim } from "./victim.js";

export const targetNames = ["socket", "http", "json", "msgpack"] as const;
export type TargetName = (typeof targetNames)[number];

/** A target, and the process that it needs, which ends with the scope. */
export async function openTarget(name: TargetName, scope: Scope): Promise<Target> {
  if (name === "json" || name === "msgpack") return new CodecTarget(name);
  const victim = await Victim.start(scope, {
    secret: SECRET,
    kinds: { "*": { allow: ALLOWED } },
    trustProxy: ["127.0.0.1"],
  });
  return name === "socket" ? new SocketTarget(victim) : new HttpTarget(victim);
}
