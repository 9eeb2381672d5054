/**
 * How much of a server's memory does a connection take that is in a room, and idle?
 *
 * Every contestant's server runs in a process of its own. Its memory is read after a garbage collection, before and after
 * the connections come. A few hundred have come and gone before that, so that what a process takes once is not counted.
 *
 * V8 keeps the room that it gave to passing objects for some ten seconds. Both readings are therefore taken after the
 * process has rested; what it takes before that is reported beside it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ContestantServer } from "./support/contestant-server.js";
import { Crowd } from "./support/crowd.js";
import { Closing, emit, needOpenFiles, readFlags, tell } from "./support/program.js";
import type { IdleResult, IdleRow } from "./support/results.js";
import { round } from "./support/statistics.js";
import type { Usage } from "./support/usage.js";

const WARM_UP = 500;
const CONCURRENCY = 100;

type Runner = { readonly server: ContestantServer; readonly before: Usage };

const flags = readFlags({ connections: 10_000, rest: 15 });
const rested = () => delay(flags.rest * 1000);

function subscribers({ dialect, port }: ContestantServer, size: number): Promise<Crowd> {
  return Crowd.open({ dialect, role: "subscriber", port, size, concurrency: CONCURRENCY });
}

/** Starts every server, lets a few connections come and go, and reads what each takes when it has rested. */
async function startAll(closing: Closing): Promise<Runner[]> {
  const servers: ContestantServer[] = [];
  for (const name of flags.contestants) {
    const server = await ContestantServer.start(name);
    closing.add(() => server.stop());
    const empty = await server.usage();
    const early = await subscribers(server, Math.min(WARM_UP, flags.connections));
    early.close();
    await server.emptied(empty.openFiles);
    servers.push(server);
  }
  await rested();
  const runners: Runner[] = [];
  for (const server of servers) runners.push({ server, before: await server.usage({ gc: true }) });
  return runners;
}

async function measure({ server, before }: Runner, closing: Closing): Promise<IdleRow> {
  const { connections } = flags;
  const { name } = server.dialect;
  const crowd = await subscribers(server, connections);
  closing.add(() => crowd.close());
  const early = await server.usage({ gc: true });
  await rested();
  const later = await server.usage({ gc: true });
  const there = later.openFiles - before.openFiles;
  if (there !== connections || crowd.troubles.length > 0) {
    throw new Error(`${name}: ${connections} connections expected, got ${there}; ${crowd.troubles[0] ?? ""}`);
  }
  crowd.close();
  await server.stop();
  const row = {
    contestant: name,
    rssBytesPerConnection: round((later.rssBytes - before.rssBytes) / connections, 0),
    heapBytesPerConnection: round((later.heapBytes - before.heapBytes) / connections, 0),
    earlyRssBytesPerConnection: round((early.rssBytes - before.rssBytes) / connections, 0),
  };
  const { rssBytesPerConnection, heapBytesPerConnection, earlyRssBytesPerConnection } = row;
  tell(
    `  ${name.padEnd(17)} ${rssBytesPerConnection} bytes each, ${heapBytesPerConnection} of them in the heap; ` +
      `${earlyRssBytesPerConnection} before it rested`,
  );
  return row;
}

const closing = new Closing();
try {
  needOpenFiles(flags.connections + 100);
  tell(`idle, ${flags.connections} connections`);
  const rows: IdleRow[] = [];
  for (const runner of await startAll(closing)) rows.push(await measure(runner, closing));
  emit({ program: "idle", connections: flags.connections, restSeconds: flags.rest, rows } satisfies IdleResult);
} catch (error) {
  tell(`idle failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
