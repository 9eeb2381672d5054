/** Whose address a request is from: its peer's, or what a trusted load balancer says of it. Pure. */
import { BlockList, isIP, SocketAddress } from "node:net";

/** More balancers than that one behind the other are none; what a header has beyond them is not looked at. */
const MAX_HOPS = 32;
/** Longer than any address with its port and the spaces around it. */
const MAX_ENTRY_LENGTH = 64;
const MAPPED = "::ffff:";
const MAPPED_BITS = 96;

const familyOf = (address: string): "ipv4" | "ipv6" => (isIP(address) === 6 ? "ipv6" : "ipv4");

/**
 * An IP address in the one form it has here: IPv6 short and in lower case (RFC 5952), IPv4 by itself also where it came
 * mapped into IPv6. What is not an address comes back as it is.
 */
export function normalAddress(text: string): string {
  if (isIP(text) !== 6 || text.includes("%")) return text;
  const { address } = new SocketAddress({ address: text, family: "ipv6" });
  return address.startsWith(MAPPED) && isIP(address.slice(MAPPED.length)) === 4
    ? address.slice(MAPPED.length)
    : address;
}

/** `10.0.0.0/8` or `10.1.2.3`, in its parts, as `normalAddress` writes them. Throws `Error` with what was expected. */
export function parseAddressRange(text: string): { readonly address: string; readonly bits: number } {
  const [given = "", bits, ...rest] = text.split("/");
  const most = isIP(given) === 6 ? 128 : 32;
  const count = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (isIP(given) === 0 || given.includes("%") || rest.length > 0 || count < 0 || count > most) {
    throw new Error("expected an IP address, or a range as 10.0.0.0/8");
  }
  const address = normalAddress(given);
  if (most === 32 || isIP(address) === 6) return { address, bits: count };
  // A range of mapped addresses that has others in it as well stays one of IPv6.
  return count < MAPPED_BITS ? { address: MAPPED + address, bits: count } : { address, bits: count - MAPPED_BITS };
}

/** What `forwardedFor` needs of a request of uWebSockets.js. */
type Headers = { forEach(each: (name: string, value: string) => void): void };

/**
 * All `X-Forwarded-For` of a request as one list, "" where it has none. `getHeader` of uWebSockets.js gives the first
 * alone, which may be the client's own, where a balancer appends one of its own instead of writing into what is there.
 */
export function forwardedFor(request: Headers): string {
  const values: string[] = [];
  request.forEach((name, value) => {
    if (name === "x-forwarded-for") values.push(value);
  });
  return values.join(",");
}

/** The address in an entry, which may have a port: `1.2.3.4:5678`, `[::1]:80`. `undefined` for what is none. */
function addressIn(entry: string): string | undefined {
  if (entry.length > MAX_ENTRY_LENGTH) return undefined;
  const text = entry.trim();
  const bare = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text;
  return isIP(bare) === 0 || bare.includes("%") ? undefined : normalAddress(bare);
}

/** The entries of a list from its end, each taken out as it is asked for. */
function* fromTheEnd(list: string): Generator<string> {
  let end = list.length;
  for (let hop = 0; hop < MAX_HOPS && end >= 0; hop++) {
    const comma = end === 0 ? -1 : list.lastIndexOf(",", end - 1);
    yield list.slice(comma + 1, end);
    end = comma;
  }
}

/** Believes nobody, or the load balancers of these addresses. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** Throws `Error` for a range that is none, as `parseAddressRange` does. */
  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const { address, bits } = parseAddressRange(range);
      this.#list.addSubnet(address, bits, familyOf(address));
    }
  }

  /** Whether the address, as `normalAddress` writes it, is a balancer's. */
  trusts(address: string): boolean {
    return !this.#isEmpty && isIP(address) !== 0 && this.#list.check(address, familyOf(address));
  }

  /**
   * The address of the client behind a connection from `peer`, as `normalAddress` writes it. `forwardedFor` gives the
   * request's `X-Forwarded-For` ("" for none), and is asked only where the peer is a balancer. Each balancer appends
   * whom it was asked by, so the last entry that is no balancer's own is the client; what stands before it may be made
   * up. An entry that is no address hides whoever stands there: the balancer that wrote it is as far as anyone knows.
   */
  addressOf(peer: string, forwardedFor: () => string): string {
    let from = normalAddress(peer);
    if (!this.trusts(from)) return from;
    for (const entry of fromTheEnd(forwardedFor())) {
      const address = addressIn(entry);
      if (address === undefined) return from;
      from = address;
      if (!this.trusts(address)) return from;
    }
    return from;
  }
}
