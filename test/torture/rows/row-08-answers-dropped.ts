import type { TcpProxy } from "../../support/proxy.js";
import { startBehindProxies } from "../behind-proxies.js";
import { check } from "../checker.js";
import { atLeast, counted, type Row, unbroken } from "../row.js";

const sizes = {
  full: { clients: 50, roomCount: 20, publishers: 20, eventsPerSecond: 500, answers: 200, perRound: 1, calmMs: 1000 },
  reduced: { clients: 10, roomCount: 5, publishers: 5, eventsPerSecond: 200, answers: 5, perRound: 1, calmMs: 300 },
};

/**
 * The broker has done what it was asked and nobody learns it. Redis numbers its answers by their order: with the answer
 * the connection goes, and with it those of all other publishes under way. Of NATS a single answer can be left out.
 */
export const row08: Row = {
  number: 8,
  title: "200 publish answers dropped, client retries",
  passesWhen: "0 dup, 0 lost, the first position returned",
  variants: ["redis", "nats", "nats, with the connection"],
  async run(torture, size, variant) {
    const { clients, roomCount, publishers, eventsPerSecond, answers, calmMs } = sizes[size];
    const { nodes, proxies } = await startBehindProxies(torture, variant, 2, { engineTimeoutMs: 500 });
    const crowd = await torture.startCrowd(nodes);
    const rooms = Array.from({ length: roomCount }, (_, index) => `room:${index + 1}`);
    await crowd.subscribe({ count: clients, rooms });
    await torture.joined(crowd, clients);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    await torture.load(crowd, calmMs, "calm");
    const cut = variant !== "nats";
    let dropped = 0;
    while (dropped < answers) {
      const proxy = proxies[dropped % proxies.length] as TcpProxy;
      await proxy.dropNextToClient(1, isPublishAnswer, { cut });
      dropped++;
      torture.say(`${dropped} of ${answers} answers dropped`);
    }
    await torture.load(crowd, calmMs, "after");
    const told = await torture.settle(crowd);
    const findings = check(told.records);
    return {
      asked: `2 nodes, ${clients} clients in ${roomCount} rooms, ${eventsPerSecond} events/s, ${answers} answers of the broker to publishes dropped`,
      findings,
      figures: {
        "publishes without a final answer": findings.unknown,
        errors: told.errors.join("; ") || "none",
      },
      verdicts: [
        ...unbroken(findings),
        atLeast("answers dropped", dropped, answers),
        counted("publishes without a final answer", findings.unknown),
        counted("resets told to clients", findings.resets),
        counted("sockets closed", told.losses.length),
      ],
    };
  },
};

/** Whether all of it is the broker's answers to publishes: of Redis "epoch offset", of NATS where it is in the stream. */
function isPublishAnswer(chunk: Buffer): boolean {
  const text = chunk.toString("latin1");
  return /^(\$\d+\r\n[\w-]+ \d+\r\n)+$/.test(text) || /^(MSG _INBOX[^\r]*\r\n\{[^\r]*"seq":[^\r]*\r\n)+$/.test(text);
}
