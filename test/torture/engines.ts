/** The engines that rows are run on, each with a server of its own where it has one. */
import type { SettingsInput } from "../../server/server.js";
import { type Nats, startNats } from "../support/services/nats.js";
import { type Redis, startRedis } from "../support/services/redis.js";
import type { Torture } from "./torture.js";

type Engine = {
  readonly settings: SettingsInput;
  /** How many nodes make sense: one, where nothing joins them. */
  readonly nodes: (count: number) => number;
  readonly server: Redis | Nats | undefined;
};

/** Starts what the engine needs: `memory`, `redis` or `nats`. */
export async function startEngine(torture: Torture, variant: string): Promise<Engine> {
  if (variant === "redis") {
    const server = await startRedis(torture);
    return { settings: { redis: [server.url] }, nodes: (count) => count, server };
  }
  if (variant === "nats") {
    const server = await startNats(torture);
    return { settings: { nats: [server.url] }, nodes: (count) => count, server };
  }
  return { settings: {}, nodes: () => 1, server: undefined };
}
