/** Where NATS is, and which streams hold rooms: the forms of the settings `nats` and `natsStreams`. */

export type NatsServer = {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** A token, in the place of user and password. */
  readonly token: string | undefined;
};

export type NatsStream = {
  readonly name: string;
  /** How large its part of the rooms is, in comparison with the other streams. */
  readonly weight: number;
};

const ADDRESS = /^(nats|tls):\/\/(?:([^@/?#]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?\/?$/;
const STREAM = /^([A-Za-z0-9_-]{1,64})(?:\?weight=(\d+(?:\.\d+)?))?$/;

/** Throws a `TypeError` that says what was expected, and never repeats the address: there may be a password in it. */
export function parseNatsServer(address: string): NatsServer {
  const [, scheme, login, host, port = "4222"] = ADDRESS.exec(address) ?? [];
  if (host === undefined || Number(port) > 65_535) {
    throw new TypeError("expected an address such as nats://host:4222 or tls://host:4222");
  }
  const colon = login?.indexOf(":") ?? -1;
  const decoded = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw new TypeError("expected a user and a password in percent-encoding");
    }
  };
  return {
    host: host.replace(/^\[|\]$/g, ""),
    port: Number(port),
    tls: scheme === "tls",
    user: login === undefined || colon < 0 ? undefined : decoded(login.slice(0, colon)),
    password: login === undefined || colon < 0 ? undefined : decoded(login.slice(colon + 1)),
    token: login === undefined || colon >= 0 ? undefined : decoded(login),
  };
}

/** Throws a `TypeError` that says what was expected. */
export function parseNatsStream(text: string): NatsStream {
  const [, name, weight = "1"] = STREAM.exec(text) ?? [];
  if (name === undefined || Number(weight) > 1000) {
    throw new TypeError("expected a stream's name of A-Z a-z 0-9 _ -, with its weight if need be: name?weight=2");
  }
  return { name, weight: Number(weight) };
}
