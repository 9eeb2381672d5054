/** What a server may say to bytes from anyone. The rules are written anew here, and shared with no code of the server. */
import { json } from "../../protocol/json.js";
import { msgpack } from "../../protocol/msgpack.js";

/** Those that the server or the library answer with; 500 would be a fault of the server's own. */
const STATUSES: ReadonlySet<number> = new Set([
  100, 101, 200, 400, 403, 404, 405, 408, 411, 413, 414, 426, 431, 501, 503, 505,
]);
/** Why a connection may be closed; the first thousand are the native code's. */
const CLOSE_CODES: ReadonlySet<number> = new Set([
  1000, 1002, 1003, 1005, 1006, 1007, 1009, 4010, 4029, 4200, 4202, 4203,
]);

const CLOSE = 8;

/**
 * Without all of these in what was sent, there is nothing to upgrade. The library takes bytes above 127 at the ends of a
 * header for blanks.
 */
const NEEDED: readonly RegExp[] = [
  /GET [^ ]*\/v1\/socket/,
  /upgrade[ \t]*:[^!-~]*websocket/i,
  /connection[ \t]*:[^\r\n]*upgrade/i,
  /sec-websocket-version[ \t]*:[^!-~]*13/i,
  /sec-websocket-key[ \t]*:[^!-~]*[A-Za-z0-9+/]{22}==/i,
];

/** What is wrong with what came back on a connection; `undefined` where nothing is. */
export function judge(sent: Buffer, received: Buffer): string | undefined {
  const text = sent.toString("latin1");
  let rest = received;
  while (rest.length > 0) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) return `an answer without an end: ${excerpt(rest)}`;
    const head = rest.subarray(0, end).toString("latin1");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    if (!STATUSES.has(status)) return `answered ${excerpt(rest)}`;
    rest = rest.subarray(end + 4);
    if (status === 100) continue;
    if (status === 101) return judgeUpgrade(text, head) ?? judgeFrames(rest, sent, /\.msgpack\r?$/im.test(head));
    if (status === 200 && !/(GET|HEAD) /i.test(text)) return "200 without a GET";
    rest = withoutBody(rest, head);
  }
  return undefined;
}

/** An answer to HEAD gives a length, and has no body. */
function withoutBody(rest: Buffer, head: string): Buffer {
  if (rest.length === 0 || rest.subarray(0, 9).toString("latin1") === "HTTP/1.1 ") return rest;
  return rest.subarray(Number(/^content-length: (\d+)\r?$/im.exec(head)?.[1] ?? rest.length));
}

function judgeUpgrade(sent: string, head: string): string | undefined {
  const missing = NEEDED.find((needed) => !needed.test(sent));
  if (missing !== undefined) return `101 to what has no ${missing.source}`;
  return /sec-websocket-extensions/i.test(head) ? "an extension was agreed on" : undefined;
}

function judgeFrames(received: Buffer, sent: Buffer, isMsgpack: boolean): string | undefined {
  let rest = received;
  while (rest.length >= 2) {
    const [first = 0, second = 0] = rest;
    if ((first & 0xf0) !== 0x80 || (second & 0x80) !== 0) return `a frame that is none: ${excerpt(rest)}`;
    const short = second & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    if (rest.length < 2 + lengthBytes) return `half a frame: ${excerpt(rest)}`;
    const length =
      lengthBytes === 0 ? short : lengthBytes === 2 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
    const payload = rest.subarray(2 + lengthBytes, 2 + lengthBytes + length);
    if (payload.length < length) return `half a frame: ${excerpt(rest)}`;
    const what = (first & 0x0f) === CLOSE ? judgeClose(payload, sent) : judgeFrame(first & 0x0f, payload, isMsgpack);
    if (what !== undefined) return what;
    rest = rest.subarray(2 + lengthBytes + length);
    if ((first & 0x0f) === CLOSE && rest.length > 0) return "something behind a close";
  }
  return rest.length > 0 ? "half a frame at the end" : undefined;
}

/** Who closes is answered with the code that it gave. */
function judgeClose(payload: Buffer, sent: Buffer): string | undefined {
  const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
  return CLOSE_CODES.has(code) || sent.includes(0x80 | CLOSE) ? undefined : `closed with ${code}`;
}

function judgeFrame(opcode: number, payload: Buffer, isMsgpack: boolean): string | undefined {
  if (opcode === 9 || opcode === 10) return undefined;
  if (opcode !== (isMsgpack ? 2 : 1)) return `a frame of opcode ${opcode}`;
  try {
    const frame = isMsgpack ? msgpack.decode(payload) : json.decode(payload.toString());
    if (frame === undefined) return `a frame that no client knows: ${excerpt(payload)}`;
    return frame.type === "error" && frame.code === "internal" ? `the server failed: ${excerpt(payload)}` : undefined;
  } catch (error) {
    return `a frame that no client can read (${String(error)}): ${excerpt(payload)}`;
  }
}

const excerpt = (bytes: Buffer): string => JSON.stringify(bytes.subarray(0, 120).toString("latin1"));
