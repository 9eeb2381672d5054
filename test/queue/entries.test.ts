import assert from "node:assert/strict";
import { test } from "node:test";
import { Payload } from "../../protocol/payload.js";
import {
  connected,
  gap,
  left,
  lost,
  MAX_DATA_BYTES,
  nodeBack,
  nodeGone,
  published,
} from "../../server/queue/entries.js";

const node = { name: "n_1", instance: "abc" };
const who = { user: 'a"n', tenant: "acme", session: "s1" };
const room = { room: "chat:1", tenant: "acme" };
const position = { epoch: "e", offset: 7 };

/** What an entry says, but for when. */
function said(bytes: Buffer): object {
  const { at, ...rest } = JSON.parse(bytes.toString()) as { readonly at: number };
  assert.equal(typeof at, "number");
  return rest;
}

test("an event is told with its room, its place and what was published", () => {
  const event = { event: "said", data: Payload.ofValue({ é: [1, null] }), from: "ann", at: 5, key: "k" };
  assert.deepEqual(JSON.parse(published(room, event, position).toString()), {
    ...{ type: "published", id: "acme|chat:1@e:7", at: 5, room: "chat:1", tenant: "acme", position },
    ...{ event: "said", data: { é: [1, null] }, from: "ann", key: "k" },
  });
  const bare = { event: "said", data: Payload.ofJson("1"), at: 5 };
  assert.deepEqual(JSON.parse(published({ room: "chat:1", tenant: "" }, bare, { id: "abc-1" }).toString()), {
    ...{ type: "published", id: "abc-1", at: 5, room: "chat:1", event: "said", data: 1 },
  });
});

test("of binary data the text is told, and of very large data how large they are", () => {
  const binary = { event: "said", data: Payload.ofValue(new Uint8Array([1, 2, 3])), at: 5 };
  assert.equal(JSON.parse(published(room, binary, position).toString()).data, "AQID");
  const large = { event: "said", data: Payload.ofValue("x".repeat(MAX_DATA_BYTES)), at: 5 };
  const entry = JSON.parse(published(room, large, position).toString());
  assert.deepEqual([entry.data, entry.dataBytes], [undefined, MAX_DATA_BYTES + 2]);
});

test("what is told of clients and nodes says which run of which node it is from", () => {
  const of = { node: "n_1", instance: "abc" };
  const session = { user: 'a"n', tenant: "acme", session: "s1" };
  const beginning = { who, id: "abc-1", at: 5, isResumed: true };
  assert.deepEqual(JSON.parse(connected(node, beginning).toString()), {
    ...{ type: "connected", id: "abc-1", at: 5, ...of, ...session, resumed: true },
  });
  assert.deepEqual(said(left(node, "abc-2", who, { since: "abc-1", code: 1006, reason: "lost" })), {
    ...{ type: "left", id: "abc-2", ...of, ...session, connected: "abc-1", code: 1006, reason: "lost" },
  });
  assert.deepEqual(said(nodeGone(node)), { type: "node_gone", id: "gone-abc", ...of });
  assert.deepEqual(said(nodeBack(node, "abc-3")), { type: "node_back", id: "abc-3", ...of });
  assert.deepEqual(said(lost(node, "abc-4", 9)), { type: "lost", id: "abc-4", ...of, count: 9 });
  assert.deepEqual(said(gap(room, position, { epoch: "f", offset: 2 })), {
    ...{ type: "gap", id: "acme|chat:1@gap:f:2", room: "chat:1", tenant: "acme" },
    ...{ from: position, to: { epoch: "f", offset: 2 } },
  });
});
