import { once } from "node:events";
import { connect } from "node:net";

/** Resolves once a connection to the port of loopback is open, and ends it. Rejects where nobody listens. */
export async function accepts(port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}
