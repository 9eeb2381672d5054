/** The application: asked in this process, over HTTP, or partly here and partly there. */
import type { Settings } from "./config.js";
import type { Ledger } from "./engine/ledger.js";
import type { Announcement } from "./hooks/announcing.js";
import { circuitStates } from "./hooks/circuit.js";
import type { Decisions } from "./hooks/decisions.js";
import { hookResults } from "./hooks/endpoint.js";
import type { RingOf } from "./hooks/homes.js";
import type { Hooks } from "./hooks/hooks.js";
import { Occupancy, type OccupancyOptions } from "./hooks/occupancy.js";
import { type HookName, hookNames, parseHookUrl } from "./hooks/settings.js";
import { Telling } from "./hooks/telling.js";
import { bodyOf, Webhooks } from "./hooks/webhooks.js";
import type { Log } from "./log.js";
import { shownName, tenantOf } from "./room/names.js";
import { accessOf } from "./session/identity.js";
import { TrustedProxies } from "./transport/client-address.js";

/** Numbers by two words, as metrics with two labels have them: `connect answered`. */
type Numbers = { readonly [words: string]: number };

/** What posts to the application came to. */
export type HookNumbers = {
  readonly calls: Numbers;
  readonly seconds: Numbers;
  readonly circuits: Numbers;
  /** What the application is still to be told, and what was given up; a total. */
  readonly told: { readonly waiting: number; readonly dropped: number };
};

/** What it takes to know whether rooms are occupied anywhere. */
export type Elsewhere = {
  readonly id: () => string;
  /** The instances of all nodes that are there, this one among them. */
  readonly nodes: OccupancyOptions["nodes"];
  /** Whether the other nodes cannot be heard now. */
  readonly isCutOff: () => boolean;
  /** Which of some nodes has a room; there where the hook `rooms` is. */
  readonly ring: RingOf | undefined;
  /** What they note of what was told; there where the hook `rooms` is. */
  readonly ledger: Ledger | undefined;
  readonly ask: OccupancyOptions["ask"];
};

/** Which question of an application in process a hook over HTTP takes the place of. */
const inProcess = {
  connect: "authenticate",
  renew: "authenticate",
  join: "authorize",
  publish: "onPublish",
  call: "onCall",
} as const satisfies { readonly [name in HookName]?: keyof Hooks };

/** How long the end of the node may take for what the application is to be told, in milliseconds. */
const LAST_MS = 2000;

export class Application {
  /** What sessions ask. */
  readonly hooks: Hooks;
  readonly webhooks: Webhooks;
  /** Whether anyone says who clients are, or what they may: then nobody may what is not allowed. */
  readonly decides: boolean;

  /** Where the hook `rooms` is asked for. */
  readonly occupancy: Occupancy | undefined;
  readonly #telling: Telling | undefined;

  /** `given`: the application in this process; what it answers itself is not asked over HTTP. */
  constructor(given: Hooks, settings: Settings, decisions: Decisions | undefined, elsewhere: Elsewhere, log: Log) {
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
    const { told } = this.webhooks;
    const telling = told && new Telling({ endpoint: told.endpoint, tries: settings.hookTries, log });
    this.#telling = telling;
    const tell = ({ type, room: name, id, at, ended }: Announcement) => {
      const tenant = tenantOf(name);
      const body = bodyOf(type, id, { room: shownName(name), ...(tenant === "" ? {} : { tenant }) }, undefined, at);
      telling?.tell(name, id, body, ended);
    };
    const covers = (name: string) => told?.covers(shownName(name)) === true;
    const { ring, ledger } = elsewhere;
    this.occupancy = telling && ring && ledger && new Occupancy({ ...elsewhere, ring, ledger, covers, tell, log });
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
      told: {
        waiting: (this.#telling?.waiting ?? 0) + (this.occupancy?.held ?? 0),
        dropped: this.#telling?.dropped ?? 0,
      },
      seconds: Object.fromEntries(endpoints.map(({ name, seconds }) => [name, seconds])),
    };
  }

  /** Nobody is here any more: tells what is still to be told, for a moment, and ends. Before the cluster does. */
  async close(withinMs: number): Promise<void> {
    const lastMs = Math.max(0, Math.min(LAST_MS, withinMs));
    const until = performance.now() + lastMs;
    await this.occupancy?.close(lastMs);
    await this.#telling?.idle(Math.max(0, until - performance.now()));
    this.#telling?.close();
    this.webhooks.close();
  }
}
