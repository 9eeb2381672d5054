/** Nodes that remember decisions, and an application that is asked. */
import { randomBytes } from "node:crypto";
import type { TestContext } from "node:test";
import { RedisStore } from "../../server/engine/redis/store.js";
import type { SharedStore } from "../../server/engine/store.js";
import { type CacheOptions, DecisionCache } from "../../server/hooks/decision-cache.js";
import type { Decided, Question } from "../../server/hooks/decisions.js";
import { silent } from "../engine/redis-ground.js";
import { eventually } from "../support/eventually.js";

export type Told = {
  readonly value: unknown;
  readonly maxAgeMs: number;
  readonly isRefusal?: boolean;
  readonly user?: string;
  readonly tenant?: string;
};

/** Nodes with long ages, on no store or on that of `shards`; closed with the test. */
export function nodeOf(t: TestContext, options: Partial<CacheOptions> = {}): DecisionCache {
  const given = { hookCacheSize: 1000, hookCacheMs: 600_000, hookRefusalMs: 600_000, ...options };
  const node = new DecisionCache(given);
  t.after(() => node.close());
  return node;
}

/** A namespace that nobody else uses. */
export const newNamespace = (): string => `test-${randomBytes(6).toString("hex")}`;

/** A store on these shards; resolves once it is there. */
export async function storeOn(shards: readonly string[], namespace: string): Promise<SharedStore> {
  const store = new RedisStore({ shards, namespace, purpose: "hooks", timeoutMs: 500, probeMs: 200, log: silent });
  await eventually(() => store.problems().length === 0, "the store never came up");
  return store;
}

/** An application: what it answers is set by the test, and how often it was asked is counted. */
export class Application {
  asked = 0;
  answer: Told = { value: "yes", maxAgeMs: 600_000 };

  readonly ask = async (): Promise<Decided<unknown>> => {
    this.asked++;
    return { isRefusal: false, ...this.answer };
  };
}

export const joinOf = (user: string, room: string, tenant = ""): Question => ({
  hook: "join",
  parts: ["join", user, room],
  ...{ tenant, user, room },
});

/** Who it is only the answer says. */
export const connectOf = (token: string): Question => ({ hook: "connect", parts: [token], tenant: "" });

/** A promise, and what settles it. */
export function later<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}
