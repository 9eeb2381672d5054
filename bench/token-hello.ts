/**
 * What does a token cost a connection?
 *
 * Of Roomcast, that is the upgrade and hello, answered: on a server without keys, which asks nobody who they are, and on one
 * for each algorithm, with a token of another user for every connection. The servers take turns. A token is checked from
 * scratch each time; those of a round are shown again in the next.
 */
import { json } from "../protocol/index.js";
import { ContestantServer } from "./support/contestant-server.js";
import { Crowd } from "./support/crowd.js";
import { type Dialect, dialectOf } from "./support/dialects.js";
import { Closing, emit, needOpenFiles, readFlags, tell } from "./support/program.js";
import type { TokenHelloResult, TokenHelloRow } from "./support/results.js";
import { median, round } from "./support/statistics.js";
import { algorithms, type Signer, signerOf } from "./support/tokens.js";

const flags = readFlags({ connects: 3000, concurrency: 20, rounds: 7 });

/** How many rounds are not counted. */
const WARM_UP = 4;

type Way = { readonly name: string; readonly server: ContestantServer; readonly dialect: Dialect; costs: number[] };

/** Hello and nothing else; the next token with each, where there are any. */
function helloWith(tokens: readonly string[]): Dialect {
  let next = 0;
  return {
    ...dialectOf("roomcast-json"),
    opening: () => {
      const token = tokens[next++ % tokens.length];
      const hello = json.encode({ type: "hello", id: 1, ...(token === undefined ? {} : { token }) });
      return [{ send: [hello], until: (payload) => payload.includes('"type":"welcome"') }];
    },
  };
}

async function wayOf(name: string, signer: Signer | undefined, closing: Closing, more = 0): Promise<Way> {
  const server = await ContestantServer.start("roomcast-json", signer?.settings);
  closing.add(() => server.stop());
  const tokens: string[] = [];
  for (let user = 0; signer !== undefined && user < flags.connects; user++) {
    tokens.push(await signer.sign(`u${user}`, more));
  }
  return { name, server, dialect: helloWith(tokens), costs: [] };
}

/** The server's CPU for a connection, in µs. */
async function play({ server, dialect }: Way): Promise<number> {
  const { connects: size, concurrency } = flags;
  const before = await server.usage();
  const crowd = await Crowd.open({ dialect, role: "publisher", port: server.port, size, concurrency });
  const { cpuUs } = await server.usage();
  const [trouble] = crowd.troubles;
  crowd.close();
  if (trouble !== undefined) throw new Error(trouble);
  await server.emptied(before.openFiles);
  return (cpuUs - before.cpuUs) / size;
}

function rowOf({ name, costs }: Way, without: readonly number[]): TokenHelloRow {
  return {
    token: name,
    cpuUsPerConnect: round(median(costs), 1),
    cpuUsRange: [round(Math.min(...costs), 1), round(Math.max(...costs), 1)],
    timesWithout: round(median(costs.map((cost, index) => cost / (without[index] as number))), 2),
  };
}

const closing = new Closing();
try {
  needOpenFiles(flags.connects + 100);
  const without = await wayOf("none", undefined, closing);
  const ways = [without];
  for (const algorithm of algorithms) ways.push(await wayOf(algorithm, signerOf(algorithm, closing), closing));
  ways.push(await wayOf("HS256, 10 more patterns", signerOf("HS256", closing), closing, 10));
  for (let turn = 1 - WARM_UP; turn <= flags.rounds; turn++) {
    if (turn > 0) tell(`token-hello, ${flags.connects} connections, round ${turn} of ${flags.rounds}`);
    for (const way of ways) {
      const cost = await play(way);
      if (turn <= 0) continue;
      way.costs.push(cost);
      tell(`  ${way.name.padEnd(23)} ${cost.toFixed(1).padStart(6)} µs/connection`);
    }
  }
  const { connects, concurrency, rounds } = flags;
  const rows = ways.map((way) => rowOf(way, without.costs));
  emit({ program: "token-hello", connects, concurrency, rounds, rows } satisfies TokenHelloResult);
} catch (error) {
  tell(`token-hello failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
