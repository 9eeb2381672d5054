/** Clients of tenants, each with a record of every byte it was sent: nothing of whose they are may be in it. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { TestContext } from "node:test";
import type { ClientCodec } from "../../protocol/client-codec.js";
import type { ServerFrame } from "../../protocol/frames.js";
import { WsClient } from "./ws-client.js";

export const SECRET = "the secret of all tenants' tokens, 32 or more";
/** So odd that it is found wherever it is. */
export const TENANTS = ["tenant-Zebra", "tenant-Quagga"] as const;
export type Tenant = (typeof TENANTS)[number] | undefined;
/** Both tenants, and whoever has none. */
export const everyTenant: readonly Tenant[] = [...TENANTS, undefined];

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token (HS256) with these claims, good for an hour where they do not say. */
export function tokenOf(claims: { readonly [claim: string]: unknown }): string {
  const body = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
}

/** As tokens have it, and as `server.publish` and others take it. */
export const ofTenant = (tenant: Tenant): { tenant?: string } => (tenant === undefined ? {} : { tenant });

/** Everything that clients were sent. */
export class Recording {
  readonly #texts: string[] = [];

  /** Takes every frame that the client is sent from now on: as it came, or what was in it where that was binary. */
  of(client: WsClient): void {
    client.socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.#texts.push(isBinary ? JSON.stringify(client.codec.decode(data)) : data.toString());
    });
  }

  /** Holds that no frame says whose rooms these are; what the client cannot read without taking it apart included. */
  saysNothing(): void {
    assert.ok(this.#texts.length > 0);
    for (const text of this.#texts) {
      const ticket = /"s_([\w-]+)\./.exec(text)?.[1] ?? "";
      for (const shown of [text, Buffer.from(ticket, "base64url").toString()]) {
        const found = [...TENANTS, "tenant", "|", "%7C", "%7c", "\\u007c"].find((word) => shown.includes(word));
        assert.equal(found, undefined, `expected nothing of tenants, got ${shown}`);
      }
    }
  }
}

export type Connected = {
  readonly tenant: Tenant;
  readonly user?: string;
  readonly codec?: ClientCodec;
  readonly claims?: { readonly [claim: string]: unknown };
  readonly session?: string;
};

/** A client of a tenant's user, ended with the test. What it is sent goes into the recording. */
export async function member(
  t: TestContext,
  server: { readonly url: string },
  recording: Recording,
  { tenant, user = "ann", codec, claims, session }: Connected,
): Promise<WsClient> {
  const token = tokenOf({ sub: user, ...ofTenant(tenant), ...claims });
  const client = await WsClient.connect(server.url, { hello: false, ...(codec === undefined ? {} : { codec }) });
  t.after(() => client.end());
  recording.of(client);
  await client.hello({ token, ...(session === undefined ? {} : { session }) });
  return client;
}

/** The data of the events that have come in a room and were not taken yet, in order. */
export function dataIn(client: WsClient, room: string): readonly unknown[] {
  return client.frames
    .filter((frame): frame is ServerFrame<"events"> => frame.type === "events" && frame.room === room)
    .flatMap(({ events }) => events.map(({ data }) => data));
}
