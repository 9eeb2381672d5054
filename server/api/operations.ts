/** The table of the API: routes, documents, clients and the commands of the queue all come from it. */
import { forget } from "./cache.js";
import { nodes } from "./nodes.js";
import type { Operation } from "./operation.js";
import { batch, publish, publishMany } from "./publishing.js";
import { countRoom, history, members, rooms } from "./rooms.js";
import { block, call, disconnect, remove, revoke, unblock } from "./users.js";

/** Every operation by its id. */
export const table = {
  publish,
  publishMany,
  batch,
  history,
  members,
  rooms,
  countRoom,
  remove,
  disconnect,
  block,
  unblock,
  revoke,
  call,
  forget,
  nodes,
} as const;

export type OperationId = keyof typeof table;

export const operations: readonly Operation[] = Object.values(table) as unknown as readonly Operation[];
