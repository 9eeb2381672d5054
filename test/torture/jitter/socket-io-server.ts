/** Socket.IO with connection state recovery, in its own adapter in memory: everyone is in one room. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { obey } from "../part.js";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
});
io.on("connection", async (socket) => {
  socket.on("publish", (value: unknown) => {
    io.to("jitter").emit("event", value);
  });
  // One that is recovered is in its rooms already.
  if (!socket.recovered) await socket.join("jitter");
});
http.listen(0, "127.0.0.1");
await once(http, "listening");
obey(() => (http.address() as AddressInfo).port);
