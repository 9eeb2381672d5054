import { useEffect, useReducer, useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "roomcast/client";
import { RoomcastProvider, useClient, useConnection, useEvent, useMembers, useRoom } from "roomcast/client/react";

declare const ROOMCAST_URL: string; // put in by server.ts

const tokenOf = async (name: string) => (await fetch(`/token?name=${encodeURIComponent(name)}`)).text();
const open = (name: string) => connect(ROOMCAST_URL, name ? { token: () => tokenOf(name) } : {});

type News = readonly { readonly id: number; readonly line: string }[];
const add = (news: News, line: string): News => [{ id: (news[0]?.id ?? 0) + 1, line }, ...news].slice(0, 6);

const hueOf = (user: string) => [...user].reduce((sum, letter) => sum + 47 * letter.charCodeAt(0), 0) % 360;

function Who({ me }: { readonly me: string }) {
  const client = useClient();
  const { status } = useConnection(client);
  const { room } = useRoom<{ waved: null }>(client, "page:1", { presence: true });
  const { members, count = 0 } = useMembers(room);
  const [news, tell] = useReducer(add, []);
  useEffect(() => room?.onEnter(({ user }) => tell(`${user} came`)), [room]);
  useEffect(() => room?.onLeave(({ user }) => tell(`${user} left`)), [room]);
  useEvent(room, "waved", ({ from }) => tell(`${from} waved`));
  const lines = news.map(({ id, line }) => <li key={id}>{line}</li>);
  const faces = members.map(({ user }) => (
    <li key={user} className={user === me ? "me" : ""}>
      <span style={{ background: `hsl(${hueOf(user)} 55% 36%)` }}>{user.slice(0, 1).toUpperCase()}</span> {user}
    </li>
  ));
  return (
    <>
      <p data-status={status}>{status === "connected" ? `${count} here` : status}</p>
      <ul>{faces}</ul>
      {count > members.length && <small>and {count - members.length} without a name</small>}
      <button type="button" disabled={!me} onClick={() => room?.publish("waved", null)}>
        Wave
      </button>
      <ol aria-live="polite">{lines}</ol>
    </>
  );
}

function Page() {
  const [me, setMe] = useState("");
  return (
    <RoomcastProvider key={me} connect={() => open(me)}>
      <h1>Who is here</h1>
      <form action={(form) => setMe(String(form.get("name")).trim())}>
        <input name="name" aria-label="Your name" placeholder="Your name" maxLength={24} defaultValue={me} />
        <button type="submit">{me ? "Change" : "Enter"}</button>
      </form>
      <Who me={me} />
    </RoomcastProvider>
  );
}

createRoot(document.getElementById("root") as HTMLElement).render(<Page />);
