/** The numbers of a node, as its parts have them now. */
import type { NodeNumbers, NodeState } from "./metrics.js";
import type { Parts } from "./parts.js";

export function nodeNumbers(parts: Parts, state: NodeState): NodeNumbers {
  const { sessions, doors, usage, api, rooms, application, decisions, commands, records, rosters } = parts;
  return {
    state,
    connections: sessions.size,
    sessions: sessions.welcomed,
    handshakes: sessions.handshakes,
    streams: doors.streams.open,
    clientRequests: doors.clients.count,
    refused: doors.entrance.refused,
    limited: usage.refused,
    requests: api.requests,
    rooms: rooms.size,
    publishedBytes: doors.publishedBytes,
    logReads: rooms.logReads,
    strays: rooms.strays,
    problems: rooms.broker.problems().length + rosters.problems().length + (commands?.problems().length ?? 0),
    hooks: application.numbers(),
    decisions: decisions.numbers,
    commands: commands?.numbers(),
    records: records?.numbers,
    presence: rosters.numbers,
    drain: { left: state === "draining" ? sessions.size : 0, moved: sessions.moved, closed: sessions.sentAway },
  };
}
