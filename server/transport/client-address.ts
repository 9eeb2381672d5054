/** Whose address a request is from: its peer's, or what a trusted load balancer says of it. Pure. */
import { BlockList, isIP } from "node:net";

/** `10.0.0.0/8` or `10.1.2.3`, in its parts. Throws `Error` with what was expected. */
export function parseAddressRange(text: string): { readonly address: string; readonly bits: number } {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const count = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (family === 0 || rest.length > 0 || count < 0 || count > most) {
    throw new Error("expected an IP address, or a range as 10.0.0.0/8");
  }
  return { address, bits: count };
}

/** Believes nobody, or the load balancers of these addresses. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const { address, bits } = parseAddressRange(range);
      this.#list.addSubnet(address, bits, isIP(address) === 6 ? "ipv6" : "ipv4");
    }
  }

  #trusts(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 6 ? "ipv6" : "ipv4");
  }

  /**
   * The address of the client behind a connection from `peer` with this `X-Forwarded-For` ("" for none). Each balancer
   * appends whom it was asked by, so the last entry that is no balancer's own is the client; what stands before it may be made up.
   */
  addressOf(peer: string, forwardedFor: string): string {
    if (this.#isEmpty || forwardedFor === "" || !this.#trusts(peer)) return peer;
    let from = peer;
    for (const entry of forwardedFor.split(",").reverse()) {
      const address = entry.trim();
      if (isIP(address) === 0) return from;
      from = address;
      if (!this.#trusts(address)) return from;
    }
    return from;
  }
}
