/** The page at /docs: the OpenAPI document, to be read. It needs no script and nothing from elsewhere. */
import { createHash } from "node:crypto";
import { docsStyle } from "./docs-style.js";
import type { OpenApi, OperationObject, Parameter, Response, Schema } from "./openapi.js";

const ESCAPES: { readonly [character: string]: string } = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const text = (given: string): string => given.replace(/[&<>"]/g, (character) => ESCAPES[character] ?? character);

/** How deep fields within fields are shown. */
const MAX_DEPTH = 4;

function typeOf(schema: Schema): string {
  const { type, items, anyOf } = schema;
  if (anyOf !== undefined) return anyOf.map(typeOf).join(" or ");
  if (type === "array") return `list of ${items === undefined ? "values" : typeOf(items)}`;
  return type ?? "any value";
}

/** The fields that a schema has, those of an inner one behind a dot. */
function fieldsOf(schema: Schema, path = "", depth = 0): string[] {
  if (depth >= MAX_DEPTH) return [];
  if (schema.type === "array") return schema.items === undefined ? [] : fieldsOf(schema.items, `${path}[]`, depth + 1);
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => fieldsOf(one, path, depth));
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const full = path === "" ? name : `${path}.${name}`;
    const needed = schema.required?.includes(name) === true;
    return [row(full, inner, needed), ...fieldsOf(inner, full, depth + 1)];
  });
}

const row = (name: string, schema: Schema, needed: boolean): string =>
  `<tr><td><code>${text(name)}</code>${needed ? "" : '<span class="soft"> optional</span>'}</td>` +
  `<td>${text(typeOf(schema))}</td><td>${text(schema.description ?? "")}</td></tr>`;

const table = (title: string, rows: readonly string[]): string =>
  rows.length === 0 ? "" : `<h4>${text(title)}</h4><div class="wide"><table>${rows.join("")}</table></div>`;

function parameters(list: readonly Parameter[] = []): string {
  const of = (place: Parameter["in"], title: string): string =>
    table(
      title,
      list
        .filter((one) => one.in === place)
        .map(({ name, schema, required, description }) =>
          row(name, description === undefined ? schema : { ...schema, description }, required),
        ),
    );
  return of("path", "In the path") + of("query", "In the query") + of("header", "Headers");
}

const contentOf = ({ content }: Response): Schema | undefined => Object.values(content ?? {})[0]?.schema;

/** A value as small as it can be, for the example. */
function sample(schema: Schema, name = ""): unknown {
  if (schema.anyOf !== undefined) return sample(schema.anyOf[0] ?? {}, name);
  if (schema.type === "array") return [sample(schema.items ?? {}, name.replace(/s$/, ""))];
  if (schema.type === "object") {
    const shown = Object.entries(schema.properties ?? {}).filter(([field]) => schema.required?.includes(field));
    return Object.fromEntries(shown.map(([field, inner]) => [field, sample(inner, field)]));
  }
  if (schema.type === "integer" || schema.type === "number") return name === "until" ? 1_900_000_000_000 : 10;
  if (schema.type === "boolean") return true;
  const words: { readonly [field: string]: unknown } = {
    room: "chat:42",
    user: "ann",
    event: "said",
    method: "refresh",
  };
  return words[name] ?? (schema.type === "string" ? name : { text: "hello" });
}

function curl(method: string, path: string, operation: OperationObject): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(sample({ type: "string" }, name)));
  const isStream = contentOf(operation.responses["200"] ?? { description: "" })?.type === "string";
  const query = operation.parameters?.find((one) => one.in === "query" && one.required);
  const lines = [
    `curl ${isStream ? "-N " : ""}"$ROOMCAST${filled}${query === undefined ? "" : `?${query.name}=chat:42`}"`,
  ];
  const isClients = operation.tags[0] === "Clients";
  lines.push(`-H "authorization: Bearer ${isClients ? "$TOKEN" : "$ROOMCAST_API_KEY"}"`);
  if (isStream) lines.push('-H "accept: text/event-stream"');
  const body = operation.requestBody?.content["application/json"]?.schema;
  if (method === "post") {
    lines.push('-H "content-type: application/json"');
    lines.push(`-d '${JSON.stringify(body === undefined ? {} : sample(body))}'`);
  }
  return lines.join(" \\\n  ");
}

function section(method: string, path: string, operation: OperationObject): string {
  const { operationId, summary, description, requestBody, responses, security } = operation;
  const body = requestBody?.content["application/json"]?.schema;
  const answer = contentOf(responses["200"] ?? { description: "" });
  const scope = security[0]?.["apiKey"]?.[0];
  const errors = Object.entries(responses).filter(([status]) => status >= "400");
  return [
    `<section id="${text(operationId)}">`,
    `<h3><a href="#${text(operationId)}">${text(summary)}</a></h3>`,
    `<p class="path"><b>${method.toUpperCase()}</b> <code>${text(path)}</code>`,
    scope === undefined ? "" : ` <span class="soft">scope ${text(scope)}</span>`,
    "</p>",
    description === undefined ? "" : `<p>${text(description)}</p>`,
    parameters(operation.parameters),
    body === undefined ? "" : table("Body", fieldsOf(body)),
    answer?.properties === undefined ? "" : table("Answer", fieldsOf(answer)),
    `<pre>${text(curl(method, path, operation))}</pre>`,
    "<details><summary>What can go wrong</summary><ul>",
    ...errors.map(([status, { description }]) => `<li><b>${status}</b> ${text(description)}</li>`),
    "</ul></details></section>",
  ].join("");
}

/** The page, and the one stylesheet that its policy allows. */
export function docsPage(document: OpenApi): {
  readonly html: string;
  readonly headers: { readonly [name: string]: string };
} {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = document.tags.map(({ name, description }) => ({
    name,
    description,
    entries: all.filter(({ operation }) => operation.tags[0] === name),
  }));
  const nav = groups.map(
    ({ name, entries }) =>
      `<li><b>${text(name)}</b><ul>${entries
        .map(
          ({ operation: { operationId, summary } }) => `<li><a href="#${text(operationId)}">${text(summary)}</a></li>`,
        )
        .join("")}</ul></li>`,
  );
  const main = groups.map(
    ({ name, description, entries }) =>
      `<h2>${text(name)}</h2><p class="soft">${text(description)}</p>` +
      entries.map(({ method, path, operation }) => section(method, path, operation)).join(""),
  );
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${text(
    document.info.title,
  )}: the HTTP API</title><style>${docsStyle}</style></head><body><nav><p><a href="/">Roomcast</a> <span class="soft">${text(
    document.info.version,
  )}</span></p><ul>${nav.join("")}</ul></nav><main><h1>The HTTP API</h1><p>${text(
    document.info.description,
  )} For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>${main.join("")}</main></body></html>`;
  const hash = createHash("sha256").update(docsStyle).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return {
    html,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      "cache-control": "no-cache",
    },
  };
}
