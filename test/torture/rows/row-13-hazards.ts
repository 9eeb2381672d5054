import { check } from "../checker.js";
import { latencies, spread, spreadText } from "../figures.js";
import { type Fate, type Hazard, opcodeOf, readHazards } from "../hostile/hazards.js";
import { Judge, type Judged } from "../hostile/judge.js";
import { type Outcome, Sender } from "../hostile/sender.js";
import { megabytes } from "../hostile/watch.js";
import { atLeast, counted, type Row, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: { rounds: 20, bystanders: 50, rooms: 10, publishers: 5, eventsPerSecond: 200 },
  reduced: { rounds: 1, bystanders: 5, rooms: 2, publishers: 2, eventsPerSecond: 50 },
};
/** What the process may have grown by, in bytes. */
const FLAT_BYTES = 128 * 1_048_576;

function fateOf(outcome: Outcome): Fate | string {
  if ("closed" in outcome)
    return outcome.closed === 4202 ? "closed" : outcome.closed < 4000 ? "cut" : String(outcome.closed);
  const [code] = outcome.errors;
  if (code === "bad_request") return "refused";
  return code ?? (outcome.types.includes("published") ? "taken" : "nothing");
}

type Slowest = { readonly name: string; readonly ms: number };

/** Sends each of them, and asks after it how the server has fared. */
async function sendAll(torture: Torture, judge: Judge, hazards: readonly Hazard[], rounds: number) {
  const senders = { json: new Sender(judge.port, "json"), msgpack: new Sender(judge.port, "msgpack") };
  torture.after(async () => {
    for (const sender of Object.values(senders)) sender.end();
  });
  const wrong: string[] = [];
  const slow: Slowest[] = [];
  await judge.judged();
  for (let round = 1; round <= rounds; round++) {
    torture.say(`round ${round} of ${rounds}`);
    for (const hazard of hazards) {
      const name = `${hazard.codec}: ${hazard.name}`;
      const outcome = await senders[hazard.codec].send({ payload: hazard.bytes, opcode: opcodeOf(hazard) });
      const fate = fateOf(outcome);
      if (fate !== hazard.then) wrong.push(`${name}: expected ${hazard.then}, got ${fate}`);
      const { stallMs } = await judge.judged();
      slow.push({ name, ms: stallMs });
    }
  }
  for (const sender of Object.values(senders)) sender.end();
  return { wrong, slow: slow.sort((a, b) => b.ms - a.ms) };
}

export const row13: Row = {
  number: 13,
  title: "msgpack and JSON hazard corpus",
  passesWhen: "no exit, no stall > 20 ms, no prototype change, only plain values reach a hook",
  variants: ["hooks"],
  async run(torture, size) {
    const { rounds, bystanders, rooms: roomCount, publishers, eventsPerSecond } = sizes[size];
    const hazards = readHazards();
    const judge = await Judge.start(torture, {
      kinds: { "*": { history: { size: 10_000 } }, hazard: { history: { size: 5 }, publishRate: 1_000_000 } },
      ...{ requestRate: 1_000_000, byteRate: 1_073_741_824, connectRate: 1_000_000, addressRate: 1_000_000 },
    });
    const rooms = Array.from({ length: roomCount }, (_, index) => `calm:${index + 1}`);
    const crowd = await torture.startCrowd([judge]);
    await crowd.subscribe({ count: bystanders, rooms });
    await torture.joined(crowd, bystanders);
    await crowd.publish({ count: publishers, rooms, eventsPerSecond });
    // What a process needs once is not what it loses.
    await sendAll(torture, judge, hazards, 1);
    const before = await judge.judged();
    const startedAt = Date.now();
    const { wrong, slow } = await sendAll(torture, judge, hazards, rounds);
    const endedAt = Date.now();
    const { records, losses } = await torture.settle(crowd);
    const after: Judged = await judge.judged();
    const findings = check(records);
    const meanwhile = spread(latencies(records, ({ sentAt }) => sentAt >= startedAt && sentAt < endedAt));
    const taken = hazards.filter(({ then }) => then === "taken").length;
    const [slowest] = slow;
    return {
      asked: `1 server with hooks, ${hazards.length} hazards ${rounds} times each, ${bystanders} others in ${roomCount} rooms, ${eventsPerSecond} events/s`,
      findings: { ...findings, examples: [...findings.examples, ...wrong.slice(0, 5), ...after.odd.slice(0, 5)] },
      figures: {
        "values shown to the hooks": after.looked,
        "longest turn of the event loop": `${slowest?.ms.toFixed(1)} ms`,
        "the slowest": slow
          .slice(0, 3)
          .map(({ name, ms }) => `${name} (${ms.toFixed(1)} ms)`)
          .join("; "),
        "memory before and after": [before.rssBytes, after.rssBytes].map(megabytes).join(", "),
        "latency of the others meanwhile": spreadText(meanwhile),
      },
      verdicts: [
        ...unbroken(findings),
        counted("hazards that fared otherwise than they should", wrong.length),
        atLeast("values shown to the hooks", after.looked, taken * rounds),
        counted("values that were not plain", after.oddCount),
        counted("changed prototypes", after.prototypesAreWhole ? 0 : 1),
        counted("resets told to clients", findings.resets),
        counted("connections of the others that were lost", losses.length),
        {
          ...within("memory grown", (after.rssBytes - before.rssBytes) / 1e6, FLAT_BYTES / 1e6, "MB"),
          isTiming: false,
        },
        within("stall", slowest?.ms ?? Number.POSITIVE_INFINITY, 20),
      ],
    };
  },
};
