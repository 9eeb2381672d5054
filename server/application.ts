/** The application: asked in this process, over HTTP, or partly here and partly there. */
import type { Settings } from "./config.js";
import { circuitStates } from "./hooks/circuit.js";
import type { Decisions } from "./hooks/decisions.js";
import { hookResults } from "./hooks/endpoint.js";
import type { Hooks } from "./hooks/hooks.js";
import { type HookName, hookNames, parseHookUrl } from "./hooks/settings.js";
import { Webhooks } from "./hooks/webhooks.js";
import type { Log } from "./log.js";
import { accessOf } from "./session/identity.js";
import { TrustedProxies } from "./transport/client-address.js";

/** Numbers by two words, as metrics with two labels have them: `connect answered`. */
type Numbers = { readonly [words: string]: number };

/** What posts to the application came to. */
export type HookNumbers = { readonly calls: Numbers; readonly seconds: Numbers; readonly circuits: Numbers };

/** Which question of an application in process a hook over HTTP takes the place of. */
const inProcess = {
  connect: "authenticate",
  renew: "authenticate",
  join: "authorize",
  publish: "onPublish",
  call: "onCall",
} as const satisfies { readonly [name in HookName]?: keyof Hooks };

export class Application {
  /** What sessions ask. */
  readonly hooks: Hooks;
  readonly webhooks: Webhooks;
  /** Whether anyone says who clients are, or what they may: then nobody may what is not allowed. */
  readonly decides: boolean;

  /** `given`: the application in this process; what it answers itself is not asked over HTTP. */
  constructor(given: Hooks, settings: Settings, decisions: Decisions | undefined, log: Log) {
    const networks = new TrustedProxies(settings.hookNetworks);
    const hooks = { ...settings.hooks };
    for (const [name, question] of Object.entries(inProcess) as [keyof typeof inProcess, keyof Hooks][]) {
      if (hooks[name] === undefined || given[question] === undefined) continue;
      log.warn("a hook is not asked: the application in this process answers it", { hook: name, in: question });
      delete hooks[name];
    }
    this.webhooks = new Webhooks({
      ...settings,
      hooks,
      allows: (address) => networks.trusts(address),
      decisions,
      checkIdentity: accessOf,
      log,
    });
    const { authenticate, authorize, onPublish, onCall } = this.webhooks.hooks;
    this.hooks = {
      authenticate: given.authenticate ?? authenticate,
      authorize: given.authorize ?? authorize,
      onPublish: given.onPublish ?? onPublish,
      onCall: given.onCall ?? onCall,
    };
    this.decides = this.hooks.authenticate !== undefined || given.authorize !== undefined || hooks.join !== undefined;
    for (const name of hookNames) {
      const { url, whenDown = "refuse" } = hooks[name] ?? {};
      if (url !== undefined) log.info("a hook", { hook: name, host: parseHookUrl(url).host, whenDown });
    }
  }

  numbers(): HookNumbers {
    const { endpoints } = this.webhooks;
    const both = (words: readonly string[], of: (index: number, word: string) => number) =>
      Object.fromEntries(
        endpoints.flatMap(({ name }, index) => words.map((word) => [`${name} ${word}`, of(index, word)])),
      );
    return {
      calls: both(hookResults, (at, result) => endpoints[at]?.calls.get(result as never) ?? 0),
      circuits: both(circuitStates, (at, state) => (endpoints[at]?.state === state ? 1 : 0)),
      seconds: Object.fromEntries(endpoints.map(({ name, seconds }) => [name, seconds])),
    };
  }

  close(): void {
    this.webhooks.close();
  }
}
