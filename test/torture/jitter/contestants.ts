/** The three clients, each as its users write it, over the same network. Runs in a process of clients. */
import { io, NodeWebSocket, type Socket } from "socket.io-client";
import { type ClientOptions, WebSocket } from "ws";
import { connect } from "../../../client/index.js";
import { BySdk, type Manner } from "../crowd-publisher.js";
import { Subscriber, type Value } from "../crowd-subscriber.js";
import { type PackedLog, packEntry, type Words } from "../packed.js";
import type { Contestant } from "./orders.js";
import type { Way } from "./way.js";

export const ROOM = "jitter:1";
/** Replaced by the way's own. */
const URL = "http://127.0.0.1:1";

export interface Participant {
  /** 1 while it is connected and in the room. */
  readonly joined: number;
  readonly deliveries: number;
  readonly unrecovered: number;
  logs(): readonly PackedLog[];
}

export type Side = {
  subscriber(name: string, way: Way, epochs: Words): Participant;
  publisher(way: Way): Manner;
};

/** Writes down what a client without positions is given. */
class Notes {
  readonly #name: string;
  readonly #epochs: Words;
  readonly #entries: number[] = [];
  deliveries = 0;

  constructor(name: string, epochs: Words) {
    this.#name = name;
    this.#epochs = epochs;
  }

  joined(): void {
    this.#entries.push(...packEntry({ type: "joined", at: Date.now(), position: undefined }, this.#epochs));
  }

  event({ p, n }: Value): void {
    this.deliveries++;
    const event = { type: "event", at: Date.now(), epoch: "", offset: 0, publisher: p, counter: n } as const;
    this.#entries.push(...packEntry(event, this.#epochs));
  }

  logs(): PackedLog[] {
    return [{ subscriber: this.#name, room: ROOM, stayed: true, entries: this.#entries }];
  }
}

const optionsOf = (way: Way): ClientOptions => ({
  perMessageDeflate: false,
  ...{ createConnection: way.dial },
});

const socketOf = (way: Way) =>
  class extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, optionsOf(way));
    }
  };

const roomcast: Side = {
  subscriber(name, way, epochs) {
    const client = connect(URL, { WebSocket: socketOf(way) });
    const subscriber = new Subscriber(name, client, epochs);
    subscriber.watch(client.room(ROOM), {});
    return Object.assign(subscriber, { unrecovered: 0 });
  },
  publisher: (way) => new BySdk(connect(URL, { WebSocket: socketOf(way) })),
};

/** How long a careful user of a plain WebSocket waits before the next attempt: short, and not all at the same time. */
const retryMs = (): number => 250 + Math.random() * 500;

/** Reconnects as users of plain WebSockets write it by hand. */
class PlainClient implements Participant {
  readonly #way: Way;
  readonly #notes: Notes;
  readonly unrecovered = 0;
  joined = 0;

  constructor(name: string, way: Way, epochs: Words) {
    this.#way = way;
    this.#notes = new Notes(name, epochs);
    this.#connect();
  }

  #connect(): void {
    const socket = new WebSocket(`${URL.replace("http", "ws")}/sub`, optionsOf(this.#way));
    socket.on("open", () => {
      this.joined = 1;
      this.#notes.joined();
    });
    socket.on("message", (data: Buffer) => this.#notes.event(JSON.parse(data.toString()) as Value));
    // `close` follows.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.joined = 0;
      setTimeout(() => this.#connect(), retryMs());
    });
  }

  get deliveries(): number {
    return this.#notes.deliveries;
  }

  logs(): readonly PackedLog[] {
    return this.#notes.logs();
  }
}

/** Both send to a server that answers nothing: what was sent counts as published. */
const sent = { outcome: "acknowledged" } as const;

const uws: Side = {
  subscriber: (name, way, epochs) => new PlainClient(name, way, epochs),
  publisher(way) {
    const socket = new WebSocket(`${URL.replace("http", "ws")}/pub`, optionsOf(way));
    const open = new Promise<void>((resolve) => socket.once("open", resolve));
    return {
      async publish(_room, value) {
        await open;
        socket.send(JSON.stringify(value));
        return sent;
      },
      close: () => socket.terminate(),
    };
  },
};

/** Socket.IO's client with its own defaults, but for the transport: WebSocket alone, over the way. */
function openSocketIo(way: Way): Socket {
  // An agent would make connections of its own.
  const dialing = { agent: undefined, createConnection: way.dial };
  class Transport extends NodeWebSocket {
    override createSocket(uri: string, protocols: string | string[] | undefined, options: object): unknown {
      return super.createSocket(uri, protocols, { ...options, ...dialing });
    }
  }
  return io(URL, { forceNew: true, transports: [Transport] });
}

const socketIo: Side = {
  subscriber(name, way, epochs) {
    const notes = new Notes(name, epochs);
    const socket = openSocketIo(way);
    let isFirst = true;
    let unrecovered = 0;
    socket.on("connect", () => {
      notes.joined();
      if (!isFirst && !socket.recovered) unrecovered++;
      isFirst = false;
    });
    socket.on("event", (value: Value) => notes.event(value));
    return {
      get joined() {
        return Number(socket.connected);
      },
      get deliveries() {
        return notes.deliveries;
      },
      get unrecovered() {
        return unrecovered;
      },
      logs: () => notes.logs(),
    };
  },
  publisher(way) {
    const socket = openSocketIo(way);
    return {
      publish(_room, value) {
        socket.emit("publish", value);
        return Promise.resolve(sent);
      },
      close: () => socket.close(),
    };
  },
};

export const sides: { readonly [name in Contestant]: Side } = {
  Roomcast: roomcast,
  "plain uWS": uws,
  "Socket.IO": socketIo,
};
