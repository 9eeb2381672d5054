import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { scopes } from "../../server/access/api-keys.js";
import { operations } from "../../server/api/operations.js";

// UPDATE_DOCS=1 writes the table that is made from the code, instead of comparing it.
const update = process.env["UPDATE_DOCS"] === "1";
const file = fileURLToPath(new URL("../../../docs/http-api.md", import.meta.url));

function operationsTable(): string {
  const rows = operations.map(({ method, path, scope, summary, id, isCommand }) => {
    const command = isCommand === true ? `\`${id}\`` : "";
    return `| \`${method.toUpperCase()} ${path}\` | ${summary} | \`${scope}\` | ${command} |`;
  });
  return ["| request | does | scope | as a command of the [queue](queues.md) |", "|---|---|---|---|", ...rows].join(
    "\n",
  );
}

test("the table in docs/http-api.md is that of the operations", () => {
  const text = readFileSync(file, "utf8");
  const part = /(<!-- operations -->\n)[\s\S]*?(<!-- \/operations -->)/;
  assert.match(text, part);
  const right = text.replace(part, (_, open: string, end: string) => `${open}\n${operationsTable()}\n\n${end}`);
  if (update) writeFileSync(file, right);
  else assert.equal(text, right);
});

test("docs/http-api.md says what every scope is for", () => {
  const text = readFileSync(file, "utf8");
  for (const scope of scopes) assert.match(text, new RegExp(`^\\| \`${scope}\` \\| \\w`, "m"), scope);
});
