/** The API as an OpenAPI 3.1 document, made of the same schemas that check its requests. */
import { z } from "zod";
import type { Operation } from "./operation.js";
import { operations } from "./operations.js";
import { PROBLEM_TYPE } from "./problems.js";

/** A JSON schema, as far as it is read here. */
export type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: { readonly [name: string]: Schema };
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
};
type Content = { readonly [type: string]: { readonly schema: Schema } };
export type Parameter = {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
};
export type Response = { readonly description: string; readonly content?: Content };
export type OperationObject = {
  readonly operationId: string;
  readonly tags: readonly [string];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: { readonly [status: string]: Response };
  readonly security: readonly { readonly [scheme: string]: readonly string[] }[];
};
export type OpenApi = {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: { readonly [path: string]: { readonly [method: string]: OperationObject } };
  readonly components: object;
};

const tags = [
  { name: "Publish", description: "Events into rooms. Once answered, an event is in the room's log." },
  { name: "Rooms", description: "What is in rooms, and who." },
  { name: "Users", description: "What is done to users, and asked of them, on all nodes." },
  { name: "Nodes", description: "The nodes of this server." },
  { name: "Cache", description: "What nodes remember of the application's answers." },
  {
    name: "Clients",
    description: "For clients that open no WebSocket: with their own token in the place of an API key.",
  },
] as const;

/** What a client may do by HTTP with its own token; see docs/http-api.md. */
const client = [{ clientToken: [] }, { clientCookie: [] }, {}] as const;
const room: Parameter = {
  name: "room",
  in: "path",
  required: true,
  description: "The room's name; / stands as %2F.",
  schema: { type: "string" },
};
const lastEventId: Parameter = {
  name: "Last-Event-ID",
  in: "header",
  required: false,
  description: "The id of the last event that was read: goes on behind it, with everything that was missed.",
  schema: { type: "string" },
};
const since: Parameter = {
  name: "since",
  in: "query",
  required: false,
  description: "The same for a first connection: EventSource cannot send headers.",
  schema: { type: "string" },
};
const stream: Response = {
  description: "A stream of events, until either side ends it.",
  content: { "text/event-stream": { schema: { type: "string" } } },
};

/** JSON that stands for a position, an event's data and the like: the schema of zod, without what says nothing. */
function schemaOf(schema: z.ZodType, io: "input" | "output"): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as { $schema?: string };
  return withoutBounds(rest) as Schema;
}

/** Whole numbers are bounded by what JavaScript can hold: nobody needs to read that. */
function withoutBounds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBounds);
  if (typeof value !== "object" || value === null) return value;
  const isBound = (name: string, bound: unknown): boolean =>
    (name === "minimum" || name === "maximum") && Math.abs(Number(bound)) === Number.MAX_SAFE_INTEGER;
  const kept = Object.entries(value).filter(([name, inner]) => !isBound(name, inner));
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutBounds(inner)]));
}

function parametersOf({ params, query, takesKey }: Operation): Parameter[] {
  const of = (schema: z.ZodObject, place: "path" | "query"): Parameter[] => {
    const { properties = {}, required = [] } = schemaOf(schema, "input");
    return Object.entries(properties).map(([name, { description, ...rest }]) => ({
      name,
      in: place,
      required: required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: rest,
    }));
  };
  const key: Parameter = {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    description: "Names this request, 1 to 128 characters: sent again with the same key it publishes nothing twice.",
    schema: { type: "string", maxLength: 128 } as Schema,
  };
  return [...of(params, "path"), ...of(query, "query"), ...(takesKey === true ? [key] : [])];
}

const problem = (description: string): Response => ({
  description,
  content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
});

const failures = {
  "400": problem("The request is wrong; errors names the fields."),
  "401": problem("No key, or none that is configured."),
  "403": problem("The key is not good for this."),
  "413": problem("The body is too large."),
  "503": problem("An engine is away; Retry-After and retryMs say when to try again."),
  "504": problem("An engine did not answer in time: with the same key it can be tried again."),
} as const;

function objectOf(operation: Operation): OperationObject {
  const { id, tag, summary, description, scope, body, answer, isPartial } = operation;
  const bodySchema = schemaOf(body, "input");
  const hasBody = operation.method === "post" && Object.keys(bodySchema.properties ?? {}).length > 0;
  const content = { "application/json": { schema: schemaOf(answer, "output") } };
  const parameters = parametersOf(operation);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(hasBody
      ? {
          requestBody: {
            required: (bodySchema.required ?? []).length > 0,
            content: { "application/json": { schema: bodySchema } },
          },
        }
      : {}),
    responses: {
      "200": { description: "Done.", content },
      ...(isPartial === undefined ? {} : { "207": { description: "Done in part: each result says which.", content } }),
      ...failures,
    },
    security: [{ apiKey: [scope] }],
  };
}

const data = { description: "Any JSON value." } satisfies Schema;

/** What clients do by HTTP: these are no operations of the table, since sessions answer them. */
function clientPaths(): { [path: string]: { [method: string]: OperationObject } } {
  const rooms: Parameter = {
    name: "room",
    in: "query",
    required: true,
    description: "A room's name; again for each further one.",
    schema: { type: "array", items: { type: "string" } },
  };
  const listen = { tags: ["Clients"], responses: { "200": stream, ...failures }, security: client } as const;
  const call: OperationObject = {
    operationId: "clientCall",
    tags: ["Clients"],
    summary: "Call the application",
    description: "As call of the SDK: the application's own answer, by onCall or the hook call.",
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: { type: "object", properties: { method: { type: "string" }, data }, required: ["method"] },
        },
      },
    },
    responses: {
      "200": {
        description: "The answer.",
        content: { "application/json": { schema: { type: "object", properties: { data } } } },
      },
      ...failures,
    },
    security: client,
  };
  return {
    "/v1/rooms/{room}/events": {
      get: {
        operationId: "listen",
        summary: "Listen to a room (server-sent events)",
        description:
          "For EventSource, curl and everything that reads a stream. The id of each event is its position: with Last-Event-ID nothing is missed and nothing comes twice.",
        parameters: [room, lastEventId, since],
        ...listen,
      },
    },
    "/v1/events": {
      get: {
        operationId: "listenMany",
        summary: "Listen to several rooms in one stream (server-sent events)",
        parameters: [rooms, lastEventId, since],
        ...listen,
      },
    },
    "/v1/call": { post: call },
  };
}

const problemSchema = {
  type: "object",
  description: "Problem details (RFC 9457).",
  required: ["type", "title", "status", "detail", "code"],
  properties: {
    type: { type: "string", description: "urn:roomcast:error: and the code." },
    title: { type: "string", description: "What kind of problem it is." },
    status: { type: "integer", description: "The status of the answer." },
    detail: { type: "string", description: "What was wrong here, and what was expected." },
    code: { type: "string", description: "The protocol's word for it." },
    errors: {
      type: "array",
      description: "The fields that were wrong, at most 20.",
      items: {
        type: "object",
        required: ["field", "expected"],
        properties: {
          field: { type: "string", description: "Where: items[3].event." },
          expected: { type: "string", description: "What was expected there." },
          got: { type: "string", description: "What came." },
        },
      },
    },
    retryMs: { type: "integer", description: "After how many milliseconds another try makes sense." },
  },
};

/** The document. `version` is the server's. */
export function openApi(version: string): OpenApi {
  const paths: { [path: string]: { [method: string]: OperationObject } } = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method]: objectOf(operation) };
  }
  for (const [path, methods] of Object.entries(clientPaths())) paths[path] = { ...paths[path], ...methods };
  return {
    openapi: "3.1.0",
    info: {
      title: "Roomcast",
      version,
      description:
        "The HTTP API of a Roomcast server, for other services. Each request shows an API key (roomcast key makes one) as Authorization: Bearer. Errors are problem details that name the field.",
    },
    tags,
    paths,
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: {
        apiKey: { type: "http", scheme: "bearer", description: "A key made by roomcast key; its scopes say what for." },
        clientToken: { type: "http", scheme: "bearer", description: "A client's own token." },
        clientCookie: { type: "apiKey", in: "cookie", name: "roomcast_token", description: "The same in a cookie." },
      },
    },
  };
}
