/** What a client asks, as requests over HTTP; and their answers, as frames. */
import type { ClientFrame } from "../protocol/frames.js";
import type { Position } from "../protocol/positions.js";

/** An error frame, but for its id. */
export type Problem = {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly retryMs?: number;
};
export type Fetch = (path: string, options?: RequestInit) => Promise<Response>;

/** How soon to try again where nobody says it, in milliseconds. */
const RETRY_MS = 1000;

const written = (position: Position): string => `${position.epoch}:${position.offset}`;

/** The rooms' positions, as a stream's header names them. */
export function positionsOf(rooms: Iterable<readonly [string, { readonly position?: Position | undefined }]>): string {
  return [...rooms].flatMap(([room, { position }]) => (position ? `${room}=${written(position)}` : [])).join();
}

/** What an answer says that is none of those hoped for; also where it is a proxy's, which knows nothing of the protocol. */
export async function problemOf(response: Response): Promise<Problem> {
  const { status, headers } = response;
  const told = (await response.json().catch(() => undefined)) as
    | { code?: string; detail?: string; title?: string; retryMs?: number }
    | undefined;
  const isTemporary = status === 429 || status >= 500;
  const retryMs = told?.retryMs ?? (Number(headers.get("retry-after")) * 1000 || (told?.code ? 0 : RETRY_MS));
  return {
    type: "error",
    code: told?.code ?? (status === 413 ? "too_large" : "unavailable"),
    message: told?.detail ?? told?.title ?? `HTTP ${status}`,
    ...(isTemporary && retryMs && { retryMs }),
  };
}

type Asked = Extract<ClientFrame, { type: "publish" | "history" | "members" | "call" | "ping" }>;

async function answerTo(frame: Asked, fetch: Fetch): Promise<object> {
  const { id, type, room, ...body } = frame as Asked & { readonly room: string };
  const isPost = type === "publish" || type === "call";
  const values = Object.entries<unknown>(isPost ? {} : body);
  const query = new URLSearchParams(
    values.map(([name, value]) => [name, typeof value === "object" ? written(value as Position) : `${value}`]),
  );
  const [path, answer] = {
    publish: [`rooms/${encodeURIComponent(room)}/events`, "published"],
    history: [`rooms/${encodeURIComponent(room)}/history?${query}`, "history"],
    members: [`rooms/${encodeURIComponent(room)}/members?${query}`, "members"],
    call: ["call", "result"],
    // It says no more than that there is a way to the server.
    ping: ["socket", "pong"],
  }[type] as [string, string];
  const posted = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, isPost ? posted : {});
  if (response.ok) return { ...(await response.json()), type: answer };
  return type === "ping" ? { type: answer } : problemOf(response);
}

/** The frame that answers, but for its id. Never rejects: what was lost on the way may have had its effect. */
export function ask(frame: Asked, fetch: Fetch): Promise<object> {
  return answerTo(frame, fetch).catch((error: unknown) => {
    return { type: "error", code: "timeout", message: `${error}`, retryMs: RETRY_MS } satisfies Problem;
  });
}
