/** The process that reads for the crowd: opens subscribers, and tells what they got. See `Load`. */
import { answerParent } from "./child.js";
import { Crowd, type Tally } from "./crowd.js";
import { type Contestant, dialectOf } from "./dialects.js";

export type LoadQuestion =
  | { readonly open: Contestant; readonly port: number; readonly size: number }
  /** Starts counting anew for that contestant. */
  | { readonly zero: Contestant }
  /** Answered once each subscriber has so many events, or none has got any for so long. */
  | { readonly count: Contestant; readonly each: number; readonly patienceMs: number };
export type LoadAnswer = Tally & { readonly troubles: readonly string[] };

const crowds = new Map<Contestant, Crowd>();
const CONCURRENCY = 50;

function crowdOf(name: Contestant): Crowd {
  const crowd = crowds.get(name);
  if (crowd === undefined) throw new Error(`no subscribers of ${name} are open`);
  return crowd;
}

async function answer(question: LoadQuestion): Promise<LoadAnswer> {
  let crowd: Crowd;
  if ("open" in question) {
    const { open: name, port, size } = question;
    crowd = await Crowd.open({ dialect: dialectOf(name), role: "subscriber", port, size, concurrency: CONCURRENCY });
    crowds.set(name, crowd);
  } else if ("zero" in question) {
    crowd = crowdOf(question.zero);
    crowd.zero();
  } else {
    crowd = crowdOf(question.count);
    return { ...(await crowd.counted(question.each, question.patienceMs)), troubles: crowd.troubles };
  }
  return { ...crowd.tally(), troubles: crowd.troubles };
}

answerParent(answer);
