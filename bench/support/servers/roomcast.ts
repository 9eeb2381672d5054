/** Roomcast as it comes: every setting at its default, but the port, and how many connections it takes at once. */
import { createServer } from "../../../server/server.js";
import { reportUsage } from "../usage.js";

// A crowd of clients connects as fast as it can, which the other servers do not hold back.
const server = await createServer({ port: 0, logLevel: "error", connectRate: 1_000_000, maxHandshakes: 1_000_000 });
reportUsage(server.port);
