/**
 * What does it save to remember what the application has decided?
 *
 * Clients join a room and leave it again, one after the other of so many, and the application says who may, over HTTP: once
 * by answers that may not be remembered, once by answers that may. The servers take turns.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket } from "ws";
import { ContestantServer } from "./support/contestant-server.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import type { HookCacheResult, HookCacheRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";

const flags = readFlags({ clients: 20, rooms: 50, joins: 4000, rounds: 5 });

type Way = {
  readonly name: string;
  readonly server: ContestantServer;
  readonly clients: readonly WebSocket[];
  /** How many questions have reached the application. */
  readonly asked: () => number;
  readonly played: { readonly joinsPerSecond: number; readonly cpuUs: number; readonly questions: number }[];
};

/** An application that lets everyone in, and says for how long that holds, in milliseconds. */
async function applicationOf(cacheMs: number, closing: Closing): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const answer = JSON.stringify({ allow: true, cacheMs });
  const server = createServer((request, response) => {
    asked++;
    request.resume().on("end", () => response.end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.add(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, asked: () => asked };
}

/** Sends a frame, and resolves with the type of its answer; heartbeats come when they come. */
function ask(socket: WebSocket, frame: object): Promise<string> {
  const answered = new Promise<string>((resolve, reject) => {
    socket.on("message", (data) => {
      const { type } = JSON.parse(String(data)) as { type: string };
      if (type !== "heartbeat") resolve(type);
    });
    socket.once("close", () => reject(new Error("the server closed a connection")));
  });
  socket.send(JSON.stringify(frame));
  return answered.finally(() => socket.removeAllListeners());
}

async function wayOf(name: string, cacheMs: number, closing: Closing): Promise<Way> {
  const { url, asked } = await applicationOf(cacheMs, closing);
  const hooks = { join: { url } };
  const quiet = { heartbeatMs: 60_000, hookSecrets: ["x".repeat(32)], hookNetworks: ["127.0.0.0/8"] };
  const server = await ContestantServer.start("roomcast-json", { hooks, ...quiet });
  closing.add(() => server.stop());
  const clients: WebSocket[] = [];
  for (let index = 0; index < flags.clients; index++) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/socket`);
    await new Promise((resolve) => socket.once("open", resolve));
    closing.add(() => socket.terminate());
    if ((await ask(socket, { type: "hello", id: 1 })) !== "welcome") throw new Error("expected a welcome");
    clients.push(socket);
  }
  return { name, server, clients, asked, played: [] };
}

async function play({ server, clients, asked }: Way): Promise<Way["played"][number]> {
  const [before, askedBefore, startedAt] = [await server.usage(), asked(), performance.now()];
  let next = 0;
  const chain = async (socket: WebSocket): Promise<void> => {
    while (next < flags.joins) {
      const room = `bench:${next++ % flags.rooms}`;
      const answer = await ask(socket, { type: "join", id: 2, room });
      if (answer !== "joined") throw new Error(`expected joined, got ${answer}`);
      await ask(socket, { type: "leave", id: 3, room });
    }
  };
  await Promise.all(clients.map(chain));
  const seconds = (performance.now() - startedAt) / 1000;
  const { cpuUs } = await server.usage();
  return {
    joinsPerSecond: flags.joins / seconds,
    cpuUs: (cpuUs - before.cpuUs) / flags.joins,
    questions: asked() - askedBefore,
  };
}

const rowOf = ({ name, played }: Way): HookCacheRow => ({
  answers: name,
  joinsPerSecond: Math.round(median(played.map((one) => one.joinsPerSecond))),
  cpuUsPerJoin: round(median(played.map((one) => one.cpuUs)), 1),
  questionsPerThousandJoins: round((median(played.map((one) => one.questions)) * 1000) / flags.joins, 1),
});

const closing = new Closing();
try {
  const ways = [await wayOf("not remembered", 0, closing), await wayOf("remembered", 300_000, closing)];
  for (let turn = 0; turn <= flags.rounds; turn++) {
    for (const way of ways) {
      const played = await play(way);
      // The first round is not counted.
      if (turn === 0) continue;
      way.played.push(played);
      tell(
        `hook-cache, round ${turn} of ${flags.rounds}: ${way.name.padEnd(14)} ${Math.round(played.joinsPerSecond)} joins/s`,
      );
    }
  }
  const { clients, rooms, joins, rounds } = flags;
  emit({ program: "hook-cache", clients, rooms, joins, rounds, rows: ways.map(rowOf) } satisfies HookCacheResult);
} catch (error) {
  tell(`hook-cache failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
