import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { commandNames } from "../../server/api/commands.js";
import { operations } from "../../server/api/operations.js";
import { natsQueues } from "../../server/engine/nats/queues.js";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { connect, startServer } from "../support/start-server.js";

const text = readFileSync(fileURLToPath(new URL("../../../docs/queues.md", import.meta.url)), "utf8");
const programs = [...text.matchAll(/<!-- run by .* -->\n```js\n([\s\S]*?)```/g)].map(([, program]) => program ?? "");
const nothing = (): void => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

test("the table of commands in docs/queues.md has each of them, with its fields", () => {
  const rows = [...text.matchAll(/^\| `(\w+)` \| (.*?) \| (?!\d)/gm)].filter(([, name]) =>
    commandNames.includes(name ?? ""),
  );
  assert.deepEqual(
    rows.map(([, name]) => name),
    commandNames,
  );
  for (const [, name, fields] of rows) {
    const operation = operations.find(({ id }) => id === name);
    if (operation === undefined || name === "revoke" || name === "batch") continue;
    const known = Object.keys({ ...operation.params.shape, ...operation.body.shape }).sort();
    assert.deepEqual([...(fields ?? "").matchAll(/`(\w+)`/g)].map(([, field]) => field).sort(), known, name);
  }
});

test("the programs in docs/queues.md do what it says", async (t) => {
  const nats = await startNats(t);
  const server = await startServer(t, {
    ...{ nats: [nats.url], queue: "nats" },
    authenticate: ({ token }) => ({ user: token ?? "nobody" }),
  });
  const ann = await connect(t, server, { hello: { token: "ann" } });
  const bob = await connect(t, server, { hello: { token: "bob" } });
  await bob.ask("joined", { type: "join", room: "order:4711" });
  const options = { servers: [nats.url], replicas: 1, storage: "file" as const, namespace: "roomcast" };
  const queues = natsQueues({ ...options, timeoutMs: 1500, probeMs: 500, log });
  const work = queues.openWork({ prefetch: 1, ackMs: 30_000, deadAgeMs: 3_600_000, maxBytes: 65_536 });
  t.after(() => work.close(0));
  await eventually(() => work.problems().length === 0);
  const [write, putBack] = programs;
  // Beside the tests, where it finds the package.
  const run = async (program: string | undefined) => {
    const file = fileURLToPath(new URL(`./queues-${process.pid}.mjs`, import.meta.url));
    await writeFile(file, program ?? "");
    t.after(() => rm(file, { force: true }));
    await promisify(execFile)(process.execPath, [file], { env: { ...process.env, NATS_URL: nats.url } });
  };
  await run(write);
  await eventually(() => ann.closed !== undefined, "the user was never disconnected");
  const paid = () => bob.frames.filter((frame) => frame.type === "events").length;
  await eventually(() => paid() === 1, "the event never came");
  // Given up, then put back: it is given up again, with its id told apart.
  await work.add("wrong", Buffer.from("{}"));
  await eventually(async () => (await work.numbers()).dead === 1);
  await run(putBack);
  const ids = async () => (await work.deadLetters(10)).map(({ id }) => id);
  await eventually(async () => (await ids()).join() === "wrong-again", "it was never put back");
});

test("the sizes in the bare protocol of docs/queues.md are right", () => {
  const [, head, all, lines] = /HPUB \S+ \S+ (\d+) (\d+)\n([\s\S]*?)```/.exec(text) ?? [];
  const [headers = "", body = ""] = (lines ?? "").trimEnd().split("\n\n");
  const headBytes = Buffer.byteLength(`${headers.replaceAll("\n", "\r\n")}\r\n\r\n`);
  assert.deepEqual([Number(head), Number(all)], [headBytes, headBytes + Buffer.byteLength(body)]);
});
