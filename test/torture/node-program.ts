/** A node in a process of its own: run by `NodeProcess`. Its settings are the first argument, as JSON. */
import { createServer, type SettingsInput } from "../../server/server.js";

const settings = JSON.parse(process.argv[2] ?? "{}") as SettingsInput;
const server = await createServer(settings);
process.on("SIGTERM", () => {
  void server.close().then(() => process.disconnect());
});
process.on("disconnect", () => void server.close());
process.send?.({ port: server.port });
