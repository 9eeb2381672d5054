import type { ServerCodec } from "../../protocol/codec.js";
import { jsonServer } from "../../protocol/json-server.js";
import { msgpackServer } from "../../protocol/msgpack-server.js";

/** What of a request decides whether it may become a WebSocket. A header that is missing is "". */
export type UpgradeRequest = {
  readonly upgrade: string;
  readonly connection: string;
  readonly version: string;
  readonly key: string;
  readonly protocols: string;
  readonly origin: string;
  readonly host: string;
};

export type OriginRules = {
  /** Origins let in beside pages of this server's own host, as browsers write them; `*` lets every one in. */
  readonly origins: readonly string[];
  /**
   * The server listens on loopback only: nothing that names another host is let in, and where no origins are listed any
   * page of this machine is.
   */
  readonly loopback: boolean;
};

/** What the client gets instead of a WebSocket. */
export type Refused = { readonly status: string; readonly reason: string };
export type Accepted = { readonly codec: ServerCodec; readonly subprotocol: string | undefined };

export const CODECS: readonly ServerCodec[] = [jsonServer, msgpackServer];
/** 16 bytes in base64 (RFC 6455, 4.1). */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether a host, without its port, is this machine's own loopback. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host) || host === "::1";
}

type Place = { readonly name: string; readonly host: string };
const NOWHERE: Place = { name: "", host: "" };
/** A name or address and a port, and nothing beside them that `URL` would pass over: no user, path or blanks. */
const AUTHORITY = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/;

/** Where `Host: example.org:8000` leads, in lower case; nowhere where it cannot be told. */
function placeOf(host: string, scheme = "http:"): Place {
  const url = AUTHORITY.test(host) && URL.canParse(`${scheme}//${host}`) ? new URL(`${scheme}//${host}`) : undefined;
  return url === undefined ? NOWHERE : { name: url.hostname, host: url.host };
}

/** Where a page of this origin is from. Only what browsers load pages from over the network has a host of its own. */
function placeOfPage(origin: string): Place {
  const [, scheme, host = ""] = /^(https?:)\/\/(.*)$/.exec(origin) ?? [];
  return scheme === undefined ? NOWHERE : placeOf(host, scheme);
}

/**
 * Whether a page of this origin may connect. A request without one is no browser's, and says nothing. On loopback the
 * `Host` must be of this machine too: else any page could have its own name resolve to 127.0.0.1 and be "the same host".
 */
export function originAllowed(origin: string, host: string, rules: OriginRules): boolean {
  if (last.origin !== origin || last.host !== host || last.rules !== rules) {
    last = { origin, host, rules, allowed: decideOrigin(origin, host, rules) };
  }
  return last.allowed;
}

/** The last decision: one application's clients all come from one page, or from none, and parsing names takes its time. */
let last = { origin: "", host: "", rules: undefined as OriginRules | undefined, allowed: false };

function decideOrigin(origin: string, host: string, rules: OriginRules): boolean {
  const here = placeOf(host);
  if (rules.loopback && !isLoopback(here.name)) return false;
  if (origin === "" || rules.origins.includes("*")) return true;
  // Browsers write nothing else; and beyond ASCII letters become others as they are made small.
  if (!/^[\x21-\x7e]+$/.test(origin)) return false;
  const given = origin.toLowerCase();
  if (rules.origins.includes(given)) return true;
  const there = placeOfPage(given);
  if (there.host === "") return false;
  if (there.host === here.host) return true;
  return rules.loopback && rules.origins.length === 0 && isLoopback(there.name);
}

const bad = (reason: string): Refused => ({ status: "400 Bad Request", reason });

/** Decides about an upgrade. uWebSockets.js itself lets nearly everything through. */
export function decideUpgrade(request: UpgradeRequest, rules: OriginRules): Accepted | Refused {
  if (request.upgrade.toLowerCase() !== "websocket") return bad("upgrade: expected websocket");
  // The token must be there: with `Connection: close` the native code would have a socket that is already ending.
  if (!/(^|[\s,])upgrade($|[\s,])/i.test(request.connection)) return bad("connection: expected Upgrade");
  if (/(^|[\s,])close($|[\s,])/i.test(request.connection)) return bad("connection: expected Upgrade without close");
  if (request.version !== "13") return { status: "426 Upgrade Required", reason: "sec-websocket-version: expected 13" };
  if (!KEY.test(request.key)) return bad("sec-websocket-key: expected 16 bytes in base64");
  if (!originAllowed(request.origin, request.host, rules)) {
    return { status: "403 Forbidden", reason: "origin: expected one that this server lets in" };
  }
  // What nearly every client offers, without taking it apart.
  const only = CODECS.find((known) => known.subprotocol === request.protocols);
  if (only !== undefined) return { codec: only, subprotocol: only.subprotocol };
  const offered = request.protocols
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (offered.length === 0) return { codec: jsonServer, subprotocol: undefined };
  for (const name of offered) {
    const codec = CODECS.find((known) => known.subprotocol === name);
    if (codec !== undefined) return { codec, subprotocol: name };
  }
  return bad(`sec-websocket-protocol: expected one of ${CODECS.map((codec) => codec.subprotocol).join(", ")}`);
}
