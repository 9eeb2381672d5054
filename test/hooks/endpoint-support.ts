import type { AddressInfo } from "node:net";
import { createServer as createTcpServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { Addresses } from "../../server/hooks/addresses.js";
import { Endpoint, type EndpointOptions } from "../../server/hooks/endpoint.js";
import type { Unreachable } from "../../server/hooks/unreachable.js";
import { createLog } from "../../server/log.js";
import { hookSecret } from "../support/application.js";

/** An endpoint at the address, with everything of loopback allowed. */
export function endpointAt(t: TestContext, url: string, options: Partial<EndpointOptions> = {}): Endpoint {
  const endpoint = new Endpoint({
    name: "join",
    url: new URL(url),
    secrets: [hookSecret],
    addresses: new Addresses((address) => address === "127.0.0.1"),
    timeoutMs: 10_000,
    maxBytes: 4096,
    concurrency: 100,
    failures: 1000,
    retryMs: 60_000,
    log: createLog({ level: "silent" }),
    ...options,
  });
  t.after(() => endpoint.close());
  return endpoint;
}

/** Asks, for what it is refused with. */
export async function failureOf(endpoint: Endpoint, repeats = false): Promise<Unreachable> {
  try {
    await endpoint.ask("id", "{}", repeats);
  } catch (error) {
    return error as Unreachable;
  }
  throw new Error("expected it to fail");
}

/** A server that does with every connection what it likes; its address. */
export async function tcpServer(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
