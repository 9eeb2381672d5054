/**
 * How much of a server's memory does a connection take that is in a room, and idle?
 *
 * Every contestant's server runs in a process of its own, one after the other. Its memory is read after a garbage
 * collection, before and after the connections; a few hundred connections have come and gone before that, so that what a
 * process takes once is not counted.
 */
import { ContestantServer } from "./support/contestant-server.js";
import { Crowd } from "./support/crowd.js";
import type { Contestant } from "./support/dialects.js";
import { Closing, emit, needOpenFiles, readFlags, tell } from "./support/program.js";
import type { IdleResult, IdleRow } from "./support/results.js";
import { round } from "./support/statistics.js";

const WARM_UP = 500;
const CONCURRENCY = 100;

async function measure(contestant: Contestant, connections: number, closing: Closing): Promise<IdleRow> {
  const server = await ContestantServer.start(contestant);
  closing.add(() => server.stop());
  const { dialect, port } = server;
  const empty = await server.usage();
  const open = (size: number) => Crowd.open({ dialect, role: "subscriber", port, size, concurrency: CONCURRENCY });
  const early = await open(Math.min(WARM_UP, connections));
  early.close();
  await server.emptied(empty.openFiles);
  const before = await server.usage({ gc: true });
  const crowd = await open(connections);
  closing.add(() => crowd.close());
  const after = await server.usage({ gc: true });
  const there = after.openFiles - before.openFiles;
  if (there !== connections || crowd.troubles.length > 0) {
    throw new Error(`${contestant}: ${connections} connections expected, got ${there}; ${crowd.troubles[0] ?? ""}`);
  }
  const row = {
    contestant,
    rssBytesPerConnection: round((after.rssBytes - before.rssBytes) / connections, 0),
    heapBytesPerConnection: round((after.heapBytes - before.heapBytes) / connections, 0),
  };
  tell(`  ${contestant.padEnd(17)} ${row.rssBytesPerConnection} bytes each, ${row.heapBytesPerConnection} in the heap`);
  return row;
}

const flags = readFlags({ connections: 10_000 });
try {
  needOpenFiles(flags.connections + 100);
  tell(`idle, ${flags.connections} connections`);
  const rows: IdleRow[] = [];
  for (const contestant of flags.contestants) {
    const closing = new Closing();
    try {
      rows.push(await measure(contestant, flags.connections, closing));
    } finally {
      await closing.close();
    }
  }
  emit({ program: "idle", connections: flags.connections, rows } satisfies IdleResult);
} catch (error) {
  tell(`idle failed: ${(error as Error).message}`);
  process.exitCode = 1;
}
