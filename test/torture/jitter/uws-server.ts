/** Plain uWebSockets.js: everyone is in one native room, and what a publisher sends goes there by one `publish`. */
import * as uWS from "uWebSockets.js";
import { obey } from "../part.js";

const app = uWS.App();
app.ws("/sub", {
  open: (ws) => {
    ws.subscribe("jitter");
  },
});
app.ws("/pub", {
  message: (_ws, data, isBinary) => {
    app.publish("jitter", data, isBinary);
  },
});
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("uWebSockets.js could not listen");
  obey(() => uWS.us_socket_local_port(socket));
});
