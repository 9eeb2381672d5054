/** What an operation of the API is: what it takes, what it answers, and what it does. */
import type { z } from "zod";
import type { Scope } from "../access/api-keys.js";
import { Refusal } from "../hooks/hooks.js";
import type { Application } from "./application.js";
import type { Carries } from "./json-body.js";

/** Who asks: a key of `ApiKeys`, or anyone where the API is open. */
export type Caller = {
  /** The only tenant that it reaches; "": those it names, and none. */
  readonly tenant: string;
};

export type Request = {
  readonly caller: Caller;
  /** Names the request: of two with one key the second publishes nothing. */
  readonly key?: string | undefined;
};

type Shape = z.ZodObject;

/** What one operation takes: the parameters of its path, its query and its body, in one object. */
type Input<Params extends Shape, Query extends Shape, Body extends Shape> = z.output<Params> &
  z.output<Query> &
  z.output<Body>;

type Described = {
  /** Its name in clients, in metrics, and in commands of the queue. */
  readonly id: string;
  readonly method: "get" | "post";
  /** With its parameters in braces: `/v1/rooms/{room}`. */
  readonly path: string;
  /** What a key has to be good for. */
  readonly scope: Scope;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** Whether an `Idempotency-Key` means something to it. */
  readonly takesKey?: boolean;
  /** Where its body has events' data: it comes as a `Payload`, or, in commands, as a value. */
  readonly carries?: Carries;
  /** Whether it can be a command of the durable queue. */
  readonly isCommand?: boolean;
};

/** An operation as the table has it, whatever it takes. */
export type Operation = Described & {
  readonly params: Shape;
  readonly query: Shape;
  /** A GET has none. */
  readonly body: Shape;
  readonly answer: z.ZodType;
  /** Whether a part of what was asked for was not done: the answer's status is 207 then. */
  isPartial?(answer: object): boolean;
  /** The answer as JSON, where that is known to be quicker by hand. */
  print?(answer: object): string;
  /** Rejects with `ProtocolError`, `Refusal` and `EngineError`. */
  run(app: Application, input: object, request: Request): Promise<object>;
};

/** An operation with its types, for clients that are made from it. */
export type Defined<Params extends Shape, Query extends Shape, Body extends Shape, Answer extends z.ZodType> = Omit<
  Operation,
  "params" | "query" | "body" | "answer" | "run"
> & {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly answer: Answer;
  run(app: Application, input: Input<Params, Query, Body>, request: Request): Promise<z.input<Answer> & object>;
};

export const define = <Params extends Shape, Query extends Shape, Body extends Shape, Answer extends z.ZodType>(
  operation: Defined<Params, Query, Body, Answer>,
): Defined<Params, Query, Body, Answer> => operation;

/** Whose rooms and users a request is about. Throws `Refusal` where the key is not for them. */
export function tenantOf({ tenant }: Caller, named: string | undefined, field = "tenant"): string {
  if (tenant === "") return named ?? "";
  if (named === undefined || named === tenant) return tenant;
  throw new Refusal("forbidden", `${field}: this key is for the tenant ${tenant} alone`);
}

/** For what is about all tenants. Throws `Refusal` for a key of one. */
export function refuseTenants({ tenant }: Caller, what: string): void {
  if (tenant !== "") throw new Refusal("forbidden", `${what}: this key is for the tenant ${tenant} alone`);
}
