import { settingInfos } from "../../../server/cli/settings.js";
import { faultsOf, type Start, serveOnce } from "../bounds/serve-once.js";
import { everyRule, everythingElse, everyValue, Files, oneOfEach } from "../bounds/wrong-starts.js";
import { check } from "../checker.js";
import { atLeast, counted, type Row } from "../row.js";
import type { Torture } from "../torture.js";

/** So many processes at a time. */
const AT_ONCE = 2;

/** Every `step`th. */
const some = <T>(all: readonly T[], step: number): T[] => all.filter((_, index) => index % step === 0);

/** Starts them all, so many at a time; resolves with what was wrong, a line each. */
async function startAll(torture: Torture, starts: readonly Start[]): Promise<string[]> {
  const faults: string[] = [];
  let next = 0;
  const work = async () => {
    for (let start = starts[next++]; start !== undefined; start = starts[next++]) {
      const found = faultsOf(start, await serveOnce(start.args, start.env));
      faults.push(...found.map((words) => `${start.named} by ${start.from ?? "its name"}: ${words}`));
      torture.say(`${next} of ${starts.length} started, ${faults.length} faults`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return faults;
}

export const row24: Row = {
  number: 24,
  title: "every option set wrong",
  passesWhen: "one clear line naming it, exit 2, never a native abort",
  variants: ["serve"],
  async run(torture, size) {
    const files = new Files(torture);
    const checked = oneOfEach(files).map((start) => ({ ...start, args: ["--check", ...start.args] }));
    const starts =
      size === "full"
        ? [...everyValue(files), ...everyRule(), ...everythingElse(files), ...checked]
        : [...oneOfEach(files), ...some(everyRule(), 5), ...some(everythingElse(files), 6), ...some(checked, 12)];
    const faults = await startAll(torture, starts);
    const settings = settingInfos.filter(({ name }) => starts.some(({ named }) => named === name)).length;
    return {
      asked: `\`roomcast serve\` with one thing wrong: ${settings} settings, by flag, variable and file; pairs that do not fit; files and names that are none`,
      findings: { ...check({ published: [], logs: [] }), examples: faults.slice(0, 20) },
      figures: { starts: starts.length, settings },
      verdicts: [
        counted("settings set wrong", settings, settingInfos.length),
        atLeast("starts", starts.length, settingInfos.length),
        counted("faults: other than one line that names it, exit code 2, and no secret", faults.length),
      ],
    };
  },
};
