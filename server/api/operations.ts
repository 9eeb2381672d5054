/** The table of the API: routes, documents, clients and the commands of the queue all come from it. */
import { nodes } from "./nodes.js";
import type { Operation } from "./operation.js";
import { batch, publish, publishMany } from "./publishing.js";
import { countRoom } from "./rooms.js";
import { block, disconnect, remove, revoke, unblock } from "./users.js";

/** Every operation by its id. */
export const table = {
  publish,
  publishMany,
  batch,
  countRoom,
  remove,
  disconnect,
  block,
  unblock,
  revoke,
  nodes,
} as const;

export type OperationId = keyof typeof table;

export const operations: readonly Operation[] = Object.values(table) as unknown as readonly Operation[];
