/** The parts that a node is made of. `createServer` makes them; what a node does and tells needs them all. */
import type { Usage } from "./access/limits/limits.js";
import type { Jwks } from "./access/tokens/jwks.js";
import type { Api } from "./api/api.js";
import type { Application } from "./application.js";
import type { Cluster } from "./cluster/cluster.js";
import type { Settings } from "./config.js";
import type { DecisionCache } from "./hooks/decision-cache.js";
import type { Log } from "./log.js";
import type { Rosters } from "./presence/rosters.js";
import type { Commands } from "./queue/commands.js";
import type { Records } from "./queue/records.js";
import type { Revoking } from "./revoking.js";
import type { Rooms } from "./room/rooms.js";
import type { Sessions } from "./session/sessions.js";
import type { Doors } from "./transport/doors.js";
import type { Listener } from "./transport/listener.js";

export type Parts = {
  readonly settings: Settings;
  readonly log: Log;
  readonly listener: Listener;
  readonly doors: Doors;
  readonly rooms: Rooms;
  readonly rosters: Rosters;
  readonly sessions: Sessions;
  readonly usage: Usage;
  readonly cluster: Cluster;
  readonly revoking: Revoking;
  readonly jwks: Jwks | undefined;
  readonly decisions: DecisionCache;
  readonly application: Application;
  readonly api: Api;
  readonly commands: Commands | undefined;
  readonly records: Records | undefined;
  /** Told of what nobody meant to be thrown. */
  readonly failed: (error: unknown) => void;
};
