import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.js";
import { startNats } from "../support/services/nats.js";
import { startRedis } from "../support/services/redis.js";
import { type Server, startServer } from "../support/start-server.js";

const text = readFileSync(fileURLToPath(new URL("../../../docs/queues.md", import.meta.url)), "utf8");
const programs = [...text.matchAll(/<!-- run by test\/docs\/records.* -->\n```js\n([\s\S]*?)```/g)].map(
  ([, program]) => program ?? "",
);
const kinds = { "*": { record: true } };

/** Runs a program that reads for ever; gives what it has printed. */
async function reads(t: TestContext, program: string | undefined, env: { readonly [name: string]: string }) {
  // Beside the tests, where it finds the packages.
  const file = fileURLToPath(new URL(`./reads-${process.pid}-${Object.keys(env)[0]}.mjs`, import.meta.url));
  await writeFile(file, program ?? "");
  const child = spawn(process.execPath, [file], { env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (some: string) => {
      output += some;
    });
  }
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(file, { force: true });
  };
  t.after(end);
  return { lines: () => output.split("\n").slice(0, -1), end };
}

async function isTold(t: TestContext, server: Server, program: string | undefined, env: { [name: string]: string }) {
  await server.publish("order:4711", "paid", { amount: "12.00" });
  const first = await reads(t, program, env);
  const said = (n: number) => `order:4711 paid {"amount":"${n}.00"}`;
  await eventually(() => first.lines().length === 1, "the first was not read");
  await server.publish("order:4711", "paid", { amount: "13.00" });
  await eventually(() => first.lines().length === 2, "the second was not read");
  assert.deepEqual(first.lines(), [said(12), said(13)]);
  await first.end();
  await server.publish("order:4711", "paid", { amount: "14.00" });
  const second = await reads(t, program, env);
  await eventually(() => second.lines().includes(said(14)), "what came meanwhile was not read");
  assert.ok(!second.lines().includes(said(12)), "what was acknowledged was read again");
}

test("the program in docs/queues.md reads what happened on NATS, from where it left off", async (t) => {
  const nats = await startNats(t);
  const server = await startServer(t, { nats: [nats.url], queue: "nats", kinds });
  await isTold(t, server, programs[0], { NATS_URL: nats.url });
});

test("the program in docs/queues.md reads what happened on Redis, from where it left off", async (t) => {
  const redis = await startRedis(t);
  const server = await startServer(t, { redis: [redis.url], queue: "redis", kinds });
  await isTold(t, server, programs[1], { REDIS_URL: redis.url });
});
