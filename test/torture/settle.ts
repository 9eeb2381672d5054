/** The end of a row with several crowds. */
import type { Crowd, Told } from "./crowd.js";
import type { Torture } from "./torture.js";

/**
 * Ends the publishing of one crowd, waits until each subscriber of all of them is at the end of its rooms' logs, and
 * collects, as if they were one crowd. What has not come in time is missing: the checker finds it.
 */
export async function settleAll(
  torture: Torture,
  writing: Crowd,
  listening: readonly Crowd[],
  withinMs = 30_000,
): Promise<Pick<Told, "records" | "losses" | "errors">> {
  await writing.stop();
  await torture.until(async () => (await writing.progress()).waiting === 0, withinMs);
  const { ends } = await writing.progress();
  await torture.until(async () => {
    const all = await Promise.all(listening.map((crowd) => crowd.progress(ends)));
    const behind = all.reduce((sum, one) => sum + one.behind, 0);
    torture.say(`settling: ${behind} subscribers are behind`);
    return behind === 0;
  }, withinMs);
  const all = [await torture.settle(writing), ...(await Promise.all(listening.map((crowd) => crowd.collect())))];
  return {
    records: {
      published: all.flatMap(({ records }) => records.published),
      logs: all.flatMap(({ records }) => records.logs),
    },
    losses: all.flatMap(({ losses }) => losses),
    errors: all.flatMap(({ errors }) => errors),
  };
}
