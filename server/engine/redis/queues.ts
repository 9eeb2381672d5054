/** The queue and the stream of what happened, on the first of the Redis shards. */
import type { Queues } from "../queue.js";
import { parseRedisShard } from "./address.js";
import { openShard } from "./open-shard.js";
import { QueueNames } from "./queue-names.js";
import { RedisRecordLog } from "./record-log.js";
import type { RedisOptions } from "./redis.js";
import type { Shard } from "./shard.js";
import { RedisWorkQueue } from "./work-queue.js";

/** The longest that a read waits for commands, in milliseconds; shorter where probes would take it for an outage. */
const BLOCK_MS = 1000;

/** Throws a `TypeError` where the address cannot be read. */
export function redisQueues(options: RedisOptions): Queues {
  const [first] = options.shards;
  if (first === undefined) throw new TypeError("expected the address of a Redis");
  const parsed = parseRedisShard(first);
  const { username = options.username, password = options.password } = parsed;
  const names = new QueueNames(options.namespace);
  const { timeoutMs, probeMs, log } = options;
  const open = (what: string, moreMs = 0): Shard => {
    const shard = { ...parsed, username, password, name: `${parsed.name} ${what}` };
    // No rooms here: what a call is made for is the name of a stream.
    const shardOptions = { timeoutMs: timeoutMs + moreMs, probeMs, log, nameOf: (stream: string) => stream };
    return openShard(shard, shardOptions, { published: () => undefined, suspect: () => undefined });
  };
  const blockMs = Math.max(1, Math.min(BLOCK_MS, Math.floor(probeMs / 4)));
  return {
    openWork(work) {
      const reads = { shard: open("queue", blockMs), blockMs };
      return new RedisWorkQueue({ ...work, names, shard: open("queue"), reads, log });
    },
    openRecords: (records) => new RedisRecordLog({ ...records, names, shard: open("records") }),
  };
}
