/** What a token says, for people. */
import { kindOf } from "../../protocol/names.js";
import { parseActions, wordsOf } from "../access/actions.js";
import type { AccessRules, KindAccess } from "../access/rules.js";
import type { JsonObject } from "../access/tokens/token.js";
import type { Settings } from "../config.js";
import { accessRulesOf } from "./check.js";
import { shownDuration } from "./duration.js";

/** The token is someone else's, and goes to a terminal: nothing that would do something there, and no more than a line. */
const shown = (value: unknown): string => {
  const text = (typeof value === "string" ? value : (JSON.stringify(value) ?? "")).replace(/\p{C}/gu, "?");
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
};

function timeOf(seconds: unknown): string {
  if (typeof seconds !== "number" || !(Math.abs(seconds) < 1e11)) return `${shown(seconds)} (not a time)`;
  const ms = seconds * 1000 - Date.now();
  const away = ms < 0 ? `${shownDuration(-ms)} ago` : `in ${shownDuration(ms)}`;
  return `${new Date(seconds * 1000)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, " UTC")}, ${away}`;
}

/** Each claim that means something here, and what the rules of kinds say to it. */
export function toldClaims(claims: JsonObject, algorithm: string, settings: Settings): string[] {
  const { sub, tenant, jti, iss, aud, iat, nbf, exp, info, room, may, rooms } = claims;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["for", room === undefined ? "a session: hello and renew" : `joining one room, ${shown(room)}`],
    ["user", sub === undefined ? (room === undefined ? "(anonymous)" : "(anyone who has it)") : shown(sub)],
    ["tenant", tenant === undefined ? undefined : shown(tenant)],
    ["ends", exp === undefined ? "(never)" : timeOf(exp)],
    ["not before", nbf === undefined ? undefined : timeOf(nbf)],
    ["issued", iat === undefined ? undefined : timeOf(iat)],
    ["id", jti === undefined ? "(none: it cannot be revoked by itself)" : shown(jti)],
    ["issuer", iss === undefined ? undefined : shown(iss)],
    ["audience", aud === undefined ? undefined : shown(aud)],
    ["info", info === undefined ? undefined : shown(info)],
    ["signed with", algorithm],
  ];
  const lines = facts.flatMap(([name, text]) => (text === undefined ? [] : [`  ${name.padEnd(11)}  ${text}`]));
  const grants = room === undefined ? (rooms ?? {}) : { [shown(room)]: may ?? "join history members" };
  return [...lines, ...toldGrants(grants, accessRulesOf(settings)), ...toldRules(settings, sub !== undefined)];
}

function toldGrants(grants: unknown, rules: AccessRules): string[] {
  if (typeof grants !== "object" || grants === null) return ["  rooms        (not an object)"];
  const rows = Object.entries(grants).map(([pattern, words]) => {
    const actions = parseActions(words);
    const most = kindOf(pattern).includes("*") ? undefined : rules.of(kindOf(pattern)).allow.token;
    const cut = actions !== undefined && most !== undefined && (actions & ~most) !== 0;
    const text =
      actions === undefined ? `${shown(words)} (not actions)` : wordsOf(cut ? actions & most : actions).join(" ");
    const why = cut ? `  (the rules of its kind keep back ${wordsOf(actions & ~most).join(" ")})` : "";
    return [shown(pattern), `${text === "" ? "nothing" : text}${why}`] as const;
  });
  return inColumns("allows", rows);
}

/** What a client may without the token's doing. */
function toldRules(settings: Settings, hasUser: boolean): string[] {
  const rules = accessRulesOf(settings);
  const allowedBy = ({ allow }: KindAccess): number => (hasUser ? allow.anonymous | allow.user : allow.anonymous);
  const kinds = [...new Set([...Object.keys(settings.kinds), "*"])];
  const rows = kinds.flatMap((kind) => {
    const words = wordsOf(allowedBy(rules.of(kind)));
    const rooms = kind === "*" ? "all other rooms" : `${kind}, ${kind}:*`;
    return words.length === 0 ? [] : [[rooms, words.join(" ")] as const];
  });
  return inColumns("by rules", rows);
}

function inColumns(name: string, rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([rooms]) => rooms.length));
  return rows.map(([rooms, words]) => `  ${name.padEnd(11)}  ${rooms.padEnd(width)}  ${words}`);
}
