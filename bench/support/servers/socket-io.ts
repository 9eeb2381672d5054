/** Socket.IO over WebSockets alone: one `emit` to the room. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { reportUsage } from "../usage.js";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", async (answer: () => void) => {
    await socket.join("bench");
    answer();
  });
  socket.on("publish", (data: unknown) => {
    io.to("bench").emit("event", data);
  });
});
http.listen(0, "127.0.0.1", () => reportUsage((http.address() as AddressInfo).port));
