/** Who is in a room by the pages of the HTTP API, and how many the room says there are. */
import { membersKey } from "./settings.js";

type Page = { readonly members: readonly { readonly user: string }[]; readonly count: number; readonly next?: string };

export type Paged = {
  readonly users: readonly string[];
  /** What the pages have said of the whole room; more than one where they differ. */
  readonly counts: ReadonlySet<number>;
};

async function get<T>(url: string): Promise<T> {
  const answer = await fetch(url, {
    headers: { authorization: `Bearer ${membersKey}`, connection: "close" },
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${new URL(url).pathname}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

/** Walks all pages, so many members each, at one node. */
export async function pagesOf(nodeUrl: string, room: string, limit: number): Promise<Paged> {
  const start = `${nodeUrl}/v1/rooms/${encodeURIComponent(room)}`;
  const users: string[] = [];
  const counts = new Set([(await get<{ members: number }>(start)).members]);
  let after: string | undefined;
  do {
    const from = after === undefined ? "" : `&after=${encodeURIComponent(after)}`;
    const page: Page = await get<Page>(`${start}/members?limit=${limit}${from}`);
    users.push(...page.members.map(({ user }) => user));
    counts.add(page.count);
    after = page.next;
  } while (after !== undefined);
  return { users, counts };
}
