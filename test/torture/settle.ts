/** The end of a row with several crowds. */
import type { Crowd, Told } from "./crowd.js";
import type { Records } from "./records.js";
import type { Torture } from "./torture.js";

/**
 * Ends the publishing of one crowd, waits until each subscriber of all of them is at the end of its rooms' logs, and
 * collects: the records of all together, and what each has told, in their order. What has not come in time is missing:
 * the checker finds it.
 */
export async function settleAll(
  torture: Torture,
  writing: Crowd,
  listening: readonly Crowd[],
  withinMs = 30_000,
): Promise<{ readonly records: Records; readonly told: readonly Told[] }> {
  await writing.stop();
  await torture.until(async () => (await writing.progress()).waiting === 0, withinMs);
  const { ends } = await writing.progress();
  await torture.until(async () => {
    const all = await Promise.all(listening.map((crowd) => crowd.progress(ends)));
    const behind = all.reduce((sum, one) => sum + one.behind, 0);
    torture.say(`settling: ${behind} subscribers are behind`);
    return behind === 0;
  }, withinMs);
  const told = [await torture.settle(writing), ...(await Promise.all(listening.map((crowd) => crowd.collect())))];
  const records = {
    published: told.flatMap((one) => one.records.published),
    logs: told.flatMap((one) => one.records.logs),
  };
  return { records, told };
}
