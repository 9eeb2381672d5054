import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";

/** A Lua script, in the words of the server that runs it. */
export type Script = { readonly name: string; readonly source: string; readonly sha: string };

/** In a checkout where they are written, so that no build is older than they are; in a package beside this file. */
function folder(): URL {
  const written = new URL("../../../../server/engine/redis/lua/", import.meta.url);
  return existsSync(written) ? written : new URL("./lua/", import.meta.url);
}

function read(name: string): Script {
  const source = readFileSync(new URL(`${name}.lua`, folder()), "utf8");
  return { name, source, sha: createHash("sha1").update(source).digest("hex") };
}

export const scripts = {
  publish: read("publish"),
  once: read("once"),
  history: read("history"),
  leave: read("leave"),
  adopt: read("adopt"),
  queueAdd: read("queue-add"),
  queueClaim: read("queue-claim"),
  queueSettle: read("queue-settle"),
  recordAppend: read("record-append"),
  recordAfter: read("record-after"),
  recordMarks: read("record-marks"),
  countUp: read("count-up"),
  remembered: read("remembered"),
  presenceWrite: read("presence-write"),
  presenceBeat: read("presence-beat"),
  presenceEnd: read("presence-end"),
  presenceClear: read("presence-clear"),
  ledgerSwap: read("ledger-swap"),
} as const;

export const allScripts: readonly Script[] = Object.values(scripts);
