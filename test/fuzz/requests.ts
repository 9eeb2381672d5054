/** HTTP requests that are nearly right: what a proxy, a scanner or an attacker writes. */
import type { Random } from "../support/random.js";

export type Header = readonly [name: string, value: string];

const UPGRADE: readonly Header[] = [
  ["Host", "127.0.0.1"],
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"],
  ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
  ["Sec-WebSocket-Version", "13"],
];

/** What stands in place of a right value, by the header's name; "" is for any header. */
const VALUES: { readonly [name: string]: readonly string[] } = {
  Host: ["", "localhost", "evil.example", "127.0.0.1:1", "[::1]", "a@127.0.0.1", "127.0.0.1, evil", "x".repeat(300)],
  Upgrade: ["WebSocket", "websocket, h2c", "h2c", "websocket\t", "websocketx"],
  Connection: ["close", "keep-alive", "keep-alive, Upgrade", "Upgrade, close", "UPGRADE", "upgrade;q=0", "Upgrade,,"],
  "Sec-WebSocket-Key": ["", "x", "AAAAAAAAAAAAAAAAAAAAAA==", "A".repeat(24), "dGhlIHNhbXBsZSBub25jZQ==, dGhl"],
  "Sec-WebSocket-Version": ["12", "8", "013", "13, 12", "1e1", "13.0"],
  "": ["", " ", "\t", "\0", "ä", "\xff\xfe", "a\rb", "a\n b", "x".repeat(5000), '"', "%0d%0a"],
};

const MORE: readonly Header[] = [
  ["Origin", "https://evil.example"],
  ["Origin", "null"],
  ["Origin", ""],
  ["Sec-WebSocket-Protocol", "roomcast.v1.json"],
  ["Sec-WebSocket-Protocol", "roomcast.v1.msgpack"],
  ["Sec-WebSocket-Protocol", "mqtt, roomcast.v1.json,,"],
  ["Sec-WebSocket-Protocol", "roomcast.v2.json"],
  ["Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=99"],
  ["Sec-WebSocket-Extensions", "permessage-deflate"],
  ["X-Forwarded-For", "1.2.3.4, ::, %"],
  ["X-Forwarded-For", "[::1%eth0]:80, [::ffff:1.2.3.4"],
  ["X-Forwarded-For", "::ffff:999.1.1.1, ::ffff:1.2.3.4, 1.2.3.4:99999"],
  ["X-Forwarded-For", "fe80::1%1, 2001:DB8::0001, 127.0.0.1"],
  ["X-Forwarded-For", ",".repeat(500)],
  ["Content-Length", "0"],
  ["Content-Length", "5"],
  ["Content-Length", "-1"],
  ["Content-Length", "99999999999999999999"],
  ["Transfer-Encoding", "chunked"],
  ["Transfer-Encoding", "gzip, chunked"],
  ["Expect", "100-continue"],
  ["Connection", "close"],
  ["Connection", "Upgrade"],
  ["Cookie", "a=b"],
  ["Range", "bytes=0-99999999"],
  ["Host", "evil.example"],
  ["", "x"],
  [" X", "x"],
  ["X Y", "x"],
];

const METHODS = [
  "GET",
  "GET",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "PRI",
  "get",
  "G",
  "",
  "\0",
  "X".repeat(100),
];
const PATHS = [
  ...[
    "/",
    "/live",
    "/ready",
    "/ready/memory",
    "/metrics",
    "/v1/client.js",
    "/v1/socket",
    "/assets/",
    "/nothing",
    "/favicon.ico",
  ],
  ...[
    "*",
    "",
    "//",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/assets/..%2f..%2fpackage.json",
    "/live/",
    "/live?x=1",
  ],
  ...[
    "/live#x",
    "/LIVE",
    "/v1/socket?token=x",
    "/v1//socket",
    "http://127.0.0.1/live",
    "evil.example:443",
    "/\0",
    "/\xff",
    "/%",
    "/%zz",
    "/__proto__",
    "/constructor",
  ],
];
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "HTTP/0.9",
  "HTTP/1.2",
  "http/1.1",
  "HTTP/1.1 ",
  "HTTP/",
  "",
];

const cases = (text: string, random: Random): string =>
  [...text].map((letter) => (random.chance(0.3) ? letter.toUpperCase() : letter.toLowerCase())).join("");

function headerLines(random: Random, right: readonly Header[], harm: number): string[] {
  let headers = [...right];
  if (random.chance(0.5)) headers.push(random.pick(MORE));
  while (random.chance(harm)) {
    const at = random.below(headers.length);
    const [name, value] = headers[at] ?? ["X", ""];
    const kind = random.below(6);
    if (kind === 0) headers = headers.filter((_, index) => index !== at);
    if (kind === 1) headers[at] = [name, random.pick([...(VALUES[name] ?? []), ...(VALUES[""] ?? [])])];
    if (kind === 2) headers.push([name, random.pick(VALUES[name] ?? [value])]);
    if (kind === 3) headers.splice(at, 0, random.pick(MORE));
    if (kind === 4) headers[at] = [cases(name, random), value];
    if (kind === 5) headers.push(...headers.splice(0, at));
  }
  if (random.chance(harm / 10))
    headers.push(...Array.from({ length: random.below(120) }, (_, n): Header => [`X-${n}`, "y"]));
  return headers.map(
    ([name, value]) => `${name}${random.chance(harm / 4) ? random.pick([" :", ":", ":\t", " ", ""]) : ": "}${value}`,
  );
}

/** A request to open a WebSocket: a right one, or with `harm` (from 0 to below 1) less and less so. */
export function upgradeRequest(random: Random, harm: number): string {
  const path = random.chance(harm / 4) ? random.pick(PATHS) : "/v1/socket";
  const method = random.chance(harm / 8) ? random.pick(METHODS) : "GET";
  const version = random.chance(harm / 8) ? random.pick(VERSIONS) : "HTTP/1.1";
  const newLine = random.chance(harm / 8) ? random.pick(["\n", "\r", "\r\r\n"]) : "\r\n";
  return `${method} ${path} ${version}${newLine}${headerLines(random, UPGRADE, harm).join(newLine)}${newLine}${newLine}`;
}

const BODIES = [
  "",
  "x",
  "hello",
  "5\r\nhello\r\n0\r\n\r\n",
  "0\r\n\r\n",
  "ffffffffffffffff\r\n",
  "-1\r\nx",
  "5;x=y\r\nhello\r\n",
  "GET / HTTP/1.1\r\n\r\n",
  "x".repeat(20_000),
];

/** Any request, most of them nearly right. */
export function plainRequest(random: Random): string {
  const harm = random.pick([0, 0.3, 0.7]);
  const long = random.chance(0.02) ? `/${"a".repeat(random.below(100_000))}` : "";
  const first = [random.pick(METHODS), random.pick(PATHS) + long, random.pick(VERSIONS)];
  const headers = headerLines(random, [["Host", "127.0.0.1"]], harm);
  const body = random.chance(0.4) ? random.pick(BODIES) : "";
  if (body !== "" && random.chance(0.7)) {
    headers.push(
      random.chance(0.5)
        ? `Content-Length: ${body.length + random.pick([0, 0, 0, -1, 1, 100])}`
        : "Transfer-Encoding: chunked",
    );
  }
  return `${first.join(random.chance(0.9) ? " " : random.pick(["  ", "\t", ""]))}\r\n${headers.join("\r\n")}\r\n\r\n${body}`;
}
