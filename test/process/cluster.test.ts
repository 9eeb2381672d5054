/** `npm run cluster`: scripts/cluster.mjs. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../support/eventually.js";
import { connect } from "../support/start-server.js";

const script = fileURLToPath(new URL("../../../scripts/cluster.mjs", import.meta.url));

type Part = { readonly name: string; readonly url: string; readonly pid: number };

/** Lines such as `  node-1  http://127.0.0.1:8001/  pid 4711`. */
const partsIn = (text: string): readonly Part[] =>
  [...text.matchAll(/^ {2}(\S+) +(\S+:\/\/\S+?)\/? +pid (\d+)$/gm)].map(([, name = "", url = "", pid]) => {
    return { name, url, pid: Number(pid) };
  });

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const running = (parts: readonly Part[]) => parts.filter(({ pid }) => runs(pid));

/** The program in a process of its own; with the test it ends, and what it started. */
class ClusterProgram {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** The place of its temporary folder. */
  readonly folder = mkdtempSync(join(tmpdir(), "roomcast-test-"));
  output = "";

  constructor(t: TestContext, args: readonly string[]) {
    const env = { ...process.env, TMPDIR: this.folder, NO_COLOR: "1" };
    const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
    this.child = spawn(process.execPath, [script, "--port", "0", ...args], { env, stdio });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => this.child.once("close", (code, signal) => resolve({ code, signal })));
    t.after(async () => {
      this.child.kill("SIGTERM");
      await this.ended;
      for (const { pid } of running(partsIn(this.output))) process.kill(pid, "SIGKILL");
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  has = (matches: RegExp) => eventually(() => matches.test(this.output), `no ${matches}`);

  /** What runs, once all of it does. */
  async parts(): Promise<readonly Part[]> {
    await Promise.race([
      this.has(/^Open two of the nodes/m),
      this.ended.then(() => Promise.reject(new Error(`it ended: ${this.output}`))),
    ]);
    return partsIn(this.output);
  }
}

const named = (parts: readonly Part[], name: string): Part => {
  const found = parts.find((part) => part.name === name);
  assert.ok(found, `no ${name}`);
  return found;
};

test("what is published on one node is received on another, over either engine; and nothing is left running", async (t) => {
  const program = new ClusterProgram(t, []);
  const parts = await program.parts();
  assert.deepEqual(
    parts.map(({ name }) => name),
    ["node-1", "node-2", "node-3", "redis", "nats"],
  );
  for (const { url } of parts.slice(0, 3)) assert.match(await (await fetch(url)).text(), /<!doctype html>/i);
  const one = await connect(t, named(parts, "node-1"));
  const two = await connect(t, named(parts, "node-3"));
  for (const room of ["chat:1", "nats:1", "cursor:demo"]) {
    await two.ask("joined", { type: "join", room });
    await one.ask("published", { type: "publish", room, event: "said", data: `in ${room}` });
    const { events } = await two.next("events", (frame) => frame.room === room);
    assert.equal(events[0]?.data, `in ${room}`);
  }
  program.child.kill("SIGTERM");
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  assert.deepEqual(running(parts), []);
  assert.deepEqual(readdirSync(program.folder), []);
});

test("a node that is killed is said to have ended, the others go on, and it comes back on its port", async (t) => {
  const program = new ClusterProgram(t, ["--nodes", "2", "--no-nats"]);
  const parts = await program.parts();
  const [one, two] = [named(parts, "node-1"), named(parts, "node-2")];
  const client = await connect(t, one);
  await client.ask("joined", { type: "join", room: "chat:1" });
  process.kill(two.pid, "SIGKILL");
  await program.has(/^node-2 +ended \(SIGKILL\); the others go on/m);
  await client.ask("published", { type: "publish", room: "chat:1", event: "said", data: 1 });
  await program.has(/^node-2 +runs again, pid \d+/m);
  const again = await connect(t, two);
  const joined = await again.ask("joined", { type: "join", room: "chat:1" });
  assert.equal(joined.position?.offset, 1);
});

test("a redis-server that is killed comes back with what was in the rooms", async (t) => {
  const program = new ClusterProgram(t, ["--nodes", "1", "--no-nats"]);
  const parts = await program.parts();
  const client = await connect(t, named(parts, "node-1"));
  await client.ask("published", { type: "publish", room: "chat:1", event: "said", data: 1 });
  process.kill(named(parts, "redis").pid, "SIGTERM");
  await program.has(/^redis +runs again, pid \d+/m);
  await eventually(async () => {
    const frame = await client.request({ type: "history", room: "chat:1" });
    return frame.type === "history" && frame.events.length === 1;
  });
});

test("when the program is killed itself, what it started ends too", {
  skip: !existsSync("/usr/bin/setpriv"),
}, async (t) => {
  const program = new ClusterProgram(t, ["--nodes", "2"]);
  const parts = await program.parts();
  program.child.kill("SIGKILL");
  await eventually(() => running(parts).length === 0, "something is left");
});

test("a program that is not there is one line that says what to install", async (t) => {
  const bin = mkdtempSync(join(tmpdir(), "roomcast-path-"));
  t.after(() => rmSync(bin, { recursive: true }));
  const run = (...args: string[]) => {
    const options = { env: { ...process.env, PATH: bin }, encoding: "utf8" } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], options);
    assert.deepEqual([status, stdout], [1, ""]);
    return stderr;
  };
  assert.match(run("--no-nats"), /^redis-server is not on the PATH: install .*\n$/);
  writeFileSync(join(bin, "redis-server"), "");
  assert.match(run(), /^nats-server is not on the PATH: install .*, or run with --no-nats\n$/);
});

test("an option that is wrong is said so, with exit code 2", () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
  const wrong = run("--nodes", "0");
  assert.equal(wrong.status, 2);
  assert.equal(wrong.stderr, '--nodes: expected a whole number from 1 to 20, got "0"\n');
  assert.equal(run("--node", "3").status, 2);
  assert.equal(run("--help").status, 0);
  assert.match(run("--help").stdout, /--no-nats/);
});
