/**
 * How many events a second can be published through a node on one Redis, of those that Redis would take?
 *
 * A node publishes 100 bytes in 50 rooms in turn, as the application does (`server.publish`), with a fixed number under
 * way. It is held against ioredis alone, over one connection, in processes of their own, which send the very commands
 * that the node sent, as MONITOR told: the same script, the same arguments; in rooms without history a plain PUBLISH. One
 * of them sends each command by itself, the other in pipelines. All take turns; what counts is the faster of the two.
 */
import { setTimeout as delay } from "node:timers/promises";
import { BareProcess } from "./support/bare-process.js";
import { type Command, Monitor } from "./support/monitor.js";
import { kinds, NodeProcess } from "./support/node-process.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import { publishDefaults, publishRates } from "./support/publish-rates.js";
import { Broker } from "./support/services.js";

const flags = readFlags(publishDefaults);

/** What the node sends to publish once in each of the rooms, in their order. */
async function commandsOf(node: NodeProcess, monitor: Monitor, kind: string): Promise<Command[]> {
  const rooms = Array.from({ length: flags.rooms }, (_, index) => `${kind}:${index}`);
  const seen = monitor.commands.length;
  // One after the other, so that the commands come in the order of the rooms.
  for (const room of rooms) await node.publish([room]);
  const those = (): Command[] =>
    monitor.commands.slice(seen).filter((words) => words.some((word) => word.includes(`{${kind}:`)));
  // What the monitor tells may come behind the answer to the node.
  for (const until = performance.now() + 2000; those().length < rooms.length && performance.now() < until; ) {
    await delay(5);
  }
  const commands = those();
  if (commands.length !== rooms.length) {
    throw new Error(`${rooms.length} commands expected for as many publishes, got ${commands.length}`);
  }
  return commands;
}

const closing = new Closing();
try {
  const redis = await Broker.start("redis");
  closing.add(() => redis.stop());
  const node = await NodeProcess.start({ ...redis.settings(), kinds });
  closing.add(() => node.stop());
  const monitor = await Monitor.open(redis.port);
  const given = { history: await commandsOf(node, monitor, "bench"), bare: await commandsOf(node, monitor, "bare") };
  monitor.close();
  const single = await BareProcess.start("bare-redis", redis.url, given);
  closing.add(() => single.stop());
  const pipeline = await BareProcess.start("bare-redis", redis.url, given, "pipeline");
  closing.add(() => pipeline.stop());
  emit(await publishRates(redis, node, { ioredis: single, "ioredis, pipeline()": pipeline }, flags));
} catch (error) {
  tell(`publish-redis failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
