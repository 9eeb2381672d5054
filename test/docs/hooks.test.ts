import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { hookFields, hookNames } from "../../server/hooks/settings.js";
import { signHook } from "../../server/hooks/signature.js";

const text = readFileSync(fileURLToPath(new URL("../../../docs/hooks.md", import.meta.url)), "utf8");
const secret = "a secret that signs hooks, for tests ü";

function block(marker: string): string {
  const found = new RegExp(`<!-- ${marker} -->\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(text);
  assert.ok(found?.[1], `there is no block ${marker}`);
  return found[1];
}

test("docs/hooks.md speaks of every hook and every field of one", () => {
  for (const name of hookNames) assert.match(text, new RegExp(`\n### ${name}\n`));
  for (const field of hookFields) assert.ok(text.includes(`"${field}"`), field);
});

test("the check in Python takes what is signed, and nothing else", () => {
  const body = '{"type":"join","room":"chat:ü"}';
  const headers = signHook("id-1", body, ["another secret", secret], Date.now());
  const program = `${block("python")}
import json, sys
for headers, body, secret in json.load(sys.stdin):
    print(verify_hook(headers, body.encode(), ["some other", secret]))
`;
  const old = signHook("id-1", body, [secret], Date.now() - 301_000);
  const input = [
    [headers, body, secret],
    [headers, `${body} `, secret],
    [headers, body, "wrong"],
    [{ ...headers, "webhook-id": "id-2" }, body, secret],
    [old, body, secret],
    [{}, body, secret],
  ];
  const { stdout, stderr } = spawnSync("python3", ["-c", program], { input: JSON.stringify(input), encoding: "utf8" });
  assert.equal(stdout, "True\nFalse\nFalse\nFalse\nFalse\nFalse\n", stderr);
});

test("the check in Node uses what the package exports, and parses", () => {
  const program = block("node");
  assert.match(program, /import \{ verifyHook \} from "roomcast"/);
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--check", "-"], {
    input: program,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});
