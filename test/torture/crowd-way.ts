/** One client's way to the nodes: which of them it dials, what becomes of its connections, and cuts. In a crowd's process. */
import { WebSocket } from "ws";
import type { Client } from "../../client/index.js";

/** Of a frame that tells who came and went, as JSON: what it begins with. */
const PRESENCE = '{"type":"presence"';

type Told = { readonly entered: readonly unknown[]; readonly left: readonly unknown[]; readonly all?: boolean };

/** Where nobody listens. */
const NOWHERE = "http://127.0.0.1:1";

export class Way {
  readonly #nextUrl: () => string;
  readonly #presence: boolean;
  #awayUntil = 0;
  #socket: WebSocket | undefined;
  /** How many of its connections have stood. */
  opened = 0;
  /** How long each of these took to open, in milliseconds. */
  readonly openMs: number[] = [];
  /** With which codes these have ended: 1000 where this side closed it, 1006 where it was lost. */
  readonly closes: number[] = [];
  /** Whether the application has been shown another state since it was first connected. */
  isDisturbed = false;
  /** Frames that told of someone who came or went; not those that told of all who are there. */
  memberFrames = 0;
  client: Client | undefined;
  readonly Socket: new (
    url: string,
    protocols: string[],
  ) => WebSocket;

  /** `nextUrl` says where the next connection goes; `presence`: whether frames of who comes and goes are counted. */
  constructor(nextUrl: () => string, presence = false) {
    this.#nextUrl = nextUrl;
    this.#presence = presence;
    const url = () => (Date.now() < this.#awayUntil ? NOWHERE : this.#nextUrl());
    const dialed = (socket: WebSocket) => this.#watch(socket);
    this.Socket = class extends WebSocket {
      constructor(_: string, protocols: string[]) {
        super(`${url().replace("http", "ws")}/v1/socket`, protocols, { perMessageDeflate: false });
        dialed(this);
      }
    };
  }

  #watch(socket: WebSocket): void {
    this.#socket = socket;
    if (this.#presence) this.#countMembers(socket);
    const dialedAt = Date.now();
    socket.once("open", () => {
      this.opened++;
      this.openMs.push(Date.now() - dialedAt);
      socket.once("close", (code) => this.closes.push(code));
    });
  }

  #countMembers(socket: WebSocket): void {
    socket.on("message", (data: Buffer) => {
      if (data.length < PRESENCE.length || data.toString("latin1", 0, PRESENCE.length) !== PRESENCE) return;
      const { entered, left, all } = JSON.parse(data.toString()) as Told;
      if (all !== true && entered.length + left.length > 0) this.memberFrames++;
    });
  }

  /** The node that its client is on. */
  get node(): string | undefined {
    const state = this.client?.state;
    return state?.status === "connected" ? state.node : undefined;
  }

  /** Reads nothing more from the connection that it has, or goes on reading. */
  stall(stalled: boolean): void {
    if (stalled) this.#socket?.pause();
    else this.#socket?.resume();
  }

  cut(forMs: number): void {
    this.#awayUntil = Date.now() + forMs;
    this.#socket?.terminate();
  }
}
