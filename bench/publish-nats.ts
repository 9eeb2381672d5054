/**
 * How many events a second can be published through a node on NATS, of those that NATS would take?
 *
 * A node publishes 100 bytes in 50 rooms in turn, as the application does (`server.publish`), with a fixed number under
 * way. It is held against the client alone, over one connection, in processes of their own, which publish in the very
 * subjects: with history by JetStream's publish, each acknowledged; without history by the plain one, which nobody
 * acknowledges, so that the rate is the one at which a subscriber gets them. One of them publishes bytes that are ready,
 * the node's own; the other makes JSON of the data each time, as an application has to. All take turns; what counts is
 * the faster of the two.
 */
import { BareProcess } from "./support/bare-process.js";
import { MARK } from "./support/event-data.js";
import { NatsCounter } from "./support/nats-counter.js";
import { NatsWatch, type Sent } from "./support/nats-watch.js";
import { kinds, NodeProcess } from "./support/node-process.js";
import { Closing, emit, readFlags, tell } from "./support/program.js";
import { publishDefaults, publishRates, type Side } from "./support/publish-rates.js";
import { Broker } from "./support/services.js";

const flags = readFlags(publishDefaults);

/** What the node publishes for one event in each of the rooms, in their order. */
async function sentBy(node: NodeProcess, watch: NatsWatch, kind: string, answered: boolean): Promise<Sent[]> {
  const rooms = Array.from({ length: flags.rooms }, (_, index) => `${kind}:${index}`);
  await watch.take(MARK.toString(), answered);
  // One after the other, so that they come in the order of the rooms.
  for (const room of rooms) await node.publish([room]);
  const sent = await watch.take(MARK.toString(), answered);
  if (sent.length !== rooms.length) throw new Error(`${rooms.length} publishes expected, got ${sent.length}`);
  return sent;
}

/** Without history nobody says that an event has arrived: it has when a subscriber got it. */
function counted(side: Side, counter: NatsCounter): Side {
  return {
    async pump(load) {
      const pumped = await side.pump(load);
      return load.history ? pumped : { ...pumped, endUs: await counter.lastOf(pumped.published) };
    },
  };
}

const closing = new Closing();
try {
  const nats = await Broker.start("nats");
  closing.add(() => nats.stop());
  const node = await NodeProcess.start({ ...nats.settings(), kinds });
  closing.add(() => node.stop());
  const watch = await NatsWatch.open(nats.url);
  closing.add(() => watch.close());
  const given = {
    history: await sentBy(node, watch, "bench", true),
    bare: await sentBy(node, watch, "bare", false),
  };
  await watch.close();
  const client = await BareProcess.start("bare-nats", nats.url, given);
  closing.add(() => client.stop());
  const encoding = await BareProcess.start("bare-nats", nats.url, given, "json");
  closing.add(() => encoding.stop());
  const counter = await NatsCounter.open(
    nats.port,
    given.bare.map(([subject]) => subject),
  );
  closing.add(() => counter.close());
  const bare = { "nats.js": counted(client, counter), "nats.js, JSON.stringify()": counted(encoding, counter) };
  emit(await publishRates(nats, counted(node, counter), bare, flags));
} catch (error) {
  tell(`publish-nats failed: ${(error as Error).message}`);
  process.exitCode = 1;
} finally {
  await closing.close();
}
