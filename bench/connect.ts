/**
 * What does it cost a server to take a connection?
 *
 * For Roomcast that is the upgrade, hello and join, each answered; for plain uWebSockets.js and `ws` it is the upgrade
 * alone; for Socket.IO the upgrade and its own handshake. Connections come in bounded numbers at once, in rounds, and go
 * between the rounds, outside of what is measured.
 */
import { ContestantServer } from "./support/contestant-server.js";
import { Crowd } from "./support/crowd.js";
import type { Contestant } from "./support/dialects.js";
import { Closing, emit, needOpenFiles, readFlags, tell } from "./support/program.js";
import type { ConnectResult, ConnectRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";

const flags = readFlags({ connects: 3000, concurrency: 20, rounds: 5 });

/** How many rounds are not counted. */
const WARM_UP = 4;

async function play(server: ContestantServer, size: number): Promise<number> {
  const { dialect, port } = server;
  // Garbage is collected as it comes: a collection forced between rounds, with no connection alive, has V8 throw away
  // compiled code as well, and doubles the figures of every server written in JavaScript.
  const before = await server.usage();
  const crowd = await Crowd.open({ dialect, role: "visitor", port, size, concurrency: flags.concurrency });
  const { cpuUs } = await server.usage();
  const [trouble] = crowd.troubles;
  crowd.close();
  if (trouble !== undefined) throw new Error(trouble);
  await server.emptied(before.openFiles);
  return (cpuUs - before.cpuUs) / size;
}

function rowOf(contestant: Contestant, rounds: readonly number[], uws: readonly number[] | undefined): ConnectRow {
  const times = uws?.map((one, index) => (rounds[index] as number) / one);
  return {
    contestant,
    cpuUsPerConnect: round(median(rounds), 1),
    cpuUsRange: [round(Math.min(...rounds), 1), round(Math.max(...rounds), 1)],
    ...(times === undefined ? {} : { timesUws: round(median(times), 2) }),
  };
}

const closing = new Closing();
try {
  needOpenFiles(flags.connects + 100);
  const rounds = new Map<ContestantServer, number[]>();
  for (const name of flags.contestants) {
    const server = await ContestantServer.start(name);
    closing.add(() => server.stop());
    // A server that has just started interprets its code and then compiles it: what is asked is what a connection costs
    // one that runs.
    for (let turn = 0; turn < WARM_UP; turn++) await play(server, flags.connects);
    rounds.set(server, []);
  }
  for (let turn = 1; turn <= flags.rounds; turn++) {
    tell(`connect, ${flags.connects} connections, round ${turn} of ${flags.rounds}`);
    for (const [server, costs] of rounds) {
      costs.push(await play(server, flags.connects));
      tell(`  ${server.dialect.name.padEnd(17)} ${costs.at(-1)?.toFixed(1).padStart(6)} µs/connection`);
    }
  }
  const uws = [...rounds].find(([server]) => server.dialect.name === "uws")?.[1];
  const rows = [...rounds].map(([server, costs]) => rowOf(server.dialect.name, costs, uws));
  const { connects, concurrency } = flags;
  emit({ program: "connect", connects, concurrency, rounds: flags.rounds, rows } satisfies ConnectResult);
} catch (error) {
  tell(`connect failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
