import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import test from "node:test";
import { signHook } from "../../server/hooks/signature.js";
import { verifyHook } from "../../server/server.js";

const [old, newer] = ["the secret that goes, in its full length", "the secret that comes, in its full length ü"];
const now = 1_700_000_000_123;
const body = '{"type":"join","room":"chat:ü"}';

test("a post is signed as Standard Webhooks says, once for each secret", () => {
  const headers = signHook("id-1", body, [old, newer], now);
  const by = (secret: string) => createHmac("sha256", secret).update(`id-1.1700000000.${body}`).digest("base64");
  assert.deepEqual(headers, {
    "webhook-id": "id-1",
    "webhook-timestamp": "1700000000",
    "webhook-signature": `v1,${by(old)} v1,${by(newer)}`,
  });
});

test("whoever has one of the secrets can check a post, whatever form the headers and the body have", () => {
  const headers = { ...signHook("id-1", body, [old, newer], now) };
  assert.ok(verifyHook(headers, body, old, { now }));
  assert.ok(verifyHook(headers, Buffer.from(body), [newer], { now }));
  assert.ok(verifyHook(new Headers(headers), body, ["another", newer], { now }));
  assert.ok(!verifyHook(headers, body, "another secret", { now }));
});

test("what was changed, is old, or is not signed does not pass", () => {
  const headers = { ...signHook("id-1", body, [old], now) };
  const fails = (changed: object, text = body, at = now) =>
    assert.ok(!verifyHook({ ...headers, ...changed }, text, old, { now: at }));
  fails({}, `${body} `);
  fails({ "webhook-id": "id-2" });
  fails({ "webhook-id": undefined });
  fails({ "webhook-timestamp": "1700000001" });
  fails({ "webhook-timestamp": "1.7e9" });
  fails({ "webhook-timestamp": "" });
  fails({ "webhook-signature": "" });
  fails({ "webhook-signature": ["v1,a", "v1,b"] });
  fails({ "webhook-signature": headers["webhook-signature"].replace("v1,", "v1a,") });
  fails({ "webhook-signature": `${"v1,AAAA ".repeat(16)}${headers["webhook-signature"]}` });
  fails({}, body, now + 301_000);
  fails({}, body, now - 301_000);
  assert.ok(verifyHook(headers, body, old, { now: now + 299_000 }));
  assert.ok(verifyHook(headers, body, old, { now: now + 3_000_000, toleranceMs: 4_000_000 }));
});

test("a check without a secret is a mistake, not a pass", () => {
  const headers = { ...signHook("id-1", body, [""], now) };
  assert.throws(() => verifyHook(headers, body, [], { now }), TypeError);
  assert.throws(() => verifyHook(headers, body, "", { now }), TypeError);
});
