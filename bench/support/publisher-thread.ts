/** The thread behind `Publisher`. */
import { setImmediate as turn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { type Contestant, dialectOf, inRoom } from "./dialects.js";
import { nowUs } from "./event-data.js";
import type { PublisherDone, PublisherStart, PublisherTask } from "./publisher.js";
import { RawClient } from "./raw-client.js";
import { quantile } from "./statistics.js";

const { name, port } = workerData as PublisherStart;
const dialect = dialectOf(name as Contestant);
const troubles: string[] = [];
const client = await RawClient.open({ port, dialect, role: "publisher", onTrouble: (words) => troubles.push(words) });
const never = new Int32Array(new SharedArrayBuffer(4));
let nextId = 10;

async function publish({ events, perSecond, room }: PublisherTask): Promise<PublisherDone> {
  const lateUs: number[] = [];
  const spoken = room === undefined ? dialect : inRoom(room);
  const startUs = nowUs();
  for (let index = 0; index < events; index++) {
    const dueUs = startUs + Math.round((index * 1_000_000) / perSecond);
    // Timers of the loop go by whole milliseconds; this wait is exact to some 0.1 ms.
    for (let leftUs = dueUs - nowUs(); leftUs > 0; leftUs = dueUs - nowUs()) Atomics.wait(never, 0, 0, leftUs / 1000);
    const stampUs = nowUs();
    client.send(spoken.publish(nextId++, stampUs));
    lateUs.push(stampUs - dueUs);
    // Answers are read in between.
    await turn();
  }
  return { lateP50Us: quantile(lateUs, 0.5), lateP99Us: quantile(lateUs, 0.99), troubles: troubles.splice(0) };
}

parentPort?.on("message", async (task: PublisherTask) => parentPort?.postMessage(await publish(task)));
parentPort?.postMessage("open");
