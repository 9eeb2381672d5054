import { setTimeout as pause } from "node:timers/promises";
import type { PresenceCluster } from "../../server/engine/conformance-presence.js";
import type { Presence } from "../../server/engine/presence.js";
import { openRedisPresence, type RedisPresenceOptions } from "../../server/engine/redis/presence.js";
import { eventually } from "../support/eventually.js";
import type { Redis } from "../support/services/redis.js";

/** Opens a node's way to presence; resolves once it has no problems. */
export async function openPresence(options: RedisPresenceOptions): Promise<Presence> {
  const presence = openRedisPresence(options)();
  await eventually(() => presence.problems().length === 0, "the engine never came up");
  return presence;
}

/** How often each command was called so far, those that scripts call among them. */
export async function callsOf(server: Redis): Promise<Map<string, number>> {
  const stats = String(await server.command("INFO", "commandstats"));
  return new Map([...stats.matchAll(/cmdstat_([^:]+):calls=([0-9]+)/g)].map(([, name = "", n]) => [name, Number(n)]));
}

/** How many scripts were run: all that nodes write they write by one, which is one entry of Redis's log. */
async function runsOf(servers: readonly Redis[]): Promise<number> {
  const calls = await Promise.all(servers.map(callsOf));
  return calls.reduce((sum, each) => sum + (each.get("evalsha") ?? 0), 0);
}

/** A cluster for the suite, on servers that are killed in an outage and started again. `started`: after each start. */
export function presenceCluster(
  options: RedisPresenceOptions,
  servers: readonly Redis[],
  started: () => Promise<unknown> = async () => undefined,
): PresenceCluster {
  const away = async (during: () => Promise<void>): Promise<void> => {
    await Promise.all(servers.map((server) => server.kill()));
    try {
      await during();
    } finally {
      await Promise.all(servers.map((server) => server.start()));
      await started();
    }
  };
  return {
    node: () => openPresence(options),
    advance: (ms) => pause(ms),
    writes: () => runsOf(servers),
    outage: away,
    // Empty before it is killed: persistent, it comes back as it went.
    async loss(during) {
      await Promise.all(servers.map((server) => server.command("FLUSHALL")));
      await away(during);
    },
    async close() {},
  };
}
