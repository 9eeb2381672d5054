/** What is done to a connection, byte by byte, as it stands in a file of the corpus. */
import { shorter } from "./bytes.js";

/** Bytes in one write, as text (a character a byte) or in hexadecimal; or the end of what is sent (a FIN). */
export type Step = { readonly text: string } | { readonly hex: string } | { readonly end: true };

export type Attack = {
  /** What it shows, for people. */
  readonly note?: string;
  /** Each step begins when the server has dealt with the one before. */
  readonly steps: readonly Step[];
};

export const bytesOf = (step: Step): Buffer | undefined =>
  "text" in step ? Buffer.from(step.text, "latin1") : "hex" in step ? Buffer.from(step.hex, "hex") : undefined;

/** As text where a person can read it. */
export function stepOf(bytes: Buffer): Step {
  const text = bytes.toString("latin1");
  return /^[\x20-\x7e\r\n\t]*$/.test(text) ? { text } : { hex: bytes.toString("hex") };
}

/** All that is sent. */
export const sentBy = ({ steps }: Attack): Buffer => Buffer.concat(steps.flatMap((step) => bytesOf(step) ?? []));

/** The same bytes in parts that begin at these places, in rising order. */
export function split(bytes: Buffer, places: readonly number[]): Step[] {
  const ends = [...places, bytes.length];
  return [0, ...places].map((from, index) => stepOf(bytes.subarray(from, ends[index]))).filter(hasSomething);
}

const hasSomething = (step: Step): boolean => (bytesOf(step)?.length ?? 1) > 0;

/** Fewer steps, then less in each. */
export function* smallerAttacks(attack: Attack): Generator<Attack> {
  const { steps } = attack;
  if (steps.length > 1) yield { ...attack, steps: [stepOf(sentBy(attack))] };
  for (const index of steps.keys()) yield { ...attack, steps: steps.filter((_, at) => at !== index) };
  for (const [index, step] of steps.entries()) {
    const bytes = bytesOf(step);
    if (bytes === undefined) continue;
    for (const fewer of shorter(bytes)) {
      const changed = steps.map((one, at) => (at === index ? stepOf(fewer) : one)).filter(hasSomething);
      yield { ...attack, steps: changed };
    }
  }
}
