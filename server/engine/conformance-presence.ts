/** The test of the `Presence` contract: one suite for every engine. */
import type { RegisterTest } from "./conformance.js";
import { leaseCases } from "./conformance-leases.js";
import { type PresenceCases, type PresenceCluster, PresenceGround } from "./conformance-presence-ground.js";
import { presenceOutageCases } from "./conformance-presence-outage.js";
import { registerCases } from "./conformance-registers.js";

export type { PresenceCluster } from "./conformance-presence-ground.js";

export type PresenceConformance = {
  readonly test: RegisterTest;
  /** A cluster for one case; closed when the case has ended. */
  readonly open: () => Promise<PresenceCluster>;
  /** What this engine cannot do: the case's sentence, and the reason. */
  readonly skip?: { readonly [sentence: string]: string };
};

const cases: PresenceCases = { ...registerCases, ...leaseCases, ...presenceOutageCases };

/** The sentences on outages, for `skip`: an engine that is part of the process has none. */
export const onPresenceOutages: readonly string[] = Object.keys(presenceOutageCases);

/** The sentences on how many writes there are, for `skip`: where the engine cannot be asked. */
export const onPresenceWrites: readonly string[] = [
  "a register is written and erased by one write, and reading writes nothing",
  "a beat is one write, however much its node has written",
];

/**
 * Registers one test for every sentence of the contract, under the engine's name. Throws a `TypeError` where `skip` names
 * a sentence that does not exist.
 */
export function presenceConformance(engine: string, { test, open, skip = {} }: PresenceConformance): void {
  for (const sentence of Object.keys(skip)) {
    if (cases[sentence] === undefined) throw new TypeError(`skip: expected a case's sentence, got "${sentence}"`);
  }
  for (const [sentence, run] of Object.entries(cases)) {
    const reason = skip[sentence];
    test(`${engine}: ${sentence}`, reason === undefined ? {} : { skip: reason }, async (context) => {
      const ground = new PresenceGround(await open());
      context.after(() => ground.close());
      await run(ground);
    });
  }
}
