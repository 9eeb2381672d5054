import { DATA_BYTES } from "./event-data.js";
import { tell } from "./program.js";
import type { Load, Pumped } from "./pump.js";
import type { PublishResult, PublishRow, PublishSide } from "./results.js";
import type { BrokerName } from "./services.js";
import { median, round } from "./statistics.js";

export type PublishFlags = {
  readonly seconds: number;
  readonly rounds: number;
  readonly rooms: number;
  readonly underWay: readonly number[];
};
export const publishDefaults = { seconds: 0.25, rounds: 11, rooms: 50, underWay: [64, 256] };

/** One that publishes; it answers once what was published is where it belongs, and `endUs` is that moment. */
export type Side = { pump(load: Load): Promise<Pumped> };

/** What the node is held against, by the way the broker's client is used. */
export type Bare = { readonly [way: string]: Side };

const NODE = "node";

async function play(side: Side, load: Load, brokerCpuMs: () => number): Promise<PublishSide> {
  const before = brokerCpuMs();
  const { published, startUs, endUs, cpuUs } = await side.pump(load);
  const brokerCpuUs = ((brokerCpuMs() - before) * 1000) / published;
  return { perSecond: (published * 1e6) / (endUs - startUs), cpuUs: cpuUs / published, brokerCpuUs };
}

function middle(runs: readonly PublishSide[]): PublishSide {
  const of = (what: keyof PublishSide, digits: number) => round(median(runs.map((run) => run[what])), digits);
  return { perSecond: of("perSecond", 0), cpuUs: of("cpuUs", 1), brokerCpuUs: of("brokerCpuUs", 1) };
}

function rowOf({ history, underWay }: Load, runs: ReadonlyMap<string, readonly PublishSide[]>): PublishRow {
  const node = runs.get(NODE) ?? [];
  const bare = [...runs].filter(([name]) => name !== NODE);
  const shares = node.map(({ perSecond }, index) => {
    return perSecond / Math.max(...bare.map(([, rounds]) => rounds[index]?.perSecond ?? 0));
  });
  return {
    history,
    underWay,
    node: middle(node),
    bare: Object.fromEntries(bare.map(([name, rounds]) => [name, middle(rounds)])),
    share: round(median(shares), 3),
    shareRange: [round(Math.min(...shares), 3), round(Math.max(...shares), 3)],
  };
}

/** All sides in turns, for every depth, with history and without. The first round is for the compilers. */
export async function publishRates(
  broker: { readonly name: BrokerName; cpuMs(): number },
  node: Side,
  bare: Bare,
  { seconds, rounds, rooms, underWay: depths }: PublishFlags,
): Promise<PublishResult> {
  const sides = Object.entries({ [NODE]: node, ...bare });
  const rows: PublishRow[] = [];
  for (const history of [true, false]) {
    for (const underWay of depths) {
      tell(`publish-${broker.name}, ${history ? "with" : "without"} history, ${underWay} under way`);
      const load = { seconds, underWay, rooms, history };
      const runs = new Map(sides.map(([name]) => [name, [] as PublishSide[]]));
      for (let turn = 0; turn <= rounds; turn++) {
        const asked = turn === 0 ? { ...load, seconds: 2 * seconds } : load;
        for (const [name, side] of turn % 2 === 0 ? sides : [...sides].reverse()) {
          const run = await play(side, asked, () => broker.cpuMs());
          if (turn > 0) runs.get(name)?.push(run);
        }
      }
      const row = rowOf(load, runs);
      rows.push(row);
      const others = Object.entries(row.bare).map(([name, one]) => `${name} ${one.perSecond}/s, ${one.cpuUs} µs`);
      const { perSecond, cpuUs } = row.node;
      tell(`  node ${perSecond}/s, ${cpuUs} µs; ${others.join("; ")}: ${(100 * row.share).toFixed(0)} %`);
    }
  }
  return { program: `publish-${broker.name}`, dataBytes: DATA_BYTES, seconds, rounds, rooms, rows };
}
