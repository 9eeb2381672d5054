/** What `roomcast serve --check` prints. */
import { AccessRules, shownAccess } from "../access/rules.js";
import { checksTokens, rulesOf, type Settings } from "../config.js";
import type { KindInputs } from "../room/rules.js";
import { settingInfos } from "./settings.js";
import type { Loaded } from "./sources.js";

/** A setting's value as it may be shown: kinds with all their rules, a secret not at all. */
function shownValue(name: string, value: unknown, from: string, settings: Settings): unknown {
  if (name === "secret" || name === "redisPassword") return value === undefined ? null : "(set)";
  if (name === "moreSecrets") return (value as string[]).map(() => "(set)");
  // An address may be good only with a key in its query.
  if (name === "jwksUrl") return (value as string | undefined)?.replace(/\?.*/, "?***") ?? null;
  if (name === "redis" || name === "nats") return (value as string[]).map(withoutPassword);
  if (name === "node" && from === "default") return "(made up at each start)";
  if (name !== "kinds") return value;
  const kinds = value as KindInputs;
  const rulesFor = rulesOf(settings);
  const access = accessRulesOf(settings);
  const named = [...new Set([...Object.keys(kinds), "*"])];
  return Object.fromEntries(named.map((kind) => [kind, { ...rulesFor(kind), ...shownAccess(access.of(kind)) }]));
}

/** The rules as they hold in the command, which asks no application. */
export function accessRulesOf(settings: Settings): AccessRules {
  const { kinds, maxFrameBytes } = settings;
  return new AccessRules(kinds, { isOpen: !checksTokens(settings), maxFrameBytes });
}

const withoutPassword = (address: string): string => address.replace(/\/\/[^/@]*@/, "//***@");

const textOf = (value: unknown): string => {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return "(none)";
  return typeof value === "string" ? value : JSON.stringify(value);
};

/** Every setting, its value and where it is from: as a table, or as JSON. */
export function checkText({ settings, from }: Loaded, asJson: boolean): string {
  const rows = settingInfos.map(({ name }) => ({
    name,
    value: shownValue(name, settings[name], from(name), settings),
    from: from(name),
  }));
  if (asJson) {
    const entries = rows.map((row) => [row.name, { value: row.value, from: row.from }]);
    return JSON.stringify({ settings: Object.fromEntries(entries) }, null, 2);
  }
  // A kind takes a line of its own: several on one line cannot be read.
  const lines = rows.flatMap(({ name, value, from }) =>
    name !== "kinds"
      ? [[name, textOf(value), from]]
      : Object.entries(value as object).map(([kind, rules]) => [`kinds.${kind}`, JSON.stringify(rules), from]),
  );
  const table = [["setting", "value", "from"], ...lines];
  const width = (column: number) =>
    Math.max(...table.map((row) => (row[column] ?? "").length).filter((length) => length <= 60));
  return table
    .map(([name = "", value = "", from = ""]) => `${name.padEnd(width(0))}  ${value.padEnd(width(1))}  ${from}`)
    .join("\n");
}
