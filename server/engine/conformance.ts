/** The test of the `Broker` contract: one suite for every engine. */
import { deliveryCases } from "./conformance-delivery.js";
import { type Cases, type Cluster, Ground } from "./conformance-ground.js";
import { keyCases } from "./conformance-keys.js";
import { outageCases } from "./conformance-outage.js";
import { readingCases } from "./conformance-reading.js";

export type { Cluster } from "./conformance-ground.js";

/** How a test is registered: `test` of `node:test` will do. */
export type RegisterTest = (
  name: string,
  options: { readonly skip?: string },
  run: (context: { after(end: () => Promise<void>): void }) => Promise<void>,
) => unknown;

export type Conformance = {
  readonly test: RegisterTest;
  /** A cluster for one case; closed when the case has ended. */
  readonly open: () => Promise<Cluster>;
  /** What this engine cannot do: the case's sentence, and the reason. */
  readonly skip?: { readonly [sentence: string]: string };
};

const cases: Cases = { ...deliveryCases, ...keyCases, ...readingCases, ...outageCases };

/** The sentences on outages, for `skip`: an engine that is part of the process has none. */
export const onOutages: readonly string[] = Object.keys(outageCases);

/**
 * Registers one test for every sentence of the contract, under the engine's name. Throws a `TypeError` where `skip` names
 * a sentence that does not exist.
 */
export function conformance(engine: string, { test, open, skip = {} }: Conformance): void {
  for (const sentence of Object.keys(skip)) {
    if (cases[sentence] === undefined) throw new TypeError(`skip: expected a case's sentence, got "${sentence}"`);
  }
  for (const [sentence, run] of Object.entries(cases)) {
    const reason = skip[sentence];
    test(`${engine}: ${sentence}`, reason === undefined ? {} : { skip: reason }, async (context) => {
      const ground = new Ground(await open());
      context.after(() => ground.close());
      await run(ground);
    });
  }
}
