/** Roomcast as it comes: every setting at its default, but the port. */
import { createServer } from "../../../server/server.js";
import { reportUsage } from "../usage.js";

const server = await createServer({ port: 0, logLevel: "error" });
reportUsage(server.port);
