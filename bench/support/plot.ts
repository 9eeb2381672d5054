/** Results as one picture: a panel for each question, a bar for each server. */
import { type Contestant, dialectOf } from "./dialects.js";
import type { Results } from "./results.js";

type Bar = { readonly contestant: Contestant; readonly value: number; readonly text: string };
type Panel = { readonly title: string; readonly unit: string; readonly bars: readonly Bar[] };

const WIDTH = 840;
const LEFT = 210;
const RIGHT = 90;
const BAR = 20;
const STEP = 28;
const PANEL_HEAD = 58;
const PANEL_GAP = 26;
const TOP = 64;

const fills: { readonly [name in Contestant]: string } = {
  uws: "#8a94a6",
  "roomcast-json": "#1f6feb",
  "roomcast-msgpack": "#1f6feb",
  ws: "#c3c9d4",
  "socket-io": "#c3c9d4",
};

function panelsOf({ fanOut, idle, connect }: Results): Panel[] {
  const rates = [...new Set(fanOut?.rows.map((row) => row.eventsPerSecond))];
  const panels = rates.map((rate) => ({
    title: `CPU per delivery, ${rate} events/s to ${fanOut?.subscribers.toLocaleString("en-US")} subscribers`,
    unit: "µs",
    bars: (fanOut?.rows ?? [])
      .filter((row) => row.eventsPerSecond === rate)
      .map(({ contestant, cpuUsPerDelivery: value }) => ({ contestant, value, text: value.toFixed(2) })),
  }));
  if (idle !== undefined) {
    const bars = idle.rows.map(({ contestant, rssBytesPerConnection: bytes }) => {
      return { contestant, value: bytes / 1024, text: (bytes / 1024).toFixed(1) };
    });
    panels.push({
      title: `Memory per idle connection, ${idle.connections.toLocaleString("en-US")} of them in one room`,
      unit: "KB",
      bars,
    });
  }
  if (connect !== undefined) {
    const bars = connect.rows.map(({ contestant, cpuUsPerConnect: value }) => ({
      contestant,
      value,
      text: value.toFixed(0),
    }));
    panels.push({ title: "CPU for a connection (Roomcast: with hello and join)", unit: "µs", bars });
  }
  return panels;
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
  const drawn = bars.map(({ contestant, value, text }, index) => {
    const y = top + PANEL_HEAD + index * STEP;
    const width = Math.max(1, value * scale).toFixed(1);
    const middle = y + BAR / 2 + 5;
    const weight = contestant.startsWith("roomcast") ? " strong" : "";
    return `<text x="${LEFT - 12}" y="${middle}" class="name${weight}">${dialectOf(contestant).label}</text>
<rect x="${LEFT}" y="${y}" width="${width}" height="${BAR}" rx="2" fill="${fills[contestant]}"/>
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
