/** What can be fuzzed, and how: inputs that follow from a seed, held against properties, made smaller where one fails. */
import { Random } from "../support/random.js";

/** Something that takes inputs from outside. An input is plain data, as it stands in a file of the corpus. */
export interface Target<Input = unknown> {
  readonly name: string;
  make(random: Random): Input;
  /** What is wrong with what came of each input, in their order; `undefined` where nothing is. */
  check(inputs: readonly Input[]): Promise<readonly (string | undefined)[]>;
  /** Inputs like this one, and smaller. */
  smaller(input: Input): Iterable<Input>;
}

export type Finding = { readonly target: string; readonly what: string; readonly input: unknown };

/** Inputs are tried so many at a time. */
const BATCH = 64;
/** Two faults that are told in words that begin alike are one, in characters. */
const ALIKE = 12;
/** So often it is tried to make one smaller. */
const MOST_TRIES = 300;
/** A target that fails so often has one fault, or many: there is enough to look at. */
const MOST_FINDINGS = 5;

/** Tries `count` inputs that follow from the seed. `told` is called after each batch with how many are done. */
export async function fuzz<Input>(
  target: Target<Input>,
  { seed, count, told }: { readonly seed: number; readonly count: number; readonly told?: (done: number) => void },
): Promise<Finding[]> {
  const random = new Random(seed);
  const findings: Finding[] = [];
  for (let done = 0; done < count && findings.length < MOST_FINDINGS; ) {
    const inputs = Array.from({ length: Math.min(BATCH, count - done) }, () => target.make(random));
    findings.push(...(await findIn(target, inputs)));
    done += inputs.length;
    told?.(done);
  }
  return findings;
}

/** Tries inputs together, those that fail by themselves again, and makes these smaller. */
export async function findIn<Input>(target: Target<Input>, inputs: readonly Input[]): Promise<Finding[]> {
  const verdicts = await target.check(inputs);
  const suspects = inputs.flatMap((input, index) => {
    const what = verdicts[index];
    return what === undefined ? [] : [{ input, what }];
  });
  const findings: Finding[] = [];
  // Where the process has ended, all that were tried together are suspects.
  for (const { input } of suspects) {
    if (findings.length === MOST_FINDINGS) break;
    const [what] = await target.check([input]);
    if (what !== undefined) findings.push({ target: target.name, ...(await minimised(target, input, what)) });
  }
  const [first] = suspects;
  if (first === undefined || findings.length > 0) return findings;
  return [{ target: target.name, what: `${first.what} (not when tried alone)`, input: first.input }];
}

async function minimised<Input>(target: Target<Input>, given: Input, found: string): Promise<Omit<Finding, "target">> {
  let [input, what] = [given, found];
  let tries = 0;
  for (let smaller = true; smaller; ) {
    smaller = false;
    for (const candidate of target.smaller(input)) {
      if (++tries > MOST_TRIES) return { what, input };
      const [now] = await target.check([candidate]);
      // Another fault than the one that was found is not what this input is kept for.
      if (now === undefined || now.slice(0, ALIKE) !== what.slice(0, ALIKE)) continue;
      [input, what, smaller] = [candidate, now, true];
      break;
    }
  }
  return { what, input };
}
