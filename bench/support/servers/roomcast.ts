/** Roomcast as it comes: every setting at its default, but the port, how many connections it takes at once, and its argument. */
import { createServer, type SettingsInput } from "../../../server/server.js";
import { reportUsage } from "../usage.js";

const given = JSON.parse(process.argv[2] ?? "{}") as SettingsInput;
// A crowd of clients connects as fast as it can, from one address, which the other servers do not hold back.
const crowds = {
  connectRate: 1_000_000,
  maxHandshakes: 1_000_000,
  addressRate: 1_000_000,
  addressConnections: 1_000_000,
};
const server = await createServer({ port: 0, logLevel: "error", ...crowds, ...given });
reportUsage(server.port);
