import assert from "node:assert/strict";
import { test } from "node:test";
import SwaggerParser from "@apidevtools/swagger-parser";
import { openApi } from "../../server/api/openapi.js";
import { operations } from "../../server/api/operations.js";
import { startServer } from "../support/start-server.js";

test("the document at /openapi.json is OpenAPI 3.1, whole in itself, and has every operation", async (t) => {
  const server = await startServer(t);
  const response = await fetch(`${server.url}/openapi.json`);
  assert.equal(response.headers.get("content-type"), "application/json");
  const document = (await response.json()) as ReturnType<typeof openApi>;
  // It changes what it checks.
  await SwaggerParser.validate(structuredClone(document) as never);
  assert.equal(document.openapi, "3.1.0");
  for (const { id, method, path, scope } of operations) {
    const described = document.paths[path]?.[method];
    assert.equal(described?.operationId, id);
    assert.deepEqual(described?.security, [{ apiKey: [scope] }]);
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const given = described?.parameters?.filter((one) => one.in === "path").map(({ name }) => name) ?? [];
    assert.deepEqual(given, named, `${id}: the parameters of its path`);
  }
});

test("what the document says of a body is what the server holds requests to", () => {
  const { publish } = openApi("1").paths["/v1/rooms/{room}/events"]?.["post"] === undefined ? {} : { publish: true };
  assert.ok(publish);
  const body =
    openApi("1").paths["/v1/rooms/{room}/events"]?.["post"]?.requestBody?.content["application/json"]?.schema;
  assert.deepEqual(body?.required, ["event", "data"]);
  assert.deepEqual(Object.keys(body?.properties ?? {}), ["event", "data", "from", "key", "tenant"]);
  assert.equal((body as { additionalProperties?: boolean }).additionalProperties, false);
});

test("every field in the document says what it is", () => {
  const nameless: string[] = [];
  const look = (schema: unknown, path: string): void => {
    if (typeof schema !== "object" || schema === null) return;
    const { properties, items, anyOf, description } = schema as { [name: string]: unknown };
    for (const [name, inner] of Object.entries((properties as object | undefined) ?? {})) {
      const said = (inner as { description?: string }).description;
      if (said === undefined) nameless.push(`${path}.${name}`);
      look(inner, `${path}.${name}`);
    }
    look(items, `${path}[]`);
    for (const one of (anyOf as unknown[] | undefined) ?? []) look(one, path);
    assert.ok(description === undefined || typeof description === "string");
  };
  for (const [path, methods] of Object.entries(openApi("1").paths)) {
    for (const { operationId, requestBody, responses } of Object.values(methods)) {
      if (operationId.startsWith("client")) continue;
      look(Object.values(requestBody?.content ?? {})[0]?.schema, `${path} body`);
      look(Object.values(responses["200"]?.content ?? {})[0]?.schema, `${path} answer`);
    }
  }
  assert.deepEqual(nameless, []);
});

test("the page at /docs shows every operation, by a policy that lets nothing else in", async (t) => {
  const server = await startServer(t, { page: true });
  const response = await fetch(`${server.url}/docs`);
  const html = await response.text();
  for (const { id, summary } of operations) {
    assert.ok(html.includes(`id="${id}"`), id);
    assert.ok(html.includes(summary), summary);
  }
  assert.doesNotMatch(html, /<script|src=|https?:\/\//);
  assert.match(response.headers.get("content-security-policy") ?? "", /^default-src 'none'; style-src 'sha256-/);
  assert.equal((await fetch(`${(await startServer(t)).url}/docs`)).status, 404, "without pages there is none");
});
