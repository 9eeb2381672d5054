/** Results as one picture: a panel for each question, a bar for each server. */
import { type Contestant, dialectOf } from "./dialects.js";
import type { AcrossNodesResult, PublishResult, PublishSide, Results } from "./results.js";

/** `kind` says how it is drawn: Roomcast, what it is held against, or another. */
type Bar = {
  readonly name: string;
  readonly kind: keyof typeof fills;
  readonly value: number;
  readonly text: string;
};
type Panel = { readonly title: string; readonly unit: string; readonly bars: readonly Bar[] };

const WIDTH = 840;
const LEFT = 210;
const RIGHT = 90;
const BAR = 20;
const STEP = 28;
const PANEL_HEAD = 58;
const PANEL_GAP = 26;
const TOP = 64;

const fills = { ours: "#1f6feb", bare: "#8a94a6", other: "#c3c9d4" } as const;

const kindsOf: { readonly [name in Contestant]: Bar["kind"] } = {
  uws: "bare",
  "roomcast-json": "ours",
  "roomcast-msgpack": "ours",
  ws: "other",
  "socket-io": "other",
};

const barOf = (name: Contestant, value: number, digits: number): Bar => {
  return { name: dialectOf(name).label, kind: kindsOf[name], value, text: value.toFixed(digits) };
};

function panelsOf({ fanOut, idle, connect, publishRedis, publishNats, acrossNodes }: Results): Panel[] {
  const rates = [...new Set(fanOut?.rows.map((row) => row.eventsPerSecond))];
  const panels: Panel[] = rates.map((rate) => ({
    title: `CPU per delivery, ${rate} events/s to ${fanOut?.subscribers.toLocaleString("en-US")} subscribers`,
    unit: "µs",
    bars: (fanOut?.rows ?? [])
      .filter((row) => row.eventsPerSecond === rate)
      .map((row) => barOf(row.contestant, row.cpuUsPerDelivery, 2)),
  }));
  if (idle !== undefined) {
    panels.push({
      title: `Memory per idle connection, ${idle.connections.toLocaleString("en-US")} of them in one room`,
      unit: "KB",
      bars: idle.rows.map((row) => barOf(row.contestant, row.rssBytesPerConnection / 1024, 1)),
    });
  }
  if (connect !== undefined) {
    panels.push({
      title: "CPU for a connection (Roomcast: with hello and join)",
      unit: "µs",
      bars: connect.rows.map((row) => barOf(row.contestant, row.cpuUsPerConnect, 0)),
    });
  }
  return [...panels, ...publishPanels([publishRedis, publishNats]), ...latencyPanels(acrossNodes)];
}

function publishPanels(results: readonly (PublishResult | undefined)[]): Panel[] {
  return [true, false].flatMap((history) => {
    const bars = results.flatMap((result): Bar[] => {
      const row = result?.rows.findLast((one) => one.history === history);
      if (result === undefined || row === undefined) return [];
      const broker = result.program === "publish-redis" ? "Redis" : "NATS";
      const bar = (name: string, kind: Bar["kind"], { perSecond }: PublishSide): Bar => {
        return { name, kind, value: 1e6 / perSecond, text: (1e6 / perSecond).toFixed(1) };
      };
      const bare = Object.entries(row.bare).map(([way, side]) => bar(way, "bare", side));
      return [bar(`Roomcast, ${broker}`, "ours", row.node), ...bare];
    });
    const title = `Time per publish, ${history ? "with" : "without"} history, many under way (1 / rate)`;
    return bars.length === 0 ? [] : [{ title, unit: "µs", bars }];
  });
}

function latencyPanels(result: AcrossNodesResult | undefined): Panel[] {
  const rows = (result?.rows ?? []).filter((row) => row.batchMs === 0);
  if (rows.length === 0) return [];
  const names = { memory: "one node, memory", redis: "Redis", nats: "NATS" } as const;
  const bars = rows.map(({ engine, at, p50Ms }): Bar => {
    const name = engine === "memory" ? names.memory : `${names[engine]}, ${at}`;
    return { name, kind: engine === "memory" ? "bare" : "ours", value: p50Ms, text: p50Ms.toFixed(2) };
  });
  return [{ title: `Publish to read, p50, ${result?.perSecond} events/s, batchMs 0`, unit: "ms", bars }];
}

/** A round step that gives four to eight lines up to `most`. */
function stepOf(most: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(most));
  const steps = [0.1, 0.2, 0.5, 1, 2].map((one) => one * magnitude);
  return steps.find((step) => most / step <= 8) ?? magnitude;
}

function drawPanel({ title, unit, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map((bar) => bar.value), Number.MIN_VALUE);
  const scale = (WIDTH - LEFT - RIGHT) / most;
  const bottom = top + PANEL_HEAD + bars.length * STEP;
  const step = stepOf(most);
  const lines = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => {
    const x = (LEFT + index * step * scale).toFixed(1);
    const text = Number((index * step).toPrecision(3));
    return `<line x1="${x}" x2="${x}" y1="${top + PANEL_HEAD - 8}" y2="${bottom}" class="grid"/>
<text x="${x}" y="${top + PANEL_HEAD - 14}" class="tick">${text}</text>`;
  });
  const drawn = bars.map(({ name, kind, value, text }, index) => {
    const y = top + PANEL_HEAD + index * STEP;
    const width = Math.max(1, value * scale).toFixed(1);
    const middle = y + BAR / 2 + 5;
    const weight = kind === "ours" ? " strong" : "";
    return `<text x="${LEFT - 12}" y="${middle}" class="name${weight}">${name}</text>
<rect x="${LEFT}" y="${y}" width="${width}" height="${BAR}" rx="2" fill="${fills[kind]}"/>
<text x="${(LEFT + Number(width) + 8).toFixed(1)}" y="${middle}" class="value${weight}">${text} ${unit}</text>`;
  });
  return [`<text x="24" y="${top + 18}" class="title">${title}</text>`, ...lines, ...drawn].join("\n");
}

/** `caption` says where and when it was measured. */
export function plot(results: Results, caption: string): string {
  const panels = panelsOf(results);
  let top = TOP;
  const drawn = panels.map((panel) => {
    const text = drawPanel(panel, top);
    top += PANEL_HEAD + panel.bars.length * STEP + PANEL_GAP;
    return text;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" role="img" aria-label="Benchmark results: less is better">
<style>
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #24292f }
.head { font-size: 18px; font-weight: 600 }
.caption { font-size: 12px; fill: #57606a }
.title { font-size: 14px; font-weight: 600 }
.name { text-anchor: end }
.tick { font-size: 11px; text-anchor: middle; fill: #57606a }
.strong { font-weight: 600 }
.grid { stroke: #e3e7ec; stroke-width: 1 }
</style>
<rect width="${WIDTH}" height="${top}" fill="#ffffff"/>
<text x="24" y="32" class="head">Less is better</text>
<text x="24" y="52" class="caption">${caption}</text>
${drawn.join("\n")}
</svg>
`;
}
