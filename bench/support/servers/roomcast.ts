/** Roomcast as it comes: every setting at its default, but the port, how much it takes of one client, and its argument. */
import { createServer, type SettingsInput } from "../../../server/server.js";
import { reportUsage } from "../usage.js";

const given = JSON.parse(process.argv[2] ?? "{}") as SettingsInput;
// A crowd of clients connects and publishes as fast as it can, from one address, which the other servers do not hold back.
const crowds = {
  connectRate: 1_000_000,
  maxHandshakes: 1_000_000,
  addressRate: 1_000_000,
  addressConnections: 1_000_000,
  requestRate: 1_000_000,
  byteRate: 1_073_741_824,
  kinds: { ...given.kinds, "*": { publishRate: 1_000_000, ...given.kinds?.["*"] } },
};
const server = await createServer({ port: 0, logLevel: "error", ...crowds, ...given, kinds: crowds.kinds });
reportUsage(server.port);
