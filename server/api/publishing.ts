/** What publishes: to a room, to many rooms, and many events at once. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { ProtocolError } from "../../protocol/codes.js";
import { MAX_KEY_LENGTH } from "../../protocol/names.js";
import { Payload } from "../../protocol/payload.js";
import type { Position } from "../../protocol/positions.js";
import { data, event, from, itemError, key, none, object, position, room, tenant } from "./fields.js";
import { define, type Request, tenantOf } from "./operation.js";
import { toldBy } from "./problems.js";

/** The most events of one request. */
export const MOST_ITEMS = 1000;

const ITEMS = `a list of 1 to ${MOST_ITEMS}`;
const listOf = <Item extends z.ZodType>(item: Item) => z.array(item, ITEMS).min(1, ITEMS).max(MOST_ITEMS, ITEMS);

const published = z.object({
  position: position.optional().describe("Where the event is in the room's log; left out: the room keeps none."),
});

const results = z.object({
  results: z
    .array(z.union([published, z.object({ error: itemError })]))
    .readonly()
    .describe("What became of each, in the order of the request."),
  failed: z.int().describe("How many of them were not published."),
});

export type ItemError = z.output<typeof itemError>;
export type ItemResult = { readonly position?: Position } | { readonly error: ItemError };
export type Results = { readonly results: readonly ItemResult[]; readonly failed: number };

const event_ = { event, data, from: from.optional() };
const isPartial = (answer: object): boolean => (answer as Results).failed > 0;

/** The key of one of a request's events. */
export function keyOfItem(key: string | undefined, index: number): string | undefined {
  if (key === undefined) return undefined;
  const whole = `${key}/${index}`;
  if (whole.length <= MAX_KEY_LENGTH) return whole;
  return `${createHash("sha256").update(key).digest("base64url")}/${index}`;
}

export const publish = define({
  id: "publish",
  method: "post",
  path: "/v1/rooms/{room}/events",
  scope: "publish",
  tag: "Publish",
  summary: "Publish an event in a room",
  description: "Answered once the event is in the room's log, with its position.",
  takesKey: true,
  carries: "data",
  isCommand: true,
  params: object({ room }),
  query: none,
  body: object({ ...event_, key: key.optional(), tenant: tenant.optional() }),
  answer: published,
  print: printed,
  run(app, { room, event, data, from, key, tenant }, { caller, key: requestKey }) {
    const options = { from, key: key ?? requestKey, tenant: tenantOf(caller, tenant) };
    return app.publish(room, event, data, options).then(answerOf);
  },
});

export const publishMany = define({
  id: "publishMany",
  method: "post",
  path: "/v1/publish",
  scope: "publish",
  tag: "Publish",
  summary: "Publish one event in many rooms",
  description: "Each room has an event of its own, and a result of its own. Status 207 where some were not published.",
  takesKey: true,
  carries: "data",
  isCommand: true,
  params: none,
  query: none,
  body: object({
    rooms: listOf(room).describe(`The rooms, 1 to ${MOST_ITEMS}.`),
    ...event_,
    key: key.optional(),
    tenant: tenant.optional(),
  }),
  answer: results,
  isPartial,
  run(app, { rooms, event, data, from, key, tenant }, { caller, key: requestKey }) {
    const whose = tenantOf(caller, tenant);
    // Read once: every room has the same bytes.
    const payload = data instanceof Payload ? data : Payload.ofValue(data);
    const named = key ?? requestKey;
    return allOf(rooms, (room, index) =>
      app.publish(room, event, payload, { from, key: keyOfItem(named, index), tenant: whose }),
    );
  },
});

const item = object({ room, ...event_, key: key.optional(), tenant: tenant.optional() });

export const batch = define({
  id: "batch",
  method: "post",
  path: "/v1/batch",
  scope: "publish",
  tag: "Publish",
  summary: "Publish many events at once",
  description:
    "Events of one room keep the order of the request. Each has a result of its own; status 207 where some were not published.",
  takesKey: true,
  carries: "items",
  isCommand: true,
  params: none,
  query: none,
  body: object({ items: listOf(item).describe(`The events, 1 to ${MOST_ITEMS}.`) }),
  answer: results,
  isPartial,
  run(app, { items }, { caller, key: requestKey }: Request) {
    // Before anything is published: the whole request is refused.
    const tenants = items.map(({ tenant }, index) => tenantOf(caller, tenant, `items[${index}].tenant`));
    return allOf(items, ({ room, event, data, from, key }, index) =>
      app.publish(room, event, data, { from, key: key ?? keyOfItem(requestKey, index), tenant: tenants[index] }),
    );
  },
});

/** This answer is the most frequent of all; an epoch is made by an engine, of letters and digits. */
function printed(answer: object): string {
  const { position } = answer as { readonly position?: Position };
  return position === undefined ? "{}" : `{"position":{"epoch":"${position.epoch}","offset":${position.offset}}}`;
}

const answerOf = (position: Position | undefined): { position?: Position } =>
  position === undefined ? {} : { position };

/** Starts all of them in their order, and waits for all. Rejects never. */
function allOf<Item>(
  items: readonly Item[],
  start: (item: Item, index: number) => Promise<Position | undefined>,
): Promise<Results> {
  return new Promise((resolve) => {
    const results: ItemResult[] = new Array(items.length);
    let failed = 0;
    let left = items.length;
    const settle = (index: number, result: ItemResult): void => {
      results[index] = result;
      if (--left === 0) resolve({ results, failed });
    };
    for (let index = 0; index < items.length; index++) {
      start(items[index] as Item, index).then(
        (position) => settle(index, answerOf(position)),
        (error: unknown) => {
          failed++;
          settle(index, { error: itemErrorOf(error) });
        },
      );
    }
  });
}

function itemErrorOf(error: unknown): ItemError {
  const { code, message, retryMs } = toldBy(error) ?? {
    code: "internal",
    message: "the server failed at this",
    retryMs: undefined,
  };
  return {
    code,
    message,
    ...(error instanceof ProtocolError ? { field: error.field } : {}),
    ...(retryMs === undefined ? {} : { retryMs }),
  };
}
