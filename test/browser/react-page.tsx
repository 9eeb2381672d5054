/** A page that is built of the hooks, for `react.test.ts`: it shows what it is told to, and notes what it was told. */
import { Activity, StrictMode, Suspense, use, useState } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
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
type ChatProps = {
  readonly room: string;
  readonly past?: boolean;
  /** Rendered, and never finished. */
  readonly isWaiting?: boolean;
};
type Shown = {
  readonly chats?: readonly ChatProps[];
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

const never = new Promise<never>(() => {});

function Never(): undefined {
  use(never);
}

function Chat({ room: name, past = false, isWaiting = false }: ChatProps) {
  const { room, state } = useRoom<Events>(useClient(), name);
  const [resets, setResets] = useState(0);
  const { events, isLoading } = useEvents(room, { event: "said", limit: 5, past });
  // Another listener in each rendering.
  useEvent(room, "said", ({ data }) => heard.push(resets ? `${data} after ${resets} resets` : data));
  useReset(room, () => setResets(resets + 1));
  return (
    <section data-room={name} data-state={state.status} data-resets={resets} data-loading={isLoading}>
      {isWaiting && <Never />}
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
          <Suspense key={index}>
            <Chat {...chat} />
          </Suspense>
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

function Alone({ client, room }: { readonly client: Client; readonly room: string }) {
  const used = useRoom<Events>(client, room, { presence: true });
  const { events } = useEvents(used.room);
  const { members } = useMembers(used.room);
  const shown = [useConnection(client).status, used.state.status, ...members.map(({ user }) => user)];
  return <main>{[...shown, ...events.map(({ event }) => event)].join(" ")}</main>;
}

/** The HTML of a server's rendering, and a page that takes it over when its client is there already. */
function hydrate(url: string, user: string, room: string): string {
  const page = <Alone client={clients[0] ?? open(url, user)} room={room} />;
  const html = renderToString(page);
  const place = document.body.appendChild(document.createElement("div"));
  place.innerHTML = html;
  hydrateRoot(place, page);
  return html;
}

export type Api = {
  readonly hydrate: typeof hydrate;
  readonly show: typeof show;
  readonly heard: readonly string[];
  readonly states: readonly string[];
  readonly memberViews: readonly string[];
  readonly clients: readonly Client[];
};
Object.assign(globalThis, { api: { hydrate, show, heard, states, memberViews, clients } satisfies Api });
