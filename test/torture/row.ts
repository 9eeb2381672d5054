/** A row of the torture table. */
import type { Findings } from "./checker.js";
import type { Torture } from "./torture.js";

/** `reduced` is for `npm test`: some seconds on a machine that does other things too. */
export type Size = "full" | "reduced";

/** One of the things a row passes or fails by. */
export type Verdict = {
  readonly what: string;
  /** What came, for people. */
  readonly came: string;
  readonly passed: boolean;
  /** Whether it is about time, and so judged at full size only. */
  readonly isTiming: boolean;
};

/** `name` is the file's, without its ending; `alt` says what there is to see. */
export type Picture = { readonly name: string; readonly alt: string; readonly svg: string };

export type RowResult = {
  /** What was done, in numbers: nodes, clients, rooms, events per second, faults. */
  readonly asked: string;
  readonly findings: Findings;
  /** What was measured, in the order in which it is shown. */
  readonly figures: { readonly [name: string]: string | number };
  readonly verdicts: readonly Verdict[];
  /** What is shown beside the figures. */
  readonly picture?: Picture;
};

export type Row = {
  readonly number: number;
  readonly title: string;
  readonly passesWhen: string;
  /** The engines, or the ways, in which it is run, each by itself. */
  readonly variants: readonly string[];
  run(torture: Torture, size: Size, variant: string): Promise<RowResult>;
};

/** A count that must be what is expected. */
export function counted(what: string, came: number, expected = 0): Verdict {
  return { what: `${what}: ${expected}`, came: String(came), passed: came === expected, isTiming: false };
}

/** A count that must be more than nothing, or than `least`: else nothing was shown. */
export function atLeast(what: string, came: number, least = 1): Verdict {
  return { what: `${what}: at least ${least}`, came: String(came), passed: came >= least, isTiming: false };
}

/** A time, or another figure that the machine has a say in, that must not be above a limit. */
export function within(what: string, came: number, most: number, unit = "ms"): Verdict {
  const passed = came <= most;
  return { what: `${what}: at most ${most} ${unit}`, came: `${Math.round(came)} ${unit}`, passed, isTiming: true };
}

/** What every row with history holds to; and that there was something to hold. */
export function unbroken(findings: Findings): Verdict[] {
  const { lost, dup, inverted, phantom, divergent, holes } = findings;
  return [
    ...Object.entries({ lost, dup, inverted, phantom, divergent }).map(([what, came]) => counted(what, came)),
    counted("unsignalled holes", holes),
    atLeast("acknowledged", findings.acknowledged),
    atLeast("deliveries", findings.deliveries),
  ];
}
