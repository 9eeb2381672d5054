/** What rooms' logs hold in the end, as the HTTP API tells. */
import type { Position } from "../../protocol/positions.js";

/** An event of a log: whose it is, as its data say. */
export type Logged = { readonly publisher: number; readonly counter: number; readonly position: Position };

export type RoomLog = { readonly end: Position; readonly events: readonly Logged[] };

type Page = {
  readonly position?: Position;
  readonly events?: readonly { readonly offset: number; readonly data: { readonly p: number; readonly n: number } }[];
  readonly more: boolean;
};

/** Reads all that a room's log holds, at a node. Throws where it cannot be read. */
export async function readLog(url: string, room: string): Promise<RoomLog> {
  const events: Logged[] = [];
  let end: Position | undefined;
  for (let before: Position | undefined; ; ) {
    const place = before === undefined ? "" : `&before=${encodeURIComponent(`${before.epoch}:${before.offset}`)}`;
    const answer = await fetch(`${url}/v1/rooms/${encodeURIComponent(room)}/history?limit=1000${place}`, {
      headers: { connection: "close" },
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`expected the history of ${room}, got ${answer.status}: ${text.slice(0, 200)}`);
    const page = JSON.parse(text) as Page;
    end ??= page.position ?? { epoch: "", offset: 0 };
    const { epoch } = end;
    const read = (page.events ?? []).map(({ offset, data }) => {
      return { publisher: data.p, counter: data.n, position: { epoch, offset } };
    });
    events.unshift(...read);
    before = read[0]?.position;
    if (!page.more || before === undefined) return { end, events };
  }
}
