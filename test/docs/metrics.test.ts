import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { metricInfos } from "../../server/metrics.js";

// UPDATE_DOCS=1 writes the table that is made from the code, instead of comparing it.
const update = process.env["UPDATE_DOCS"] === "1";
const file = fileURLToPath(new URL("../../../docs/metrics.md", import.meta.url));

function metricsTable(): string {
  const rows = metricInfos.map(({ name, type, labels, help }) => {
    return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
  });
  return ["| metric | type | labels | what it says |", "|---|---|---|---|", ...rows].join("\n");
}

test("the table in docs/metrics.md is that of the metrics", () => {
  const text = readFileSync(file, "utf8");
  const part = /(<!-- metrics:.*? -->\n)[\s\S]*?(<!-- \/metrics -->)/;
  assert.match(text, part);
  const right = text.replace(part, (_, open: string, end: string) => `${open}\n${metricsTable()}\n\n${end}`);
  if (update) writeFileSync(file, right);
  else assert.equal(text, right);
});

test("every metric that docs/metrics.md speaks of exists", () => {
  const names = new Set(metricInfos.map(({ name }) => name));
  for (const [name] of readFileSync(file, "utf8").matchAll(/\b(?:roomcast|process|nodejs)_[a-z_]+/g)) {
    assert.ok(names.has(name), name);
  }
});
