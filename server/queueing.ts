/** The queue of commands in a node: what takes them, made from the settings. */
import { applyCommand } from "./api/commands.js";
import { readJson } from "./api/json-body.js";
import { operations } from "./api/operations.js";
import type { Settings } from "./config.js";
import { openQueues } from "./engine/open-queue.js";
import type { Queues } from "./engine/queue.js";
import type { Log } from "./log.js";
import { Commands } from "./queue/commands.js";
import type { Server } from "./running.js";

/** Operations that know an id again by themselves. */
const keyed: ReadonlySet<string> = new Set(operations.filter(({ takesKey }) => takesKey === true).map(({ id }) => id));

/** The queue and the record log of the engine that keeps them; `undefined` where there is to be none. */
export async function queuesOf({ queue, ...settings }: Settings, log: Log): Promise<Queues | undefined> {
  return queue === undefined ? undefined : openQueues({ ...settings, queue }, log);
}

export type CommandParts = {
  /** Asked once a command comes. */
  readonly server: () => Server;
  /** What of the engines that hold the rooms cannot be reached now. */
  readonly problems: () => readonly string[];
  readonly log: Log;
};

export function commandsOf(queues: Queues, settings: Settings, { server, problems, log }: CommandParts): Commands {
  const { queuePrefetch: prefetch, queueAckMs: ackMs, queueTries: tries } = settings;
  const { recordsAgeMs: deadAgeMs, apiMaxBytes: maxBytes } = settings;
  return new Commands({
    queue: queues.openWork({ prefetch, ackMs, deadAgeMs, maxBytes }),
    read: (bytes) => readJson(bytes),
    apply: (command, id) => applyCommand(server(), command, id),
    isKeyed: (operation) => keyed.has(operation),
    ...{ problems, maxBytes, tries, log },
  });
}
