import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// Below the range that systems take the ports of outgoing connections from. A client that dials a port of that range
// while its server is down can be given that very port, and then talks to itself.
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** A loopback port that nobody listens on at this moment. Another process may still take it first: see `onFreePort`. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await canListen(port)) return port;
  }
}

/** The program could not listen on its port, because another one does. */
export class PortTaken extends Error {}

/** Calls `start` with a free port, and again with another one when that was taken in the meantime. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === 10) throw error;
    }
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
