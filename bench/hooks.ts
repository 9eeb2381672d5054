/**
 * What do clients see of an application that is dead?
 *
 * Clients ask for the history of a room of which the application says who may; each asks again when it has its answer.
 * The application answers, then is dead for a while, in one of two ways, then answers again. Another client asks for the history of a
 * room that needs no application, all the time.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { json } from "../protocol/index.js";
import { ContestantServer } from "./support/contestant-server.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import type { HooksResult, HooksRow } from "./support/results.js";
import { quantile, round } from "./support/statistics.js";

const flags = readFlags({
  clients: 20,
  pauseMs: 20,
  upMs: 1000,
  downMs: 12_000,
  timeoutMs: 3000,
  retryMs: 2000,
  failures: 5,
});

/** A try of an open circuit is told from a refusal by how long it took, in milliseconds. */
const TRY_MS = 100;
/** How long the application is waited for once it is back, in milliseconds. */
const PATIENCE_MS = 30_000;

type Asked = { readonly at: number; readonly ms: number; readonly code: string };
type Outage = HooksRow["outage"];

/** Answers with yes, never, or is not there. */
class Application {
  readonly port: number;
  readonly #server: Server;
  readonly #held = new Set<ServerResponse>();
  #isSilent = false;

  static async start(port = 0): Promise<Application> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new Application(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("request", (request, response) => {
      request.resume().on("end", () => {
        if (this.#isSilent) this.#held.add(response);
        else response.end('{"allow":true}');
      });
    });
  }

  set isSilent(isSilent: boolean) {
    this.#isSilent = isSilent;
    for (const response of this.#held) response.destroy();
    this.#held.clear();
  }

  async stop(): Promise<void> {
    this.isSilent = false;
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }
}

/** One question after the other, each with how long its answer took, and its code or `ok`. */
class Asker {
  readonly asked: Asked[] = [];
  readonly #socket: WebSocket;
  readonly #room: string;
  #answered: ((code: string) => void) | undefined;
  #ended = false;
  #id = 1;

  static async open(port: number, room: string): Promise<Asker> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/socket`, json.subprotocol, { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const asker = new Asker(socket, room);
    await asker.#ask({ type: "hello" });
    return asker;
  }

  private constructor(socket: WebSocket, room: string) {
    this.#socket = socket;
    this.#room = room;
    socket.on("message", (data) => {
      const frame = json.decode(String(data));
      this.#answered?.(frame?.type === "error" ? frame.code : "ok");
    });
    socket.on("close", () => this.#answered?.("closed"));
  }

  #ask(frame: object): Promise<string> {
    return new Promise((resolve) => {
      this.#answered = resolve;
      this.#socket.send(JSON.stringify({ ...frame, id: this.#id++ }));
    });
  }

  async run(): Promise<void> {
    while (!this.#ended) {
      const at = performance.now();
      const code = await this.#ask({ type: "history", room: this.#room, limit: 1 });
      this.asked.push({ at, ms: performance.now() - at, code });
      await delay(flags.pauseMs);
    }
    this.#socket.terminate();
  }

  end(): void {
    this.#ended = true;
  }
}

async function play(outage: Outage, closing: Closing): Promise<HooksRow> {
  let application = await Application.start();
  closing.add(() => application.stop());
  const { timeoutMs, retryMs, failures, clients } = flags;
  const server = await ContestantServer.start("roomcast-json", {
    hooks: { join: { url: `http://127.0.0.1:${application.port}/`, timeoutMs } },
    ...{ hookSecrets: ["a secret that signs what is posted here"], hookNetworks: ["127.0.0.1"] },
    ...{ hookRetryMs: retryMs, hookFailures: failures, hookCacheSize: 0 },
    kinds: { free: { allow: { anonymous: ["history"] } } },
  });
  closing.add(() => server.stop());
  const askers = await Promise.all(Array.from({ length: clients }, () => Asker.open(server.port, "asked:1")));
  const other = await Asker.open(server.port, "free:1");
  const running = [...askers, other].map((asker) => asker.run());
  await delay(flags.upMs);
  const deadAt = performance.now();
  if (outage === "silent") application.isSilent = true;
  else await application.stop();
  await delay(flags.downMs);
  if (outage === "silent") application.isSilent = false;
  else application = await Application.start(application.port);
  const backAt = performance.now();
  const all = () => askers.flatMap(({ asked }) => asked);
  const isBack = ({ at, ms, code }: Asked) => code === "ok" && at + ms > backAt;
  while (!all().some(isBack) && performance.now() < backAt + PATIENCE_MS) await delay(10);
  const firstOk = Math.min(
    ...all()
      .filter(isBack)
      .map(({ at, ms }) => at + ms),
  );
  for (const asker of [...askers, other]) asker.end();
  await Promise.all(running);

  const down = all().filter(({ at }) => at >= deadAt && at < backAt);
  const failed = down.filter(({ code }) => code !== "ok");
  const openAt = Math.min(...failed.map(({ at, ms }) => at + ms));
  const first = failed.filter(({ at }) => at < openAt);
  const later = failed.filter(({ at }) => at >= openAt);
  const tries = later.filter(({ ms }) => ms >= TRY_MS);
  const refusals = later.filter(({ ms }) => ms < TRY_MS).map(({ ms }) => ms);
  const times = (from: number, to: number) => other.asked.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms);
  const row = {
    outage,
    firstFailures: first.length,
    firstFailureMs: round(Math.max(0, ...first.map(({ ms }) => ms)), 1),
    refusals: refusals.length,
    refusalP50Ms: round(quantile(refusals, 0.5), 3),
    refusalP99Ms: round(quantile(refusals, 0.99), 3),
    tries: tries.length,
    backMs: round(firstOk - backAt, 0),
    othersUpP99Ms: round(quantile(times(0, deadAt), 0.99), 3),
    othersDownP99Ms: round(quantile(times(deadAt, backAt), 0.99), 3),
    othersFailed: other.asked.filter(({ code }) => code !== "ok").length,
  };
  tell(`  ${JSON.stringify(row)}`);
  return row;
}

const closing = new Closing();
try {
  const { clients, timeoutMs, retryMs, failures, downMs } = flags;
  tell(`hooks, ${clients} clients, the application is dead for ${downMs} ms, its time limit ${timeoutMs} ms`);
  const rows: HooksRow[] = [];
  for (const outage of ["silent", "gone"] as const) rows.push(await play(outage, closing));
  emit({ program: "hooks", clients, downMs, timeoutMs, retryMs, failures, rows } satisfies HooksResult);
} catch (error) {
  tell(`hooks failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
