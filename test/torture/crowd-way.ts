/** One client's way to the nodes: which of them it dials, what becomes of its connections, and cuts. In a crowd's process. */
import { WebSocket } from "ws";
import type { Client } from "../../client/index.js";

/** Where nobody listens. */
const NOWHERE = "http://127.0.0.1:1";

export class Way {
  readonly #nextUrl: () => string;
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
  client: Client | undefined;
  readonly Socket: new (
    url: string,
    protocols: string[],
  ) => WebSocket;

  /** `nextUrl` says where the next connection goes. */
  constructor(nextUrl: () => string) {
    this.#nextUrl = nextUrl;
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
    const dialedAt = Date.now();
    socket.once("open", () => {
      this.opened++;
      this.openMs.push(Date.now() - dialedAt);
      socket.once("close", (code) => this.closes.push(code));
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
