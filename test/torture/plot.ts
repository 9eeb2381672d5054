/** Parts of pictures: panels with axes, lines in them, and a frame around them. Dark and light pages show them alike. */

/** Where a value is drawn, in pixels. */
export type Scale = (value: number) => number;
export type Point = readonly [x: number, y: number];

export type Panel = { readonly top: number; readonly height: number };

export const WIDTH = 900;
export const LEFT = 70;
export const RIGHT = 24;

/** Evenly from `from` at `start` to `until` at `end`. */
export function linear(from: number, until: number, start: number, end: number): Scale {
  const step = (end - start) / (until - from);
  return (value) => start + (value - from) * step;
}

/** A round step that gives up to six lines up to `most`. */
export function stepOf(most: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(most));
  return [0.1, 0.2, 0.5, 1, 2].map((one) => one * magnitude).find((step) => most / step <= 6) ?? magnitude;
}

export const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const at = (pixels: number): string => pixels.toFixed(1);

/** `style` is a class, or more of it: `tick`, `note end`. */
export function label(x: number, y: number, text: string, style = ""): string {
  return `<text x="${at(x)}" y="${at(y)}" class="${style}">${escaped(text)}</text>`;
}

export function line(points: readonly Point[], stroke: string, style = ""): string {
  const path = points.map(([x, y]) => `${at(x)},${at(y)}`).join(" ");
  return `<polyline points="${path}" fill="none" stroke="${stroke}" stroke-width="1.8" stroke-linejoin="round" ${style}/>`;
}

export function box(x: number, y: number, width: number, height: number, fill: string, opacity = 1): string {
  return `<rect x="${at(x)}" y="${at(y)}" width="${at(width)}" height="${at(height)}" fill="${fill}" fill-opacity="${opacity}"/>`;
}

/** A line that says how one is drawn, and what it is. Resolves with where the next may begin. */
export function legend(x: number, y: number, text: string, stroke: string, style = ""): readonly [string, number] {
  const drawn = line([[x, y - 4] as const, [x + 22, y - 4] as const], stroke, style) + label(x + 28, y, text, "note");
  return [drawn, x + 28 + text.length * 6.6 + 18];
}

/** The lines of the values, from 0 to `most`, with what they are. */
export function values(panel: Panel, most: number, unit: string): { readonly y: Scale; readonly drawn: string } {
  const { top, height } = panel;
  const y = linear(0, most, top + height, top);
  const step = stepOf(most);
  const lines = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => {
    const value = Number((index * step).toPrecision(6));
    const where = at(y(value));
    return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${where}" y2="${where}" class="grid"/>
${label(LEFT - 8, y(value) + 4, value.toLocaleString("en-US"), "tick end")}`;
  });
  const middle = top + height / 2;
  const name = `<text x="16" y="${at(middle)}" class="note middle" transform="rotate(-90 16 ${at(middle)})">${escaped(unit)}</text>`;
  return { y, drawn: [...lines, name].join("\n") };
}

/** The marks below a panel. */
export function ticks(panel: Panel, x: Scale, marks: readonly (readonly [value: number, text: string])[]): string {
  const bottom = panel.top + panel.height;
  return marks
    .map(([value, text]) => {
      const where = at(x(value));
      return `<line x1="${where}" x2="${where}" y1="${bottom}" y2="${bottom + 5}" class="axis"/>
${label(x(value), bottom + 18, text, "tick middle")}`;
    })
    .join("\n");
}

export function frame(height: number, title: string, caption: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #24292f }
.head { font-size: 18px; font-weight: 600 }
.note { font-size: 12px; fill: #57606a }
.title { font-size: 14px; font-weight: 600 }
.tick { font-size: 11px; fill: #57606a }
.end { text-anchor: end }
.middle { text-anchor: middle }
.grid { stroke: #e3e7ec; stroke-width: 1 }
.axis { stroke: #8a94a6; stroke-width: 1 }
</style>
<rect width="${WIDTH}" height="${height}" rx="6" fill="#ffffff"/>
${label(24, 34, title, "head")}
${label(24, 54, caption, "note")}
${parts.join("\n")}
</svg>
`;
}
