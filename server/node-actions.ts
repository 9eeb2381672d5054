/** What a node tells the others of itself, and does when one of them asks. */
import type { NodeActions } from "./cluster/cluster.js";
import type { Node } from "./node.js";
import type { Parts } from "./parts.js";
import { fullName } from "./room/names.js";

/** `parts` and `node` are asked at each question: they are made after the cluster that asks. */
export function nodeActions(parts: () => Parts, node: () => Node): NodeActions {
  return {
    state: () => {
      const { sessions, rooms } = parts();
      return {
        address: node().url,
        connections: sessions.size,
        sessions: sessions.welcomed,
        rooms: rooms.size,
        problems: rooms.broker.problems(),
        draining: node().state === "draining",
      };
    },
    disconnect: (user, tenant) => parts().sessions.disconnect(user, tenant),
    remove: (user, tenant, room) => parts().sessions.takeOut(user, tenant, room),
    revoke: (revocation) => parts().revoking.revokeWritten(revocation),
    revocations: (from, most) => parts().revoking.list(from, most),
    count: (room, tenant) => parts().rooms.find(fullName(tenant, room))?.size ?? 0,
    rooms: (ask) => parts().rooms.list(ask),
    call: (ask, most) => parts().sessions.call(ask, most),
    forget: (what) => parts().decisions.forget(what),
    occupied: (names, asker) => parts().application.occupancy?.take(names, asker) ?? [],
  };
}
