/** The stream of what happened, as the settings ask for it. */
import { kindOf } from "../protocol/names.js";
import { rulesOf, type Settings } from "./config.js";
import { RESERVED } from "./engine/engine.js";
import type { Queues } from "./engine/queue.js";
import type { Log } from "./log.js";
import type { NodeName } from "./queue/entries.js";
import type { RecordedFrom } from "./queue/recording.js";
import { Records } from "./queue/records.js";
import { OWN, shownName, tenantOf } from "./room/names.js";
import type { SessionObserver } from "./session/sessions.js";

/** Which rooms are recorded, by their kind. */
function recordedFrom(settings: Settings): RecordedFrom {
  const rulesFor = rulesOf(settings);
  return (room) => {
    if (room.startsWith(RESERVED) || room.startsWith(OWN)) return undefined;
    const { record, history, engine } = rulesFor(kindOf(shownName(room)));
    if (!record) return undefined;
    // Nobody else can read such a log; each node has one of its own.
    return history.size === 0 || engine === "memory" ? "publish" : "log";
  };
}

/** `undefined` where nothing is to be told. `nodes`: how many there are. */
export function recordsOf(
  settings: Settings,
  queues: Queues | undefined,
  { node, nodes, log }: { readonly node: NodeName; readonly nodes: () => number; readonly log: Log },
): Records | undefined {
  const { kinds, records: tells, recordsMax: max, recordsAgeMs: ageMs, leaseMs, engineTimeoutMs } = settings;
  const recordsRooms = Object.values(kinds).some(({ record }) => record === true);
  if (queues === undefined || (tells.length === 0 && !recordsRooms)) return undefined;
  const rulesFor = rulesOf(settings);
  return new Records({
    log: queues.openRecords({ max, ageMs }),
    node,
    tells,
    recordedFrom: recordedFrom(settings),
    recordsRooms,
    rulesFor: (room) => rulesFor(kindOf(shownName(room))),
    nameOf: (room) => ({ room: shownName(room), tenant: tenantOf(room) }),
    leaseMs,
    engineTimeoutMs,
    nodes,
    words: log,
  });
}

/** Has sessions told of, where they are to be. */
export function observerOf(records: Records | undefined): SessionObserver | undefined {
  const connections = records?.connections;
  return (
    connections && {
      opened: (session) => {
        const { user, tenant } = session.access;
        connections.opened(session, { user, tenant, session: session.id }, session.wasResumed);
      },
      ended: (session) => {
        const { endCode: code, wasClosed: isOurs, toldToMove: isTold } = session;
        connections.ended(session, { code, isOurs, isTold });
      },
    }
  );
}
