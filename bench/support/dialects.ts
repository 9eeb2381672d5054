/** The contestants, and what each is told and answers: scripts of bytes, so that a client of any of them costs alike. */
import { json, msgpack } from "../../protocol/index.js";
import { type DataForm, eventData } from "./event-data.js";

export const contestants = ["uws", "roomcast-json", "roomcast-msgpack", "ws", "socket-io"] as const;
export type Contestant = (typeof contestants)[number];

/** What a connection is for: `subscriber` is in the room, `publisher` may publish, `visitor` only says who it is. */
export type Role = "subscriber" | "publisher" | "visitor";

/** One exchange of the opening: what is sent, in one write, and which payload answers it. */
export type Step = { readonly send?: readonly (string | Uint8Array)[]; readonly until: (payload: Buffer) => boolean };

export type Dialect = {
  readonly name: Contestant;
  readonly label: string;
  /** What a subscriber is sent for one event, beside the 100 bytes of data, in words. */
  readonly sends: string;
  path(role: Role): string;
  readonly subprotocol?: string;
  opening(role: Role): readonly Step[];
  publish(id: number, stampUs: number): string | Uint8Array;
  /** The words of a payload that refuses something. */
  refusal?(payload: Buffer): string | undefined;
  /** A payload of one byte that wants an answer. */
  readonly beat?: { readonly ask: string; readonly answer: string };
};

const ROOM = "bench";
const EVENT = "event";

function plain(name: Contestant, label: string): Dialect {
  return {
    name,
    label,
    sends: "nothing: the data itself is the frame",
    path: (role) => (role === "subscriber" ? "/sub" : "/pub"),
    opening: () => [],
    publish: (_id, stampUs) => JSON.stringify(eventData("json", stampUs)),
  };
}

function roomcast(
  codec: typeof json | typeof msgpack,
  form: DataForm,
  number: (type: string) => number,
  room = ROOM,
): Dialect {
  const answers = (type: string) => (payload: Buffer) =>
    form === "json" ? payload.includes(`"type":"${type}"`) : payload[1] === number(type);
  const hello = codec.encode({ type: "hello", id: 1 });
  const join = codec.encode({ type: "join", id: 2, room });
  const greet: Step = { send: [hello], until: answers("welcome") };
  // As the SDK does it: the joins follow the hello at once.
  const enter: Step = { send: [hello, join], until: answers("joined") };
  return {
    name: `roomcast-${form}`,
    label: `Roomcast, ${form === "json" ? "JSON" : "MessagePack"}`,
    sends: "room, previous, offset, name, time; events that are together share a frame",
    path: () => "/v1/socket",
    subprotocol: codec.subprotocol,
    opening: (role) => [role === "publisher" ? greet : enter],
    publish: (id, stampUs) => codec.encode({ type: "publish", id, room, event: EVENT, data: eventData(form, stampUs) }),
    refusal: (payload) => (answers("error")(payload) ? payload.toString() : undefined),
  };
}

const FRAME_NUMBERS: { readonly [type: string]: number } = { welcome: 32, joined: 33, error: 41 };

const socketIo: Dialect = {
  name: "socket-io",
  label: "Socket.IO",
  sends: "packet type, name",
  path: () => "/socket.io/?EIO=4&transport=websocket",
  opening: (role) => {
    const engine: Step = { until: (payload) => payload[0] === 0x30 };
    const connect: Step = { send: ["40"], until: (payload) => payload.subarray(0, 2).toString() === "40" };
    const join: Step = { send: ['420["join"]'], until: (payload) => payload.subarray(0, 3).toString() === "430" };
    return role === "subscriber" ? [engine, connect, join] : [engine, connect];
  },
  publish: (_id, stampUs) => `42${JSON.stringify(["publish", eventData("json", stampUs)])}`,
  beat: { ask: "2", answer: "3" },
};

const dialects: { readonly [name in Contestant]: Dialect } = {
  uws: plain("uws", "plain uWebSockets.js"),
  "roomcast-json": roomcast(json, "json", () => -1),
  "roomcast-msgpack": roomcast(msgpack, "msgpack", (type) => FRAME_NUMBERS[type] ?? -1),
  ws: plain("ws", "ws"),
  "socket-io": socketIo,
};

export function dialectOf(name: Contestant): Dialect {
  return dialects[name];
}

/** Roomcast's JSON, in another room than the others are in. */
export function inRoom(room: string): Dialect {
  return roomcast(json, "json", () => -1, room);
}

/** Roomcast's JSON for a subscriber that joins many rooms, so many at a time. */
export function inRooms(rooms: readonly string[], atOnce: number): Dialect {
  const batches: string[][] = [];
  for (let from = 0; from < rooms.length; from += atOnce) {
    batches.push(rooms.slice(from, from + atOnce).map((room, id) => json.encode({ type: "join", id, room }) as string));
  }
  return {
    ...inRoom(""),
    opening: () => {
      const hello = json.encode({ type: "hello", id: 1 });
      const greet: Step = { send: [hello], until: (payload) => payload.includes('"type":"welcome"') };
      const joins = batches.map((send): Step => {
        let answers = 0;
        return { send, until: (payload) => payload.includes('"type":"joined"') && ++answers === send.length };
      });
      return [greet, ...joins];
    },
  };
}
