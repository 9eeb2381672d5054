/** What a node on Redis is held against: the commands it sends, through ioredis and nothing else. See `BareProcess`. */
import { Redis } from "ioredis";
import type { Given } from "../bare-process.js";
import { answerParent } from "../child.js";
import { type PumpQuestion, pump } from "../pump.js";

type Commands = readonly (readonly [string, ...Buffer[]])[];

/** Of what is under way, so many pipelines: with one alone the process and Redis would wait for each other. */
const PIPELINES = 4;

const [, , url = "", way] = process.argv;
const redis = new Redis(url);
let given: { readonly history: Commands; readonly bare: Commands } = { history: [], bare: [] };

/** The name of a command is text, its arguments are bytes. */
function read(commands: readonly (readonly string[])[]): Commands {
  return commands.map(([name = "", ...words]) => [name, ...words.map((word) => Buffer.from(word, "latin1"))] as const);
}

async function inPipeline(commands: Commands, room: number, count: number): Promise<void> {
  const pipeline = redis.pipeline();
  for (let index = 0; index < count; index++) {
    pipeline.call(...(commands[(room + index) % commands.length] as readonly [string, ...Buffer[]]));
  }
  const answers = (await pipeline.exec()) ?? [];
  for (const [error] of answers) if (error !== null) throw error;
}

answerParent((question: Given | PumpQuestion) => {
  if ("history" in question) {
    given = { history: read(question.history), bare: read(question.bare) };
    return {};
  }
  const { pump: load } = question;
  const commands = load.history ? given.history : given.bare;
  if (way === "pipeline") {
    return pump(load, (room, count) => inPipeline(commands, room, count), Math.ceil(load.underWay / PIPELINES));
  }
  return pump(load, (room) => redis.call(...(commands[room] as readonly [string, ...Buffer[]])));
});
process.send?.({});
