/** The slots of a Redis Cluster: which one a name is in, and who holds it, as servers say it. Pure. */
import type { Host } from "./address.js";
import type { Reply } from "./wire.js";

export const SLOTS = 16_384;

/** CRC16-CCITT (XMODEM): polynomial 0x1021, from 0, nothing reflected. */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
  return crc & 0xffff;
});

/** The CRC16 of ASCII text, as in https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (appendix A). */
export function crc16(text: string): number {
  let crc = 0;
  for (let index = 0; index < text.length; index++) {
    crc = ((crc << 8) & 0xffff) ^ (TABLE[((crc >> 8) ^ text.charCodeAt(index)) & 0xff] as number);
  }
  return crc;
}

/**
 * The slot of an ASCII name, from 0 to 16383: of what stands between its first `{` and the next `}`, where that is
 * something, else of all of it (same document, "Hash tags").
 */
export function slotOf(name: string): number {
  const open = name.indexOf("{");
  const close = open < 0 ? -1 : name.indexOf("}", open + 1);
  return crc16(close > open + 1 ? name.slice(open + 1, close) : name) % SLOTS;
}

/** Slots in a row, and who holds them. */
export type Range = {
  readonly from: number;
  readonly to: number;
  readonly primary: Host;
  readonly replicas: readonly Host[];
};

/**
 * Reads what `CLUSTER SLOTS` answers. A server that does not say its host is to be found where `asked` was. Throws a
 * `TypeError` where it is no such answer.
 */
export function readSlots(reply: Reply, asked: Host): readonly Range[] {
  if (!Array.isArray(reply)) throw new TypeError("CLUSTER SLOTS: expected a list");
  return reply.map((range) => {
    if (!Array.isArray(range)) throw new TypeError("CLUSTER SLOTS: expected lists in the list");
    const [from, to, primary, ...replicas] = range;
    if (!isSlot(from) || !isSlot(to) || from > to) throw new TypeError("CLUSTER SLOTS: expected slots");
    return { from, to, primary: readHost(primary, asked), replicas: replicas.map((each) => readHost(each, asked)) };
  });
}

const isSlot = (value: Reply | undefined): value is number => typeof value === "number" && value >= 0 && value < SLOTS;

function readHost(reply: Reply | undefined, asked: Host): Host {
  const [name, port] = Array.isArray(reply) ? reply : [];
  if (typeof port !== "number") throw new TypeError("CLUSTER SLOTS: expected servers");
  return hostOf(Buffer.isBuffer(name) ? name.toString("latin1") : "", port, asked);
}

/** "" and "?": the server does not know what it is called from outside. */
const hostOf = (name: string, port: number, asked: Host): Host => ({
  host: name === "" || name === "?" ? asked.host : name,
  port,
});

/** Where a server says that a slot is: for good, or for what it does not have any more while the slot moves. */
export type Redirect = { readonly isMoved: boolean; readonly slot: number; readonly to: Host };

const REDIRECT = /^(MOVED|ASK) ([0-9]{1,5}) (.*):([0-9]{1,5})$/;

/** Reads an error as `MOVED 3999 127.0.0.1:6381`, which came from the server at `asked`; `undefined` where it is none. */
export function readRedirect(reply: string, asked: Host): Redirect | undefined {
  const [, word, slot, host = "", port] = REDIRECT.exec(reply) ?? [];
  if (word === undefined || !isSlot(Number(slot))) return undefined;
  return { isMoved: word === "MOVED", slot: Number(slot), to: hostOf(host, Number(port), asked) };
}

/** What a server says of its Cluster. */
export type State = {
  /** Whether it takes calls. */
  readonly isOk: boolean;
  /** The later of two states has the higher one. */
  readonly epoch: number;
};

/** Reads what `CLUSTER INFO` answers. */
export function readState(reply: Reply): State {
  const text = Buffer.isBuffer(reply) ? reply.toString("latin1") : "";
  return {
    isOk: /^cluster_state:ok\r?$/m.test(text),
    epoch: Number(/^cluster_current_epoch:([0-9]+)\r?$/m.exec(text)?.[1] ?? 0),
  };
}
