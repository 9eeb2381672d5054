/** A page that is built of the hooks, for `react.test.ts`: it shows what it is told to, and notes what it was told. */
import { Activity, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { type Client, connect } from "roomcast/client";
import {
  RoomcastProvider,
  useClient,
  useConnection,
  useEvent,
  useEvents,
  useMembers,
  useReset,
  useRoom,
} from "roomcast/client/react";

type Events = { said: string; typing: null };
/** What is mounted: each with the room that it uses. */
type Shown = {
  readonly chats?: readonly { readonly room: string; readonly past?: boolean }[];
  readonly who?: string;
  /** Kept as it is, and not seen. */
  readonly hidden?: boolean;
};

const heard: string[] = [];
const states: string[] = [];
const memberViews: string[] = [];
const clients: Client[] = [];

function note(list: string[], what: string): void {
  if (list.at(-1) !== what) list.push(what);
}

function Chat({ room: name, past = false }: { readonly room: string; readonly past?: boolean }) {
  const { room, state } = useRoom<Events>(useClient(), name);
  const [resets, setResets] = useState(0);
  const { events, isLoading } = useEvents(room, { event: "said", limit: 5, past });
  // Another listener in each rendering.
  useEvent(room, "said", ({ data }) => heard.push(resets ? `${data} after ${resets} resets` : data));
  useReset(room, () => setResets(resets + 1));
  return (
    <section data-room={name} data-state={state.status} data-resets={resets} data-loading={isLoading}>
      {events.map(({ data, offset }) => (
        <li key={offset}>{data}</li>
      ))}
    </section>
  );
}

function Who({ room: name }: { readonly room: string }) {
  const { room } = useRoom(useClient(), name, { presence: true });
  const { members, count, isListed } = useMembers(room);
  const users = members.map(({ user }) => user).sort();
  note(memberViews, isListed ? users.join(" ") : "not listed");
  return (
    <ul data-count={count}>
      {users.map((user) => (
        <li key={user}>{user}</li>
      ))}
    </ul>
  );
}

function State({ onState }: { readonly onState: (status: string) => void }) {
  const { status } = useConnection(useClient());
  onState(status);
  return <output>{status}</output>;
}

function Page({ chats = [], who, hidden = false }: Shown) {
  return (
    <>
      <State onState={(status) => note(states, status)} />
      <Activity mode={hidden ? "hidden" : "visible"}>
        {chats.map((chat, index) => (
          // Two may be of one room.
          // biome-ignore lint/suspicious/noArrayIndexKey: the place is what tells them apart
          <Chat key={index} {...chat} />
        ))}
        {who && <Who room={who} />}
      </Activity>
    </>
  );
}

const root = createRoot(document.getElementById("root") as HTMLElement);

function open(url: string, user: string): Client {
  const client = connect(url, { token: user, minDelayMs: 20, maxDelayMs: 100 });
  clients.push(client);
  return client;
}

/** Shows the page for that user, in StrictMode; nothing where `shown` is `null`. */
function show(url: string, user: string, shown: Shown | null): void {
  root.render(
    shown && (
      <StrictMode>
        <RoomcastProvider key={user} connect={() => open(url, user)}>
          <Page {...shown} />
        </RoomcastProvider>
      </StrictMode>
    ),
  );
}

export type Api = {
  readonly show: typeof show;
  readonly heard: readonly string[];
  readonly states: readonly string[];
  readonly memberViews: readonly string[];
  readonly clients: readonly Client[];
};
Object.assign(globalThis, { api: { show, heard, states, memberViews, clients } satisfies Api });
