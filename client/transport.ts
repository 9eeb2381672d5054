/** The seam between the client and the network. `testing.ts` has the other side of it. */
import type { Wire } from "../protocol/client-codec.js";

export interface Connection {
  /** Only called after `open`, and before `close` of either side. */
  send(wire: Wire): void;
  /** Ends the connection. The client listens to no further events; it need not wait for the other side. */
  close(code: number, reason: string): void;
}

/** What a transport tells of one connection. `close` comes once, whether or not `open` came before it. */
export interface ConnectionEvents {
  readonly open: () => void;
  message(wire: Wire): void;
  close(code: number, reason: string): void;
}

export interface Transport {
  /** Starts a connection; throws only where it never can succeed. No event may come before it returns. */
  open(url: string, subprotocol: string, events: ConnectionEvents): Connection;
}

/** As much of a standard WebSocket as the client uses: the browser's, Node 22's, React Native's, and the `ws` package's. */
export interface WebSocketLike {
  binaryType: string;
  // biome-ignore-start lint/suspicious/noExplicitAny: each implementation has event types of its own
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: any): void;
  // biome-ignore-end lint/suspicious/noExplicitAny: as above
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;
