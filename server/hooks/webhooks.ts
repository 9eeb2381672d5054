/** The questions to an application that is asked over HTTP. */
import { randomUUID } from "node:crypto";
import { kindOf } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import type { Log } from "../log.js";
import { Addresses } from "./addresses.js";
import { eventOf, identityOf, type Judged, leaveOf, type Refused, resultOf } from "./answers.js";
import type { Decided, Decisions, Question } from "./decisions.js";
import { Endpoint } from "./endpoint.js";
import {
  type AuthenticateQuestion,
  type AuthorizeQuestion,
  type CallQuestion,
  type Hooks,
  hasLimit,
  type Identity,
  type PublishQuestion,
  Refusal,
} from "./hooks.js";
import { Failed } from "./post.js";
import { type HookName, type HookRule, type HookSettings, hookNames, parseHookUrl } from "./settings.js";
import { Unreachable } from "./unreachable.js";

export type WebhooksOptions = {
  readonly hooks: HookSettings;
  readonly hookSecrets: readonly string[];
  readonly hookTimeoutMs: number;
  readonly hookMaxBytes: number;
  readonly hookConcurrency: number;
  readonly hookFailures: number;
  readonly hookRetryMs: number;
  /** Addresses that are posted to although they are not public. */
  readonly allows: (address: string) => boolean;
  /** Remembers answers of `connect` and `join`; without it the application is asked each time. */
  readonly decisions: Decisions | undefined;
  /** Throws `TypeError` for what is no identity, naming the field. */
  readonly checkIdentity: (identity: Identity) => unknown;
  readonly log: Log;
};

/** A hook, and the rooms it is asked about. */
type Hook = { readonly endpoint: Endpoint; readonly rule: HookRule; readonly kinds: ReadonlySet<string> | undefined };

type Asked<T> = { readonly refused: Refused } | { readonly refused?: undefined; readonly given: T };

const covers = ({ kinds }: Hook, room: string): boolean =>
  kinds === undefined || kinds.has("*") || kinds.has(kindOf(room));

/** A body: `fields` that are undefined are left out; `data` is JSON already. `at`: Unix milliseconds. */
export function bodyOf(type: string, id: string, fields: object, data?: string, at = Date.now()): string {
  const head = JSON.stringify({ type, id, at, ...fields });
  return data === undefined ? head : `${head.slice(0, -1)},"data":${data}}`;
}

/** What the client gets in place of an answer; those who wait for the same application come back one after the other. */
function unavailable(error: unknown): unknown {
  if (!(error instanceof Unreachable)) return error;
  const retryMs = Math.ceil(error.retryMs * (1 + Math.random()));
  return new Refusal("unavailable", "the application cannot be asked now", retryMs);
}

const refusal = ({ code, reason }: Refused, words: string): Refusal => new Refusal(code, reason ?? words);

const decided = <T>(answer: Judged<T>): Pick<Decided<Asked<T>>, "value" | "maxAgeMs" | "isRefusal"> =>
  answer.refused === undefined
    ? { value: { given: answer.given }, maxAgeMs: answer.cacheMs ?? 0, isRefusal: false }
    : { value: { refused: answer.refused }, maxAgeMs: answer.cacheMs ?? Number.POSITIVE_INFINITY, isRefusal: true };

export class Webhooks {
  /** As the application in process would be asked; what has no address is left out. */
  readonly hooks: Hooks;
  readonly #options: WebhooksOptions;
  readonly #hooks = new Map<HookName, Hook>();

  constructor(options: WebhooksOptions) {
    this.#options = options;
    const addresses = new Addresses(options.allows);
    for (const name of hookNames) {
      const rule = options.hooks[name];
      if (rule === undefined) continue;
      const kinds = rule.kinds === undefined ? undefined : new Set(rule.kinds);
      this.#hooks.set(name, { endpoint: this.#endpointOf(name, rule, addresses), rule, kinds });
    }
    const { connect, join, publish, call } = options.hooks;
    this.hooks = {
      authenticate: connect && ((question) => hasLimit(this.#authenticate(question))),
      authorize: (join ?? publish) && ((question) => this.#authorize(question)),
      onPublish: publish && ((question) => this.#onPublish(question)),
      onCall: call && ((question) => hasLimit(this.#onCall(question))),
    };
  }

  #endpointOf(name: HookName, rule: HookRule, addresses: Addresses): Endpoint {
    const { hookSecrets, hookTimeoutMs, hookMaxBytes, hookConcurrency, hookFailures, hookRetryMs, log } = this.#options;
    const url = parseHookUrl(rule.url);
    try {
      addresses.checkLiteral(url);
    } catch (error) {
      log.error("a hook cannot be posted to", { hook: name, problem: (error as Error).message });
    }
    return new Endpoint({
      name,
      url,
      secrets: hookSecrets,
      addresses,
      timeoutMs: rule.timeoutMs ?? hookTimeoutMs,
      maxBytes: hookMaxBytes,
      concurrency: hookConcurrency,
      failures: hookFailures,
      retryMs: hookRetryMs,
      log,
    });
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#hooks.values()].map(({ endpoint }) => endpoint);
  }

  /** Where the hook `rooms` is posted to, and of which rooms it is told. */
  get told(): { readonly endpoint: Endpoint; covers(room: string): boolean } | undefined {
    const hook = this.#hooks.get("rooms");
    return hook && { endpoint: hook.endpoint, covers: (room) => covers(hook, room) };
  }

  async #ask<T>(hook: Hook, question: Question, ask: () => Promise<Decided<T>>): Promise<T> {
    const { decisions } = this.#options;
    try {
      if (decisions === undefined) return (await ask()).value;
      return await decisions.get(question, ask, hook.rule.whenDown === "cache");
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #authenticate({ token, origin, address, renewal }: AuthenticateQuestion): Promise<Identity | undefined> {
    const own = renewal === undefined ? undefined : this.#hooks.get("renew");
    const hook = own ?? (this.#hooks.get("connect") as Hook);
    const type = renewal === undefined ? "connect" : "renew";
    const whose = [renewal?.user ?? "", renewal?.tenant ?? ""];
    const parts = [type, ...whose, ...[token, origin, address].map((part) => JSON.stringify(part ?? null))];
    const question: Question = { hook: "connect", parts, tenant: "" };
    const answer = await this.#ask<Asked<Identity>>(hook, question, async () => {
      const id = randomUUID();
      const body = bodyOf(type, id, { token, origin, address, ...renewal });
      const judged = identityOf(type, await hook.endpoint.ask(id, body, true));
      if (judged.refused !== undefined) return decided(judged);
      const { user, tenant, expiresAt } = judged.given;
      this.#check(type, judged.given);
      const left = expiresAt === undefined ? Number.POSITIVE_INFINITY : Math.max(0, expiresAt - Date.now());
      const { value, maxAgeMs, isRefusal } = decided<Identity>(judged);
      return { value, maxAgeMs: Math.min(maxAgeMs, left), isRefusal, user, tenant };
    });
    if (answer.refused !== undefined) throw refusal(answer.refused, "the application does not let you in");
    const { expiresAt } = answer.given;
    // It was remembered for longer, while the application could not be asked.
    if (expiresAt !== undefined && expiresAt <= Date.now()) throw new Refusal("expired", "token: past its end");
    return answer.given;
  }

  #check(type: "connect" | "renew", identity: Identity): void {
    try {
      this.#options.checkIdentity(identity);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new TypeError(error.message.replace(/^authenticate:/, `hook ${type}:`));
    }
  }

  /** Publishing is for the hook `publish` to allow, calls for the hook `call`: they are asked next. */
  #authorize({ action, room = "", ...asker }: AuthorizeQuestion): boolean | Promise<boolean> {
    if (action === "call") return true;
    const hook = this.#hooks.get(action === "publish" ? "publish" : "join");
    if (hook === undefined || !covers(hook, room)) return false;
    return action === "publish" || hasLimit(this.#mayJoin(hook, { action, room, ...asker }));
  }

  async #mayJoin(hook: Hook, asked: AuthorizeQuestion & { readonly room: string }): Promise<boolean> {
    const { action, room, user, info, tenant, session, token } = asked;
    const parts = [action, room, ...[user, info, tenant, token].map((part) => JSON.stringify(part ?? null))];
    const question: Question = { hook: "join", parts, tenant: tenant ?? "", user, room };
    const answer = await this.#ask<Asked<true>>(hook, question, async () => {
      const id = randomUUID();
      const body = bodyOf("join", id, { action, room, user, info, tenant, session, token });
      return decided(leaveOf(await hook.endpoint.ask(id, body, true)));
    });
    if (answer.refused !== undefined) throw refusal(answer.refused, `room: you may not ${action} in "${room}"`);
    return true;
  }

  #onPublish(question: PublishQuestion): ReturnType<NonNullable<Hooks["onPublish"]>> {
    const hook = this.#hooks.get("publish") as Hook;
    return covers(hook, question.room) ? hasLimit(this.#look(hook, question)) : undefined;
  }

  async #look(hook: Hook, question: PublishQuestion): Promise<{ readonly data: unknown } | undefined> {
    const { room, event, data, user, info, tenant, session } = question;
    const id = randomUUID();
    const body = bodyOf("publish", id, { room, event, user, info, tenant, session }, Payload.ofValue(data).json);
    try {
      const answer = eventOf(await hook.endpoint.ask(id, body, true));
      if (answer.refused !== undefined) throw refusal(answer.refused, `room: you may not publish in "${room}"`);
      return "data" in answer.given ? { data: answer.given.data } : undefined;
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #onCall({ method, data, user, info, tenant, session }: CallQuestion): Promise<unknown> {
    const { endpoint } = this.#hooks.get("call") as Hook;
    const id = randomUUID();
    const body = bodyOf("call", id, { method, user, info, tenant, session }, Payload.ofValue(data).json);
    try {
      // What the application does for a call it may not do twice: it is never sent again.
      const { error, ...answer } = resultOf(await endpoint.ask(id, body, false));
      if (error !== undefined) throw new Refusal(error.code, error.message, error.retryMs);
      return (answer as { readonly data: unknown }).data;
    } catch (error) {
      const isLate = error instanceof Unreachable && error.cause instanceof Failed && error.cause.result === "timeout";
      throw isLate ? new Refusal("timeout", "the application did not answer in time") : unavailable(error);
    }
  }

  /** Ends the questions under way. */
  close(): void {
    for (const endpoint of this.endpoints) endpoint.close();
  }
}
