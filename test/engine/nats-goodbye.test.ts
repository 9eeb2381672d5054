import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Circuit } from "../../server/engine/circuit.js";
import { parseNatsServer } from "../../server/engine/nats/address.js";
import { Connection } from "../../server/engine/nats/connection.js";
import { createLog } from "../../server/log.js";
import { startNats } from "../support/services/nats.js";

test("a write to a server that has just said goodbye, and a close right after it, do not end the process", async (t) => {
  const nats = await startNats(t);
  const sockets: Socket[] = [];
  const opened = (opening: unknown) => sockets.push((opening as { socket: Socket }).socket);
  subscribe("net.client.socket", opened);
  t.after(() => unsubscribe("net.client.socket", opened));
  const log = createLog({ level: "silent" });
  const circuit = new Circuit("nats", log);
  const servers = [parseNatsServer(nats.url)];
  const connection = await new Promise<Connection>((resolve) => {
    const made = new Connection(
      { servers, timeoutMs: 1000, probeMs: 1000, log, circuit },
      () => resolve(made),
      () => {},
    );
  });
  t.after(() => connection.close());
  const socket = sockets.find(({ remotePort, destroyed }) => remotePort === nats.port && !destroyed) as Socket;
  const closed = new Promise<void>((resolve) => {
    socket.once("end", () =>
      process.nextTick(() => {
        connection.publish("goodbye", new Uint8Array());
        // After the client has written it, and before the socket has told the error.
        void Promise.resolve()
          .then(() => undefined)
          .then(() => connection.close())
          .then(resolve);
      }),
    );
  });
  await nats.kill("SIGTERM");
  await closed;
  assert.ok(socket.errored);
  // The error is told by now.
  await turn();
});
