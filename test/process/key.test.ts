import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiKeys, parseApiKey } from "../../server/access/api-keys.js";
import { runCommand as run } from "../support/token-command.js";

test("a key is honoured by a server that has its entry, for what it was made for", async () => {
  const { stdout, code } = await run(["key", "--name", "backend", "--scope", "publish,history", "--tenant", "acme"]);
  assert.equal(code, 0);
  const [, key = "", entry = ""] = /^key {4}(\S+)\nentry {2}(\S+)\n$/.exec(stdout) ?? [];
  assert.match(key, /^rck_[\w-]{43}$/);
  assert.ok(!entry.includes(key), "the entry holds the key itself");
  const keys = new ApiKeys([entry, `other:all:sha256:${"0".repeat(64)}`]);
  const found = keys.find(key);
  assert.deepEqual(
    [found?.name, found?.tenant, [...(found?.scopes ?? [])]],
    ["backend", "acme", ["publish", "history"]],
  );
  assert.equal(keys.find(`${key}x`), undefined);
  assert.equal(keys.find(""), undefined);
});

test("two keys of one name are two keys", async () => {
  const made = async (): Promise<{ key: string; entry: string }> =>
    JSON.parse((await run(["key", "--name", "a", "--scope", "all", "--json"])).stdout);
  const [one, two] = [await made(), await made()];
  assert.notEqual(one.key, two.key);
  assert.match(one.entry, /^a:all:sha256:[0-9a-f]{64}$/);
  assert.equal(new ApiKeys([two.entry]).find(one.key), undefined);
  assert.equal(parseApiKey(one.entry).scopes.size, 8);
});

test("what is wrong with the options is a line each that names it", async () => {
  const lines = async (args: string[]) => {
    const { stderr, code } = await run(["key", ...args]);
    assert.equal(code, 2);
    return stderr.trimEnd().split("\n");
  };
  assert.deepEqual(
    (await lines([])).map((line) => line.split(":")[0]),
    ["--name", "--scope"],
  );
  const wrong = ["--name", "a b", "--scope", "publish,everything", "--tenant", "a|b"];
  assert.deepEqual(
    (await lines(wrong)).map((line) => line.split(":")[0]),
    ["--name", "--tenant", "--scope"],
  );
  assert.match(
    (await lines(["--name", "a", "--scope", "all", "--port", "1"])).join("\n"),
    /^--port: expected no setting/,
  );
});
