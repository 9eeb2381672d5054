/** What came of the rows, as tables for people: in the terminal, and in `docs/torture.md`. */
import type { Picture, RowResult, Size, Verdict } from "./row.js";

/** One run of one row, as it is kept. */
export type Run = {
  readonly row: number;
  readonly title: string;
  readonly passesWhen: string;
  readonly variant: string;
  readonly size: Size;
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly tookMs: number;
  readonly result?: Omit<RowResult, "picture">;
  /** What is drawn of it, in a file of its own below `docs/pictures`. */
  readonly picture?: Omit<Picture, "svg">;
  /** Why there is no result. */
  readonly error?: string;
};

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

export const hasPassed = ({ result }: Run): boolean => result?.verdicts.every(({ passed }) => passed) === true;

const failures = ({ result }: Run): readonly Verdict[] => result?.verdicts.filter(({ passed }) => !passed) ?? [];

/** Markdown, padded so that it also reads well in a terminal. A cell must not end its row. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|").replace(/\s+/g, " ")));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length), 3));
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, at) => (row[at] ?? "").padEnd(width)).join(" | ")} |`;
  const [head = "", ...body] = cells.map(line);
  return [head, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body].join("\n");
}

const faultNames = ["lost", "dup", "inverted", "phantom", "divergent", "holes", "excused", "repeated"] as const;

const outcomeOf = (run: Run): string => (hasPassed(run) ? "passed" : "**failed**");

/** A line a run: what the checker counted. */
export function summary(runs: readonly Run[]): string {
  const head = ["#", "variant", "outcome", "events", "deliveries", ...faultNames, "resets", "took"];
  const rows = runs.map((run) => {
    const findings = run.result?.findings;
    const counts = faultNames.map((name) => String(findings?.[name] ?? ""));
    return [
      ...[String(run.row), run.variant, outcomeOf(run)],
      ...[String(findings?.acknowledged ?? ""), String(findings?.deliveries ?? ""), ...counts],
      ...[String(findings?.resets ?? ""), seconds(run.tookMs)],
    ];
  });
  return table([head, ...rows]);
}

/** Why runs have failed, in words; empty where none has. */
export function failureLines(run: Run): readonly string[] {
  if (run.error !== undefined) return [`- ${run.error.split("\n")[0]}`];
  const verdicts = failures(run).map(({ what, came }) => `- expected ${what}; came ${came}`);
  return verdicts.length === 0
    ? []
    : [...verdicts, ...(run.result?.findings.examples ?? []).map((line) => `- ${line}`)];
}

function detail(run: Run): string {
  const { result } = run;
  const stamp = `${run.date}, ${run.machine}, commit ${run.commit}.`;
  if (result === undefined) return [`### ${run.variant}`, "", stamp, "", ...failureLines(run)].join("\n");
  const { published, acknowledged, refused, unknown } = result.findings;
  const publishes = `${published}: ${acknowledged} acknowledged, ${refused} refused, ${unknown} without an answer`;
  const figures = [
    ["publishes", publishes],
    ...Object.entries(result.figures).map(([name, came]) => [name, String(came)]),
  ];
  const verdicts = result.verdicts.map(({ what, came, passed }) => [what, came, passed ? "passed" : "**failed**"]);
  const asked = `${result.asked}. ${stamp}`;
  const parts = [
    ...[`### ${run.variant}: ${outcomeOf(run)}`, "", asked, ""],
    ...(run.picture === undefined ? [] : [`![${run.picture.alt}](pictures/${run.picture.name}.svg)`, ""]),
    ...[table([["passes when", "came", ""], ...verdicts]), "", table([["measured", "came"], ...figures])],
  ];
  const words = failureLines(run);
  return [...parts, ...(words.length === 0 ? [] : ["", "What failed:", "", ...words])].join("\n");
}

const latest = (runs: readonly Run[]): Run[] => {
  const byName = new Map(runs.map((run) => [`${run.row} ${run.variant}`, run]));
  return [...byName.values()].sort((a, b) => a.row - b.row);
};

const INTRODUCTION = `# Torture

Real servers, real processes, real sockets, and faults. Every publisher writes its number, a counter and the room; every
subscriber writes down epoch, offset and value; a checker ([checker.ts](../test/torture/checker.ts)) holds one against the
other. This page is written by \`npm run torture\`, which runs every row at full size; \`npm test\` runs them all at reduced
size. For each row the latest run is shown, and below them every run that failed, with the commit it failed at.

- **lost**: acknowledged, and not seen by a subscriber who was there or resumed in time, and no \`reset\` covers it
- **dup**: seen twice in one epoch; **inverted**: seen after a later one; **phantom**: seen, and never published, or refused
- **divergent**: two events at one position; **holes**: places where a subscriber was given less than the log had, without a word
- **excused**: acknowledged and not seen, and a \`reset\` said so; **repeated**: seen again after a \`reset\`, because the log
  that knew the publisher's key is gone
`;

/** The whole page, from all runs at full size, oldest first. */
export function page(runs: readonly Run[]): string {
  const shown = latest(runs);
  const sections = [...new Set(shown.map(({ row }) => row))].map((row) => {
    const ofRow = shown.filter((run) => run.row === row);
    const [{ title, passesWhen } = { title: "", passesWhen: "" }] = ofRow;
    return [`## ${row}. ${title}`, "", `Passes when: ${passesWhen}.`, ...ofRow.map((run) => `\n${detail(run)}`)].join(
      "\n",
    );
  });
  const failed = runs.filter((run) => !hasPassed(run) && !shown.includes(run));
  const history = failed.map((run) => {
    return `**${run.row}, ${run.variant}**, ${run.date}, commit ${run.commit}:\n\n${failureLines(run).join("\n")}`;
  });
  const earlier = history.length === 0 ? [] : ["## Runs that failed, and have been run again since", ...history];
  return `${[INTRODUCTION.trimEnd(), "## Results", summary(shown), ...sections, ...earlier].join("\n\n")}\n`;
}
