/** Plain uWebSockets.js: what a publisher sends goes to everyone in the room, by one `publish`. */
import * as uWS from "uWebSockets.js";
import { reportUsage } from "../usage.js";

const limits = { idleTimeout: 120, maxBackpressure: 64 * 1024 * 1024 } as const;

const app = uWS.App();
app.ws("/sub", {
  ...limits,
  open: (ws) => {
    ws.subscribe("bench");
  },
});
app.ws("/pub", {
  ...limits,
  message: (_ws, data, isBinary) => {
    app.publish("bench", data, isBinary);
  },
});
// What http-publish is held against: a route that reads its body, and answers as much as Roomcast does.
const ANSWER = JSON.stringify({ position: { epoch: "0123456789abcdef", offset: 123_456 } });
app.post("/v1/rooms/:room/events", (response) => {
  const chunks: Buffer[] = [];
  response.onAborted(() => undefined);
  response.onData((chunk, isLast) => {
    chunks.push(Buffer.from(chunk.slice(0)));
    if (!isLast) return;
    Buffer.concat(chunks);
    response.cork(() => {
      response.writeHeader("content-type", "application/json").end(ANSWER);
    });
  });
});
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("uWebSockets.js could not listen");
  reportUsage(uWS.us_socket_local_port(socket));
});
