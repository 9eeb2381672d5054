// Several nodes on this machine that are one server: Redis and NATS in a temporary folder, everything on loopback, and all
// of it ended with this process. For trying things out; deploy/ is for running them.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Child } from "./child.mjs";
import { root } from "./run.mjs";

const HOST = "127.0.0.1";
const NODE_END_MS = 12_000;
const ENGINE_END_MS = 5000;
/** A terminal and npm both pass on one Ctrl-C. */
const SAME_SIGNAL_MS = 500;

const help = `npm run cluster -- [options]

  --nodes N   how many nodes, 1 to 20; default 3
  --port P    where the nodes begin to look for free ports; default 8001, and 0 for any
  --no-nats   Redis alone`;

const install = {
  "redis-server": "install Redis, with apt install redis-server or brew install redis",
  "nats-server": "install it from https://nats.io/download, or run with --no-nats",
};

function fail(text, code = 1) {
  process.stderr.write(`${text}\n`);
  process.exit(code);
}

function options() {
  const number = (name, text, min, max) => {
    const value = Number(text);
    if (Number.isInteger(value) && text.trim() !== "" && value >= min && value <= max) return value;
    return fail(`--${name}: expected a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`, 2);
  };
  const flags = {
    nodes: { type: "string", default: "3" },
    port: { type: "string", default: "8001" },
    "no-nats": { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  };
  let values;
  try {
    values = parseArgs({ options: flags }).values;
  } catch (error) {
    return fail(`${error.message}\n\n${help}`, 2);
  }
  if (values.help) {
    process.stdout.write(`${help}\n`);
    process.exit(0);
  }
  return {
    nodes: number("nodes", values.nodes, 1, 20),
    port: number("port", values.port, 0, 65_000),
    nats: !values["no-nats"],
  };
}

const colours = [36, 33, 35, 32, 34, 96, 93, 95, 92, 94];
const colourful = process.stdout.isTTY === true && !process.env["NO_COLOR"];
const painted = (text, code) => (colourful ? `\u001b[${code}m${text}\u001b[0m` : text);

/** One line for a person, of a node's line for a program. */
function readable(line) {
  if (!line.startsWith('{"level"')) return line;
  // The name stands before the line, and the address in its text.
  const { level, time, message, node, url, port, pid, ...fields } = JSON.parse(line);
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [time.slice(11, 19), level.padEnd(5), message, ...rest].join(" ");
}

const names = [];
function print(name, line) {
  if (!names.includes(name)) names.push(name);
  process.stdout.write(`${painted(name.padEnd(7), colours[names.indexOf(name) % colours.length])} ${readable(line)}\n`);
}

const given = new Set();

/** The first port from `from` on that nobody listens on; with 0, one below those that outgoing connections get. */
async function freePort(from) {
  for (let port = from || 20_000 + Math.floor(Math.random() * 11_000); port < 65_536; port++) {
    if (given.has(port)) continue;
    const free = await new Promise((resolve) => {
      const server = createServer().once("error", () => resolve(false));
      server.listen({ port, host: HOST, exclusive: true }, () => server.close(() => resolve(true)));
    });
    if (!free) continue;
    given.add(port);
    return port;
  }
  return fail(`--port: expected a free one from ${from} on, got none`);
}

/** Resolves once the child, which listens on `port`, has answered `asked` with something that `matches`. */
async function answers(child, port, asked, matches) {
  while (child.pid !== undefined) {
    const answer = await new Promise((resolve) => {
      const socket = connect(port, HOST, () => socket.write(asked));
      socket.setTimeout(1000, () => socket.destroy());
      socket.once("data", (data) => resolve(String(data)));
      socket.once("error", () => resolve("")).once("close", () => resolve(""));
    });
    if (matches.test(answer)) return;
    await pause(50);
  }
}

function find(program) {
  const found = (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
  if (!found) fail(`${program} is not on the PATH: ${install[program]}`);
}

async function redisIn(folder) {
  const [port, dir] = [await freePort(0), join(folder, "redis")];
  await mkdir(dir);
  const args = [
    "--port",
    port,
    "--bind",
    HOST,
    "--dir",
    dir,
    "--save",
    "",
    "--appendonly",
    "yes",
    "--loglevel",
    "warning",
  ];
  const ready = (child) => answers(child, port, "PING\r\n", /^\+PONG/);
  return {
    name: "redis",
    program: "redis-server",
    args: args.map(String),
    ready,
    quiet: true,
    url: `redis://${HOST}:${port}`,
  };
}

async function natsIn(folder) {
  const port = await freePort(0);
  const args = ["--addr", HOST, "--port", port, "--jetstream", "--store_dir", join(folder, "nats")];
  const ready = (child) => answers(child, port, "", /^INFO/);
  return {
    name: "nats",
    program: "nats-server",
    args: args.map(String),
    ready,
    quiet: true,
    url: `nats://${HOST}:${port}`,
  };
}

/** Rooms are on Redis, but those of the kinds `nats` and `cursor`, which is the start page's for cursors. */
const onNats = { cursor: { engine: "nats", history: { size: 0 } }, nats: { engine: "nats" } };

function nodeOn(port, name, engines) {
  const args = [join(root, "dist/server/main.js"), "serve", "--host", HOST, "--port", String(port), "--node", name];
  for (const engine of engines) args.push(`--${engine.name}`, engine.url);
  if (engines.some((engine) => engine.name === "nats")) args.push("--kinds", JSON.stringify(onNats));
  const ready = (child) => child.line(/"message":"start page at /);
  return { name, program: process.execPath, args, ready, url: `http://${HOST}:${port}/` };
}

/** What runs, for a person; `npm run cluster` is not read by programs, but a test reads this. */
function table(nodes, engines) {
  const rows = [...nodes, ...engines].map(({ child, url }) => `  ${child.name.padEnd(7)} ${url}  pid ${child.pid}`);
  const nats = engines.some(({ child }) => child.name === "nats");
  const places = nats ? "What is said goes through Redis, the cursors through NATS." : "All rooms are on Redis.";
  return [
    "",
    ...rows,
    "",
    `Open two of the nodes in a browser: they are one server. ${places}`,
    `End a node the hard way, kill -9 ${nodes.at(-1).child.pid}, talk on, and see its page catch up. Ctrl-C ends everything.`,
    "",
  ].join("\n");
}

class Cluster {
  #folder;
  #nodes = [];
  #engines = [];
  #ended;

  async start({ nodes, port, nats }) {
    this.#folder = await mkdtemp(join(tmpdir(), "roomcast-cluster-"));
    const engines = [await redisIn(this.#folder), ...(nats ? [await natsIn(this.#folder)] : [])];
    await this.#run(this.#engines, engines);
    const specs = [];
    for (let n = 1, at = port; n <= nodes; n++) {
      at = await freePort(at);
      specs.push(nodeOn(at, `node-${n}`, engines));
      at = port === 0 ? 0 : at + 1;
    }
    await this.#run(this.#nodes, specs);
    if (this.#ended === undefined) process.stdout.write(`${table(this.#nodes, this.#engines)}\n`);
  }

  async #run(into, specs) {
    if (this.#ended !== undefined) return;
    const started = specs.map((spec) => ({ child: new Child({ ...spec, onLine: print }), url: spec.url }));
    into.push(...started);
    await Promise.all(started.map(({ child }) => child.start()));
  }

  /** The nodes first, so that what they have to say still gets through; then what they stand on. */
  end() {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end() {
    // As Ctrl-C does: at SIGTERM each would look for another node to send its clients to.
    await Promise.all(this.#nodes.map(({ child }) => child.end(NODE_END_MS, "SIGINT")));
    await Promise.all(this.#engines.map(({ child }) => child.end(ENGINE_END_MS)));
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  kill() {
    for (const { child } of [...this.#nodes, ...this.#engines]) child.kill();
  }
}

const wanted = options();
find("redis-server");
if (wanted.nats) find("nats-server");
const cluster = new Cluster();
let first;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (first === undefined) {
      first = performance.now();
      process.stdout.write(`${signal}: ending the nodes, then what they stand on\n`);
      void cluster.end().then(() => process.exit());
    } else if (performance.now() - first > SAME_SIGNAL_MS) cluster.kill();
  });
}
try {
  await cluster.start(wanted);
} catch (error) {
  // Whoever asked for the end has been told already.
  if (first === undefined) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
    await cluster.end();
    process.exit();
  }
}
