/** Bytes, and small harm to them. */
import type { Random } from "../support/random.js";

/** What has a meaning to one reader or another. */
const PIECES: readonly string[] = [
  ...[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\0",
    "\x7f",
    "\x80",
    "\xff",
    "%00",
    "..",
    "//",
    "?",
    "#",
    "*",
  ],
  ...["{", "}", "[", "]", '"', "\\", "\\u0000", "\\ud800", '"__proto__":', "null", "1e999", "-0", "é"],
  ...["\x90", "\x9f", "\x80", "\xc0", "\xc1", "\xc4", "\xc7", "\xca", "\xd3", "\xd4", "\xd9", "\xdb", "\xdd", "\xdf"],
  ...[
    "HTTP/1.1",
    "GET ",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Upgrade: websocket\r\n",
  ],
];

/** The same bytes with a byte changed, or a piece of them cut, repeated, moved or put in between. */
export function mutated(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1);
  const end = at + random.below(Math.min(40, bytes.length - at) + 1);
  const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  switch (random.below(8)) {
    case 0:
    case 1: {
      const changed = Buffer.from(bytes);
      if (at < changed.length)
        changed[at] = random.chance(0.5) ? random.below(256) : (changed[at] as number) ^ (1 << random.below(8));
      return changed;
    }
    case 2:
      return Buffer.concat([before, after]);
    case 3:
      return Buffer.concat([before, piece, piece, after]);
    case 4:
      return Buffer.concat([piece, before, after]);
    case 5:
      return random.chance(0.3) ? before : Buffer.concat([before, after]);
    default:
      return Buffer.concat([before, Buffer.from(random.pick(PIECES), "latin1"), bytes.subarray(at)]);
  }
}

/** The same bytes with less and less left out: halves, quarters, down to single ones where there are few. */
export function* shorter(bytes: Buffer): Generator<Buffer> {
  for (let size = Math.ceil(bytes.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    if (bytes.length / size > 64) return;
    for (let at = 0; at < bytes.length; at += size) {
      yield Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
    }
  }
}
