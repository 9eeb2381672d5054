/** A node of a cluster: the settings come as its argument, in JSON. See `NodeProcess`. */
import { createServer, type SettingsInput } from "../../../server/server.js";
import { answerParent } from "../child.js";
import { eventData } from "../event-data.js";
import type { NodeQuestion } from "../node-process.js";
import { pump } from "../pump.js";
import { StallWatch } from "../stall-watch.js";

const given = JSON.parse(process.argv[2] ?? "{}") as SettingsInput;
// A crowd of clients connects and asks as fast as it can, from one address.
const crowds = {
  ...{ connectRate: 1_000_000, maxHandshakes: 1_000_000, addressRate: 1_000_000, addressConnections: 1_000_000 },
  ...{ requestRate: 1_000_000, byteRate: 1_073_741_824 },
};
const server = await createServer({ port: 0, logLevel: "error", ...crowds, ...given });
const watch = new StallWatch();

/** Publishes once in each room, in order, a hundred under way; what the engine cannot take yet is tried again. */
async function publishIn(rooms: readonly string[], untilMs: number): Promise<{ published: number }> {
  let next = 0;
  const chain = async (): Promise<void> => {
    while (next < rooms.length) {
      const index = next++;
      const until = performance.now() + untilMs;
      for (;;) {
        try {
          await server.publish(rooms[index] as string, "event", eventData("json", index));
          break;
        } catch (error) {
          if (performance.now() > until) throw error;
          await new Promise((again) => setTimeout(again, 50));
        }
      }
    }
  };
  await Promise.all(Array.from({ length: 100 }, chain));
  return { published: rooms.length };
}

answerParent((question: NodeQuestion) => {
  if ("pump" in question) {
    const kind = question.pump.history ? "bench" : "bare";
    const data = eventData("json", 1);
    const rooms = Array.from({ length: question.pump.rooms }, (_, index) => `${kind}:${index}`);
    return pump(question.pump, (room) => server.publish(rooms[room] as string, "event", data));
  }
  if ("publish" in question) return publishIn(question.publish, question.retryMs);
  return watch.take();
});
process.send?.({ port: server.port });
