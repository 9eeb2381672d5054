/** The operations as commands of the durable queue: the same table, without HTTP. */
import { ProtocolError } from "../../protocol/codes.js";
import { describe } from "../../protocol/fields.js";
import { EngineError } from "../engine/engine.js";
import { Refusal } from "../hooks/hooks.js";
import type { Application } from "./application.js";
import type { Operation } from "./operation.js";
import { operations } from "./operations.js";
import { InputError } from "./problems.js";
import type { ItemResult, Results } from "./publishing.js";
import { readInput } from "./read.js";

const commands: ReadonlyMap<unknown, Operation> = new Map(
  operations.filter(({ isCommand }) => isCommand === true).map((operation) => [operation.id, operation]),
);

/** What may be the `do` of a command. */
export const commandNames: readonly string[] = [...commands.values()].map(({ id }) => id);

/** Whoever can write to the queue is trusted as one with a key for everything is. */
const caller = { tenant: "" };

/**
 * Does what a command says: `{do: "publish", room: "chat:42", event: "said", data: {…}}`, an operation's id with all that its path and
 * its body take. `id` is the command's own: publishes go by it where they name no key, so that a command which comes again
 * publishes nothing again within the window of the room's kind. Rejects with `ProtocolError`, where no other try would
 * make sense, and with `EngineError`, where one does.
 */
export async function applyCommand(app: Application, command: unknown, id: string): Promise<void> {
  if (typeof command !== "object" || command === null || Array.isArray(command)) {
    throw new ProtocolError("command", "an object", describe(command));
  }
  const { do: name, ...fields } = command as { readonly [name: string]: unknown };
  const operation = commands.get(name);
  if (operation === undefined) throw new ProtocolError("do", `one of ${commandNames.join(", ")}`, describe(name));
  try {
    const answer = await operation.run(app, inputOf(operation, fields), { caller, key: id });
    if (operation.isPartial?.(answer)) failAsItems((answer as Results).results);
  } catch (error) {
    throw asOneOfTwo(error);
  }
}

function inputOf(operation: Operation, fields: { readonly [name: string]: unknown }): object {
  const params: { [name: string]: unknown } = {};
  const body: { [name: string]: unknown } = {};
  for (const [name, value] of Object.entries(fields)) {
    if (name in operation.params.shape) params[name] = value;
    else body[name] = value;
  }
  return readInput(operation, params, {}, body);
}

/** What went wrong with some events. Where another try helps one of them, that comes first: the others' keys are known. */
function failAsItems(results: readonly ItemResult[]): never {
  const errors = results.flatMap((result, index) => ("error" in result ? [{ ...result.error, index }] : []));
  const again = errors.find(({ code }) => code === "unavailable" || code === "timeout" || code === "internal");
  if (again !== undefined) {
    const code = again.code === "timeout" ? "timeout" : "unavailable";
    throw new EngineError(code, `[${again.index}] ${again.message}`, again.retryMs ?? 1000);
  }
  const [first] = errors;
  throw new ProtocolError(`[${first?.index}]`, "an event that can be published", first?.message ?? "another");
}

function asOneOfTwo(error: unknown): unknown {
  if (error instanceof InputError) {
    const [first] = error.errors;
    return new ProtocolError(first?.field ?? "command", first?.expected ?? "another", first?.got ?? "this one");
  }
  // A refusal with a time is worth another try.
  if (!(error instanceof Refusal)) return error;
  const { code, message, retryMs } = error;
  if (retryMs !== undefined) return new EngineError(code === "timeout" ? "timeout" : "unavailable", message, retryMs);
  return new ProtocolError("command", "one that may be done", message);
}
