import type { Queues } from "../queue.js";
import { parseNatsServer } from "./address.js";
import type { NatsQueueOptions } from "./queue-link.js";
import { NatsRecordLog } from "./record-log.js";
import { NatsWorkQueue } from "./work-queue.js";

/** The queue and the record log on NATS. Throws a `TypeError` for an address that cannot be. */
export function natsQueues(options: NatsQueueOptions): Queues {
  const servers = options.servers.map(parseNatsServer);
  return {
    openWork: (work) => new NatsWorkQueue(servers, options, work),
    openRecords: (records) => new NatsRecordLog(servers, options, records),
  };
}
