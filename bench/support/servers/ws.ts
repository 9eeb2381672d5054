/** The `ws` package, as its README broadcasts: one `send` for each client. */
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { reportUsage } from "../usage.js";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
const room = new Set<WebSocket>();

server.on("connection", (socket, request) => {
  socket.on("error", () => socket.terminate());
  if (request.url === "/sub") {
    room.add(socket);
    socket.on("close", () => room.delete(socket));
    return;
  }
  socket.on("message", (data, isBinary) => {
    for (const client of room) if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
  });
});
server.on("listening", () => reportUsage((server.address() as AddressInfo).port));
