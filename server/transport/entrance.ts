/** Who may come in: one door for WebSockets, streams and requests of clients, so that every limit counts them together. */
import {
  AddressLimits,
  type AddressReason,
  type AddressSettings,
  type AddressUse,
} from "../access/limits/address-limits.js";
import type { Sessions } from "../session/sessions.js";
import { Admission, type AdmissionLimits, type RefusalReason, type Refused } from "./admission.js";
import { TrustedProxies } from "./client-address.js";

export type EntranceOptions = AdmissionLimits &
  AddressSettings & {
    /** The load balancers whose `X-Forwarded-For` is believed, as addresses and ranges. */
    readonly trustProxy: readonly string[];
  };

/** Why nobody was let in. */
export type TurnedAway = RefusalReason | AddressReason | "draining";

/** One that is not let in. */
export type NotLetIn = {
  readonly reason: TurnedAway;
  /** Milliseconds until it makes sense to try again. */
  readonly retryMs: number;
  /** Whether it is told over a WebSocket, which a browser can read: else over HTTP. */
  readonly accept: boolean;
};

/** One that asked to come in. Who is let in is to be given to `entered`, whoever it is. */
export type Guest = {
  /** The client's address, as `normalAddress` writes it. */
  readonly address: string;
  readonly refused: NotLetIn | undefined;
  /** Where it counts among its address's; nowhere if it is refused, or a balancer's. */
  readonly use: AddressUse | undefined;
};

/** How often is told of addresses that are refused, in milliseconds. */
const TELL_AGAIN_MS = 60_000;
/** A node that is starting or ending: another one takes who comes back. */
const ELSEWHERE_MS = 1000;

/** What whoever asks by hand is told. */
export const REFUSALS: { readonly [reason in TurnedAway]: string } = {
  rate: "too many connections in too short a time: come back later",
  handshakes: "too many connections that have not been welcomed yet: come back later",
  full: "as many connections as this server takes are open",
  address_rate: "too many connections from your address in too short a time (addressRate): come back later",
  address_connections: "as many connections from your address as are taken (addressConnections) are open",
  draining: "this node is starting or ending: connect again, and come to another",
};

export class Entrance {
  readonly #options: EntranceOptions;
  readonly #trusted: TrustedProxies;
  #sessions: Sessions | undefined;
  #taking = true;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Says who may connect, and counts who may not. */
  readonly admission: Admission;
  /** The same, by address. */
  readonly addresses: AddressLimits;
  /** Called now and then while connections of an address are refused: an attack, or a balancer that nobody told of. */
  onCrowdedAddress: (address: string, reason: AddressReason) => void = () => undefined;
  /** How many connections were refused since this node takes none any more. */
  turnedAway = 0;
  /** How many are in: WebSockets and streams that are open, and requests of clients under way. */
  open = 0;

  constructor(options: EntranceOptions) {
    this.#options = options;
    this.#trusted = new TrustedProxies(options.trustProxy);
    this.admission = new Admission(options);
    this.addresses = new AddressLimits(options);
  }

  /** How many connections were not taken, by why. */
  get refused(): Readonly<Record<TurnedAway, number>> {
    return { ...this.admission.refused, ...this.addresses.refused, draining: this.turnedAway };
  }

  /** Begins to take connections. */
  start(sessions: Sessions): void {
    this.#sessions = sessions;
  }

  /** Refuses new connections from now on: a balancer may still have one for them. */
  stopTaking(): void {
    this.#taking = false;
  }

  /**
   * Whether one more may come in; first by its address, so that one address alone keeps no others out. `peer` is the other
   * end of the connection, and never what a PROXY protocol header says: any client can send one.
   */
  admit(peer: string, forwardedFor: () => string): Guest {
    const sessions = this.#sessions;
    if (sessions === undefined || !this.#taking) {
      this.turnedAway++;
      return {
        address: peer,
        refused: { reason: "draining", retryMs: ELSEWHERE_MS, accept: false },
        use: undefined,
      };
    }
    const address = this.#trusted.addressOf(peer, forwardedFor);
    const now = performance.now();
    // What came through a balancer that does not say from where: everyone behind it would be one.
    const use = this.#trusted.trusts(address) ? undefined : this.addresses.find(address);
    const byAddress = use && this.addresses.refuse(use, now);
    if (byAddress !== undefined) {
      this.#tellOfAddress(address, byAddress.reason, now);
      return { address, refused: byAddress, use: undefined };
    }
    const refused = this.#byNode(sessions, now);
    return { address, refused, use: refused === undefined ? use : undefined };
  }

  #byNode(sessions: Sessions, now: number): Refused | undefined {
    if (sessions.handshakes >= this.#options.maxHandshakes) sessions.giveWay();
    return this.admission.refuse(now, this.open, sessions.handshakes);
  }

  /** Counts one that came in; `left` is to be called once with what this gives. */
  entered(use: AddressUse | undefined): AddressUse | undefined {
    this.open++;
    return use && this.addresses.take(use, performance.now());
  }

  left(use: AddressUse | undefined): void {
    this.open--;
    if (use !== undefined) this.addresses.left(use, performance.now());
  }

  /** Forgets addresses that nobody needs any more. To be called now and then. */
  sweep(): void {
    this.addresses.sweep(performance.now());
  }

  /** Whoever runs the server should know, and not each time. */
  #tellOfAddress(address: string, reason: AddressReason, now: number): void {
    if (now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    this.onCrowdedAddress(address, reason);
  }
}
