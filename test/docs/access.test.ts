import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { matches, parsePattern } from "../../server/access/grants.js";
import { AccessRules } from "../../server/access/rules.js";
import { kindInfos, settingInfos } from "../../server/cli/settings.js";
import { connect, startServer } from "../support/start-server.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const run = promisify(execFile);
const page = read("docs/access.md");
const TEST_MS = 60_000;

/** The blocks of code behind a comment such as `<!-- part of FILE -->`, with what the comment says after the file's name. */
function blocks(what: string): { readonly file: string; readonly rest: string; readonly code: string }[] {
  const found = page.matchAll(/<!-- ([\w ]+) (\S+\.ts)([^>]*) -->\n```\w+\n([\s\S]*?)```/g);
  return [...found]
    .filter(([, kind]) => kind === what)
    .map(([, , file = "", rest = "", code = ""]) => ({ file, rest: rest.trim(), code }));
}

const flat = (text: string): string => text.replace(/^\s+/gm, "");

test("the code in docs/access.md is what the examples hold", () => {
  const parts = blocks("part of");
  assert.ok(parts.length >= 10);
  for (const { file, code } of parts) assert.ok(flat(read(file)).includes(flat(code)), `${file} does not hold ${code}`);
});

test("docs/access.md shows every example of access, and its output", () => {
  const files = readdirSync(join(root, "examples/access")).map((name) => `examples/access/${name}`);
  assert.deepEqual(
    blocks("output of")
      .map(({ file }) => file)
      .sort(),
    files.sort(),
  );
});

for (const { file, rest, code } of blocks("output of")) {
  test(`${file} prints what docs/access.md says`, { timeout: TEST_MS }, async () => {
    const { stdout, stderr } = await run(process.execPath, [`dist/${file.replace(/ts$/, "js")}`], { cwd: root });
    assert.equal(stderr, "");
    const [, left] = /^, but for lines such as "(\w+) \d+"$/.exec(rest) ?? [];
    assert.ok(rest === "" || left !== undefined, `${rest} is not understood`);
    const lines = stdout.split("\n").filter((line) => left === undefined || !new RegExp(`^${left} \\d+$`).test(line));
    assert.equal(lines.join("\n"), code);
  });
}

test("the token that docs/access.md signs without a library is honoured", { timeout: TEST_MS }, async (t) => {
  const [, code = ""] = /<!-- run -->\n```js\n([\s\S]*?)```/.exec(page) ?? [];
  const folder = mkdtempSync(join(tmpdir(), "roomcast-access-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "sign.mjs"), code);
  const secret = "a secret that is long enough, 32 or more";
  const env = { ...process.env, ROOMCAST_SECRET: secret };
  const { stdout } = await run(process.execPath, [join(folder, "sign.mjs")], { env });
  const server = await startServer(t, { secret, kinds: {} });
  const client = await connect(t, server, { hello: { token: stdout.trim() } });
  assert.equal(client.welcome.user, "ann");
  await client.ask("joined", { type: "join", room: "chat:1" });
  assert.equal((await client.refusal({ type: "join", room: "news:1" })).code, "forbidden");
});

/** The rows of the table under a heading, cell by cell. */
function tableUnder(heading: string): string[][] {
  const [, section = ""] = page.split(new RegExp(`^#+ ${heading}\n`, "m"));
  const rows =
    section
      .split(/^#/m)[0]
      ?.split("\n")
      .filter((line) => line.startsWith("|")) ?? [];
  return rows.slice(2).map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const names = (cell = ""): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string);

test("patterns stand for what docs/access.md says", () => {
  const rows = tableUnder("Patterns");
  assert.ok(rows.length >= 6);
  for (const [pattern, yes, no] of rows) {
    const read = parsePattern(names(pattern)[0], "ann");
    for (const room of names(yes)) assert.equal(matches(read, room), true, `${pattern} and ${room}`);
    for (const room of names(no)) assert.equal(matches(read, room), false, `${pattern} and ${room}`);
  }
});

test("every limit in docs/access.md is a setting, or a rule of a kind, with the default that is told", () => {
  const rules = new AccessRules({}, { isOpen: false, maxFrameBytes: 65_536 }).of("any");
  const defaults = new Map<string, unknown>([
    ...settingInfos.map(({ name, schema }) => [name as string, schema.default] as const),
    ...Object.entries(rules),
  ]);
  const told = tableUnder("Limits").map(([name, value]) => [names(name)[0] ?? "", value ?? ""] as const);
  for (const [name, value] of told) {
    if (name !== "maxEventBytes") assert.equal(value, String(defaults.get(name)), name);
  }
  const all = [...settingInfos.map(({ name }) => name as string), ...kindInfos().map(({ name }) => name)];
  const limits = all.filter((name) =>
    /^(address|user|request|byte)\w*(Rate|Connections)$|^publishRate$|^maxMembers$/.test(name),
  );
  assert.ok(limits.length >= 6);
  for (const name of limits)
    assert.ok(
      told.some(([one]) => one === name),
      `${name} is not told`,
    );
});
