import { WebSocket } from "ws";
import { connect } from "../../../client/index.js";
import { startBehindProxies } from "../behind-proxies.js";
import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import type { NodeProcess } from "../node-process.js";
import type { Published } from "../records.js";
import { counted, type Row, unbroken, within } from "../row.js";

const sizes = {
  full: { clients: 300, roomCount: 100, publishers: 20, eventsPerSecond: 500, beforeMs: 5000 },
  reduced: { clients: 20, roomCount: 5, publishers: 5, eventsPerSecond: 100, beforeMs: 500 },
};
/** What tells the last events' publisher from those of the crowd. */
const LAST = 1_000_000;

/** Nobody publishes after it, so that nothing but the node's own looking can find it. */
export const row07: Row = {
  number: 7,
  title: "the last event before a silence is dropped on the way",
  passesWhen: "repaired ≤ 10 s",
  variants: ["redis", "nats"],
  async run(torture, size, variant) {
    const { clients, roomCount, publishers, eventsPerSecond, beforeMs } = sizes[size];
    const { nodes, proxies } = await startBehindProxies(torture, variant, 2, {});
    const [reader, writer] = nodes as [NodeProcess, NodeProcess];
    const crowd = await torture.startCrowd([reader]);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, beforeMs, "before");
    await torture.settle(crowd);

    const client = connect(writer.url, { WebSocket });
    torture.after(async () => client.close());
    const last: Published[] = [];
    for (const room of rooms) {
      const value = { p: LAST, n: 1, r: room };
      const marker = JSON.stringify(value);
      const dropped = proxies[0]?.dropNextToClient(1, (chunk) => isDelivery(chunk) && chunk.includes(marker));
      const sentAt = Date.now();
      const position = await client.room(room).publish("n", value);
      last.push({
        ...{ publisher: LAST, counter: 1, room, outcome: "acknowledged", position, sentAt, answeredAt: Date.now() },
      });
      torture.say(`dropped in ${last.length} of ${roomCount} rooms`);
      await dropped;
    }
    const ends = Object.fromEntries(last.flatMap(({ room, position }) => (position ? [[room, position]] : [])));
    await torture.until(async () => (await crowd.progress(ends)).behind === 0, 30_000);
    const { records, losses } = await torture.settle(crowd);
    const all = { ...records, published: [...records.published, ...last] };
    const findings = check(all);
    const repair = spread(latencies(all, ({ publisher }) => publisher === LAST));
    return {
      asked: `2 nodes, ${clients} clients in ${roomCount} rooms, in each of them the last event dropped on its way to a node`,
      findings,
      figures: { "repaired after": spreadText(repair), "bytes dropped": proxies[0]?.bytes("toClient").lost ?? 0 },
      verdicts: [
        ...unbroken(findings),
        counted("last events dropped", last.length, roomCount),
        counted("resets told to clients", findings.resets),
        counted("sockets closed", losses.length),
        within("repaired", repair.max, 10_000),
      ],
    };
  },
};

/** Whether it is what a node is told of an event by, and nothing else: an answer to a question is not. */
function isDelivery(chunk: Buffer): boolean {
  const text = chunk.toString("latin1");
  return (text.includes("\r\nmessage\r\n") && text.startsWith(">")) || /^H?MSG /.test(text);
}
