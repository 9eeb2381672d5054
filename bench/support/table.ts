/** A table: Markdown, which also reads well in a terminal. */
export type Table = {
  readonly title: string;
  readonly note: string;
  readonly rows: readonly (readonly string[])[];
  /** The program that the figures come from. */
  readonly program?: string;
};

export const number = (value: number, digits = 0) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** The first column is left-aligned, the others right; padded, so that it can be read as it is. */
export function markdown({ title, note, rows, program }: Table): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length), 3));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, at) => (at === 0 ? (row[at] ?? "").padEnd(width) : (row[at] ?? "").padStart(width))).join(" | ")} |`;
  const rule = `|${widths.map((width, at) => (at === 0 ? ` ${"-".repeat(width)} ` : ` ${"-".repeat(width - 1)}: `)).join("|")}|`;
  const [head, ...body] = rows.map(line);
  const command = program === undefined ? "" : `By \`node dist/bench/${program}.js\`.`;
  const words = [note, command].filter((part) => part !== "").join(" ");
  return [`## ${title}`, ...(words === "" ? [] : ["", words]), "", head, rule, ...body, ""].join("\n");
}
