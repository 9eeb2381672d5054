import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import test, { before } from "node:test";

// Of the layer table: what a folder may import, and what it may not. `npm run check` holds the code to it; this holds
// the linter's configuration to it.
const allowed: readonly (readonly [file: string, imports: string])[] = [
  ["protocol/x.ts", "./y.js"],
  ["protocol/x.ts", "msgpackr"],
  ["protocol/x.ts", "msgpackr/pack"],
  ["client/x.ts", "../protocol/json.js"],
  ["client/react.ts", "react"],
  ["server/access/x.ts", "../../protocol/names.js"],
  ["server/access/x.ts", "../log.js"],
  ["server/access/x.ts", "node:crypto"],
  ["server/access/x.ts", "./tokens/token.js"],
  ["server/access/deeper/x.ts", "../access.js"],
  ["server/access/deeper/x.ts", "jose"],
  ["server/engine/x.ts", "../../protocol/event.js"],
  ["server/engine/x.ts", "../log.js"],
  ["server/engine/deeper/x.ts", "../engine.js"],
  ["server/engine/deeper/x.ts", "node:assert/strict"],
  ["server/engine/ring.ts", "xxhash-wasm"],
  ["server/engine/redis/connection.ts", "ioredis"],
  ["server/engine/nats/connection.ts", "nats"],
  ["server/cluster/x.ts", "../engine/engine.js"],
  ["server/cluster/x.ts", "../log.js"],
  ["server/queue/x.ts", "../engine/queue.js"],
  ["server/queue/x.ts", "../hooks/hooks.js"],
  ["server/hooks/x.ts", "../../protocol/codes.js"],
  ["server/room/x.ts", "../../protocol/event.js"],
  ["server/room/x.ts", "../engine/engine.js"],
  ["server/session/x.ts", "../access/limits.js"],
  ["server/session/x.ts", "../room/rooms.js"],
  ["server/session/x.ts", "../hooks/hooks.js"],
  ["server/session/x.ts", "../engine/engine.js"],
  ["server/transport/x.ts", "uWebSockets.js"],
  ["server/transport/x.ts", "../api/api.js"],
  ["server/api/x.ts", "./y.js"],
  ["server/api/x.ts", "../access/api-keys.js"],
  ["server/api/x.ts", "../engine/engine.js"],
  ["server/api/x.ts", "../hooks/hooks.js"],
  ["server/api/x.ts", "zod"],
  ["server/queue/x.ts", "../engine/queue.js"],
  ["server/queue/x.ts", "../../protocol/payload.js"],
  ["server/presence/x.ts", "../engine/presence.js"],
  ["server/presence/x.ts", "../room/names.js"],
  ["server/presence/x.ts", "../session/presence.js"],
  ["server/transport/x.ts", "../session/link.js"],
  ["server/transport/x.ts", "../../protocol/codec.js"],
  ["server/transport/x.ts", "../access/limits.js"],
  ["server/x.ts", "./transport/listener.js"],
  ["server/x.ts", "../protocol/codec.js"],
  ["server/main.ts", "./server.js"],
  ["server/main.ts", "./cli/serve.js"],
  ["server/cli/x.ts", "../server.js"],
  ["server/cli/x.ts", "../../client/index.js"],
  ["server/page/x.ts", "../../client/index.js"],
  ["bench/x.ts", "../server/server.js"],
  ["bench/x.ts", "uWebSockets.js"],
  ["examples/x.ts", "../client/index.js"],
  ["test/room/x.test.ts", "../../server/room/tail.js"],
];

const forbidden: readonly (readonly [file: string, imports: string])[] = [
  ["protocol/x.ts", "../client/index.js"],
  ["protocol/x.ts", "../server/room/tail.js"],
  ["protocol/x.ts", "node:fs"],
  ["client/x.ts", "../server/room/tail.js"],
  ["client/x.ts", "node:events"],
  ["client/x.ts", "react"],
  ["server/access/x.ts", "../session/session.js"],
  ["server/access/x.ts", "../config.js"],
  ["server/access/deeper/x.ts", "../../config.js"],
  ["server/access/deeper/x.ts", "../../session/session.js"],
  ["server/engine/x.ts", "../room/rooms.js"],
  ["server/engine/x.ts", "ioredis"],
  ["server/engine/x.ts", "xxhash-wasm"],
  ["server/engine/redis/x.ts", "ioredis"],
  ["server/engine/nats/x.ts", "nats"],
  ["server/cluster/x.ts", "../session/sessions.js"],
  ["server/presence/x.ts", "../session/session.js"],
  ["server/presence/x.ts", "../engine/memory-presence.js"],
  ["server/session/x.ts", "../presence/rosters.js"],
  ["server/room/x.ts", "../presence/rosters.js"],
  ["server/cluster/x.ts", "../engine/memory.js"],
  ["server/queue/x.ts", "../engine/redis/work-queue.js"],
  ["server/queue/x.ts", "../session/sessions.js"],
  ["server/engine/deeper/x.ts", "../../room/rooms.js"],
  ["server/hooks/x.ts", "../engine/engine.js"],
  ["server/room/x.ts", "../engine/memory.js"],
  ["server/room/x.ts", "../session/session.js"],
  ["server/room/x.ts", "../../client/index.js"],
  ["server/session/x.ts", "../engine/memory.js"],
  ["server/session/x.ts", "../transport/websocket.js"],
  ["server/session/x.ts", "../config.js"],
  ["server/transport/x.ts", "../room/rooms.js"],
  ["server/api/x.ts", "../transport/http.js"],
  ["server/api/x.ts", "../session/session.js"],
  ["server/api/x.ts", "../server.js"],
  ["server/queue/x.ts", "../engine/redis/redis.js"],
  ["server/queue/x.ts", "../session/session.js"],
  ["server/transport/x.ts", "../server.js"],
  ["server/transport/x.ts", "../engine/engine.js"],
  ["server/x.ts", "./server.js"],
  ["server/x.ts", "./cli/serve.js"],
  ["server/x.ts", "../client/index.js"],
  ["server/x.ts", "uWebSockets.js"],
  ["server/cli/x.ts", "uWebSockets.js"],
  ["server/page/x.ts", "../config.js"],
  ["server/page/x.ts", "node:fs"],
  ["bench/x.ts", "../server/room/rooms.js"],
  ["bench/x.ts", "../client/room.js"],
  ["examples/x.ts", "../server/engine/memory.js"],
];

const root = resolve(import.meta.dirname, "../../..");
let findings: ReadonlyMap<string, readonly string[]>;

before(() => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "roomcast-layers-")));
  try {
    for (const name of ["biome.json", "package.json", ".gitignore"]) cpSync(join(root, name), join(folder, name));
    for (const [row, isAllowed] of rows()) write(folder, placeOf(row, isAllowed), `export * from "${row[1]}";\n`);
    write(folder, "server/room/a.ts", 'import type { B } from "./b.js";\nexport type A = B | 1;\n');
    write(folder, "server/room/b.ts", 'import type { A } from "./a.js";\nexport type B = A | 2;\n');
    write(folder, "server/room/c.ts", "async function later() {}\nexport function now() {\n  later();\n}\n");
    findings = lint(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Every row in a file of its own: `x.ts` stands for any file of the folder, another name for itself. */
function placeOf([file, imports]: readonly [string, string], isAllowed: boolean): string {
  const name = `${isAllowed ? "may" : "may-not"}-${imports.replace(/[^a-z]+/gi, "-").toLowerCase()}`;
  return file.replace(/\bx\./, `${name}.`);
}

function* rows(): Iterable<readonly [readonly [string, string], boolean]> {
  for (const row of allowed) yield [row, true];
  for (const row of forbidden) yield [row, false];
}

function write(folder: string, file: string, text: string): void {
  mkdirSync(join(folder, dirname(file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}

/** The rules that each file breaks. */
function lint(folder: string): ReadonlyMap<string, readonly string[]> {
  const biome = join(root, "node_modules/.bin/biome");
  const { stdout, stderr } = spawnSync(biome, ["lint", "--reporter=github", "--max-diagnostics=none"], {
    cwd: folder,
    encoding: "utf8",
  });
  const found = new Map<string, string[]>();
  for (const [, rule = "", file = ""] of stdout.matchAll(/^::error title=(\S+?),file=([^,]+),/gm)) {
    const name = relative(folder, resolve(folder, file));
    found.set(name, [...(found.get(name) ?? []), rule]);
  }
  assert.ok(found.size > 0, `the linter found nothing at all:\n${stdout}\n${stderr}`);
  return found;
}

const restricted = "lint/style/noRestrictedImports";

for (const row of forbidden) {
  test(`${row[0]} may not import ${row[1]}`, () => {
    assert.ok(findings.get(placeOf(row, false))?.includes(restricted), "the linter let it pass");
  });
}

test("the linter lets pass what the layer table allows", () => {
  const refused = allowed.filter((row) => findings.get(placeOf(row, true))?.includes(restricted));
  assert.deepEqual(refused, []);
});

test("a cycle of type imports is an error", () => {
  assert.ok(findings.get("server/room/a.ts")?.includes("lint/suspicious/noImportCycles"));
});

test("a floating promise is an error", () => {
  assert.ok(findings.get("server/room/c.ts")?.includes("lint/nursery/noFloatingPromises"));
});
