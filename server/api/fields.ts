/** What requests and answers of the API are made of. The texts are what the documents say; messages are what was expected. */
import { z } from "zod";
import { MAX_USER_LENGTH } from "../../protocol/fields.js";
import { MAX_KEY_LENGTH, TENANT_TEXT } from "../../protocol/names.js";
import { whole } from "../schemas.js";

const ROOM = "1 to 128 characters of A-Z a-z 0-9 _ - . : @ /";
const EVENT = "1 to 64 characters of A-Z a-z 0-9 _ - . : @ /";
const USER = `1 to ${MAX_USER_LENGTH} characters`;
const KEY = `1 to ${MAX_KEY_LENGTH} characters`;
const OBJECT = "an object";

/** An object of these fields and no others. */
export const object = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape, OBJECT);

/** For operations whose path, query or body has nothing in it. */
export const none = object({});

export const room = z
  .string(ROOM)
  .regex(/^[A-Za-z0-9_.:@/-]{1,128}$/, ROOM)
  .describe(`The room's name: ${ROOM}. In a path, / stands as %2F.`);

export const event = z
  .string(EVENT)
  .regex(/^[A-Za-z0-9_.:@/-]{1,64}$/, EVENT)
  .describe(`The event's name: ${EVENT}.`);

export const data = z
  .unknown()
  .refine((value) => value !== undefined, "a value")
  .describe("The event's data: any JSON value, at most 64 levels deep and as large as the room's kind lets it be.");

export const user = z.string(USER).min(1, USER).max(MAX_USER_LENGTH, USER).describe(`The user: ${USER}.`);

export const from = user.describe("The user the event is from; left out: the application itself.");

export const key = z
  .string(KEY)
  .min(1, KEY)
  .max(MAX_KEY_LENGTH, KEY)
  .describe(
    "Names this publish: within the window of the room's kind (keyWindowMs) a second one from the same sender with the same key is no second event, and is answered with the position of the first. It goes before Idempotency-Key.",
  );

export const tenant = z
  .string(TENANT_TEXT)
  .regex(/^[A-Za-z0-9_.-]{1,32}$/, TENANT_TEXT)
  .describe("Whose room or user it is; left out: the key's own tenant, or none.");

/** Unix seconds would be below it. */
const LEAST_TIME = 100_000_000_000;
const TIME = "a time in Unix milliseconds";
export const time = z.int(TIME).min(LEAST_TIME, TIME);

export const position = z
  .object({
    epoch: z.string().describe("Which log it is in: another epoch means that the log was lost, and begins anew."),
    offset: z.int().describe("The place in that log; offsets rise, and need not be consecutive."),
  })
  .describe("A place in a room's log.");

const nodes = z.int().describe("How many nodes have answered, this one among them.");
const missing = z
  .array(z.string())
  .readonly()
  .describe("The nodes that did not answer in time: what is theirs is not in the answer.");
/** Of which nodes an answer is made. */
export const answered = { nodes, missing };

export const count = z.object({
  count: z.int().describe("How many sessions it concerned."),
  ...answered,
});

export const itemError = z
  .object({
    code: z.string().describe("The protocol's word for it."),
    message: z.string().describe("What was wrong, and what was expected."),
    field: z.string().optional().describe("The field that was wrong, where it was one."),
    retryMs: z.int().optional().describe("After how many milliseconds another try makes sense; left out: it does not."),
  })
  .describe("Why it was not done.");

const AFTER = `at most ${MAX_USER_LENGTH} characters`;
export const after = z
  .string(AFTER)
  .max(MAX_USER_LENGTH, AFTER)
  .describe("What the page before named as next; left out: from the first name on.");

export const limit = whole(1, 1000).describe("The most names on the page, 1 to 1000; 100 if left out.");

export const next = z.string().optional().describe("What after is for the next page; left out: this one is the last.");

const PREFIX = "the beginning of a room's name";
export const prefix = z
  .string(PREFIX)
  .regex(/^[A-Za-z0-9_.:@/-]{0,128}$/, PREFIX)
  .describe("Only rooms whose names begin with it.");
