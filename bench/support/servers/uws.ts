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
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("uWebSockets.js could not listen");
  reportUsage(uWS.us_socket_local_port(socket));
});
