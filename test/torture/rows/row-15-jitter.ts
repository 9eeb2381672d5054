import { startEngine } from "../engines.js";
import { contest, type Outcome, type Scenario, startServer } from "../jitter/contest.js";
import type { Contestant } from "../jitter/orders.js";
import { atLeast, counted, type Row, type Size, unbroken, within } from "../row.js";
import type { Torture } from "../torture.js";

const NODES = 2;
const MOST_DELAY_MS = 2500;

const scenarios: { readonly [size in Size]: Scenario } = {
  full: {
    ...{ clients: 3000, eventsPerSecond: 2, processes: 2, everyMs: 15_000, awayMs: 2000, forMs: 60_000 },
    ...{ seed: 15, patienceMs: 15_000 },
  },
  reduced: {
    ...{ clients: 100, eventsPerSecond: 10, processes: 1, everyMs: 3000, awayMs: 500, forMs: 5000 },
    ...{ seed: 15, patienceMs: 15_000 },
  },
};
/** At reduced size it is not asked how much the comparators lose, so nothing of theirs is waited for. */
const BRIEF_MS = 1000;

/** With Redis several nodes, so that clients come back to another than the one they left. */
const variants = { "memory, beside others": "memory", redis: "redis" };
type Outcomes = { readonly [name in Contestant]?: Outcome } & { readonly Roomcast: Outcome };

export const row15: Row = {
  number: 15,
  title: "jitter: every connection killed about every 15 s, and kept away for 2 s",
  passesWhen: "100 % delivered; p99 of the delay, the absence included, < 2.5 s",
  variants: Object.keys(variants),
  async run(torture, size, variant) {
    const engine = await startEngine(torture, variants[variant as keyof typeof variants]);
    const nodes = await torture.startNodes(engine.nodes(NODES), engine.settings);
    const ports = nodes.map(({ port }) => port);
    const outcomes = await runAll(torture, size, ports, variant === "redis" ? [] : ["plain uWS", "Socket.IO"]);
    const { Roomcast: roomcast, ...others } = outcomes;
    const { findings, delayMs, delivered, owed, cuts } = roomcast;
    const { clients } = scenarios[size];
    return {
      asked: [wordsOf(scenarios[size], nodes.length), ...(variant === "redis" ? [] : [BESIDE])].join("; "),
      findings,
      figures: figuresOf(outcomes),
      verdicts: [
        ...unbroken(findings),
        counted("resets", findings.resets),
        counted("not delivered", owed - delivered),
        atLeast("connections killed", cuts, clients),
        within("p99 of the delay, the absence included", delayMs.p99, MOST_DELAY_MS),
        ...Object.entries(others).map(([name, one]) => atLeast(`delivered by ${name}`, one.delivered)),
      ],
    };
  },
};

const BESIDE =
  "the same cuts of plain uWS, whose client tries again every 250 to 750 ms, and of Socket.IO with connection state recovery, whose client has its defaults";

function wordsOf({ clients, eventsPerSecond, everyMs, awayMs, forMs }: Scenario, nodes: number): string {
  const [every, away, length] = [everyMs, awayMs, forMs].map((ms) => `${ms / 1000} s`);
  const crowd = `${nodes} node${nodes > 1 ? "s" : ""}, ${clients} clients in one room, ${eventsPerSecond} events/s for ${length}`;
  return `${crowd}, each connection reset about every ${every} and refused for ${away} after`;
}

/** At full size one after the other, so that each has the machine for itself. */
async function runAll(
  torture: Torture,
  size: Size,
  ports: readonly number[],
  others: readonly Exclude<Contestant, "Roomcast">[],
): Promise<Outcomes> {
  const scenario = scenarios[size];
  const brief = { ...scenario, ...(size === "reduced" && { patienceMs: BRIEF_MS }) };
  const roomcast = contest(torture, "Roomcast", ports, scenario);
  if (size === "full") await roomcast;
  const beside: { [name in Contestant]?: Outcome } = {};
  const runs = others.map((name) => async () => {
    beside[name] = await contest(torture, name, [await startServer(torture, name)], brief);
  });
  if (size === "reduced") await Promise.all([roomcast, ...runs.map((run) => run())]);
  else for (const run of runs) await run();
  return { Roomcast: await roomcast, ...beside };
}

const percent = ({ delivered, owed }: Outcome): string => {
  // Never rounded up to what it is not.
  const share = Math.floor((delivered * 10_000) / owed) / 100;
  return `${share} %`;
};

/** A line a figure, with all contestants in it. Delays are of what came. */
function figuresOf(outcomes: Outcomes): { readonly [name: string]: string } {
  const line = (of: (one: Outcome) => string | number) =>
    Object.entries(outcomes)
      .map(([name, one]) => `${name} ${of(one)}`)
      .join(", ");
  const delay = (share: keyof Outcome["delayMs"]) => `${line(({ delayMs }) => Math.round(delayMs[share]))} ms`;
  return {
    delivered: line(percent),
    "not delivered": line(({ delivered, owed }) => `${owed - delivered} of ${owed}`),
    ...{
      "delay, p50": delay("p50"),
      "delay, p95": delay("p95"),
      "delay, p99": delay("p99"),
      "delay, most": delay("max"),
    },
    "delivered twice": line(({ findings }) => findings.dup),
    "out of order": line(({ findings }) => findings.inverted),
    "connections killed": line(({ cuts }) => cuts),
    ...(outcomes["Socket.IO"] && { "came back, not recovered": `Socket.IO ${outcomes["Socket.IO"].unrecovered}` }),
  };
}
