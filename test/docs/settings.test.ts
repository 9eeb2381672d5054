import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { kindInfos, rangeOf, settingInfos, settingsSchema } from "../../server/cli/settings.js";
import { parseSettings, type SettingsInput } from "../../server/config.js";
import { defaultRules } from "../../server/room/rules.js";

// UPDATE_DOCS=1 writes what is made from the settings, instead of comparing it.
const update = process.env["UPDATE_DOCS"] === "1";
const fileOf = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const operations = fileOf("docs/operations.md");
const schema = fileOf("docs/settings.schema.json");

type Row = readonly string[];
const row = (cells: Row): string => `| ${cells.join(" | ")} |`;
const table = (head: Row, rows: readonly Row[]): string =>
  [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");

const code = (value: unknown): string => {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "";
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
};

function settingsTable(): string {
  const rows = settingInfos.map(({ name, flag, variable, schema }) => [
    `\`${name}\``,
    code(schema.default),
    rangeOf(schema),
    `${schema.description}<br>\`${flag}\` \`${variable}\``,
  ]);
  return table(["setting", "default", "values", "what it does"], rows);
}

function kindsTable(): string {
  const { history, presence, ...others } = defaultRules;
  const defaults: { readonly [name: string]: unknown } = {
    "history.size": history.size,
    "history.ageMs": history.ageMs,
    ...Object.fromEntries(Object.entries(presence).map(([name, value]) => [`presence.${name}`, value])),
    ...others,
  };
  const rows = kindInfos().map(({ name, schema }) => [
    `\`${name}\``,
    code(defaults[name]),
    rangeOf(schema),
    schema.description ?? "",
  ]);
  return table(["rule", "default", "values", "what it does"], rows);
}

/** The text with what stands between the markers of `part` replaced. */
function withPart(text: string, part: string, contents: string): string {
  const markers = new RegExp(`(<!-- ${part}:.*? -->\n)[\\s\\S]*?(<!-- /${part} -->)`);
  assert.match(text, markers);
  return text.replace(markers, (_, open: string, end: string) => `${open}\n${contents}\n\n${end}`);
}

test("the tables in docs/operations.md are those of the settings", () => {
  const text = readFileSync(operations, "utf8");
  const right = withPart(withPart(text, "settings", settingsTable()), "kinds", kindsTable());
  if (update) writeFileSync(operations, right);
  else assert.equal(text, right);
});

test("docs/settings.schema.json is the schema of the settings", () => {
  const right = settingsSchema();
  // Short lists on one line, as the formatter has them.
  const text = JSON.stringify(right, null, 2).replace(/\[\s+("[^[\]]*?")\s+\]/g, (list) => list.replace(/\s+/g, " "));
  if (update) writeFileSync(schema, `${text.replace(/\[ (.*) \]/g, "[$1]")}\n`);
  else assert.deepEqual(JSON.parse(readFileSync(schema, "utf8")), right);
});

test("every setting and rule is described, and says what values it takes", () => {
  for (const { name, schema } of [...settingInfos, ...kindInfos()]) {
    assert.match(schema.description ?? "", /^[A-Z].+\.$/, name);
    if (schema.type === "integer") assert.match(rangeOf(schema), /^\d+ to \d+$/, name);
  }
  assert.equal(kindInfos().length, 18);
});

test("the settings file in docs/operations.md holds", () => {
  const [, json = ""] = /```json\n([\s\S]*?)```/.exec(readFileSync(operations, "utf8")) ?? [];
  const { $schema, ...settings } = JSON.parse(json) as SettingsInput & { $schema: string };
  assert.match($schema, /docs\/settings\.schema\.json$/);
  assert.equal(parseSettings(settings).kinds["cursor"]?.batchMs, 30);
});
