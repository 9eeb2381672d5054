/** A process of row 25: very many rooms, users and addresses, of which none comes twice. */
import { createHmac } from "node:crypto";
import { obey } from "../part.js";
import { LeanClient } from "./lean-client.js";
import type { SwarmOrder, Tally } from "./swarm-orders.js";

const tally: Tally = { joined: 0, left: 0, published: 0, welcomed: 0, lost: 0, errors: 0, examples: [] };
/** Where the numbers of residents' addresses begin: above those of all others. */
const RESIDENTS = 1_000_000_000;
/** Requests of one client at once. */
const WINDOW = 16;
const MOST_EXAMPLES = 5;

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const HEAD = encoded({ alg: "HS256", typ: "JWT" });

function tokenOf(user: string, secret: string): string {
  const body = `${HEAD}.${encoded({ sub: user, exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/** An address that no other number has: IPv4 and, of IPv6, another /64, by turns. */
function addressOf(number: number): string {
  if (number % 2 === 0) return `${20 + (number >> 24)}.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
  return `2001:db8:${(number >> 16).toString(16)}:${(number & 0xffff).toString(16)}::1`;
}

function failed(text: string): void {
  tally.errors++;
  if (tally.examples.length < MOST_EXAMPLES) tally.examples.push(text.slice(0, 300));
}

/** A client in rooms of its own. */
type Resident = { readonly client: LeanClient; readonly rooms: string[]; leaving: number; meant: boolean };
const residents: Resident[] = [];

/** Opens a client that joins all these rooms; resolves once it is in all of them, or has ended. */
function reside(order: SwarmOrder & { type: "rooms" }, number: number): Promise<void> {
  const { port, secret, first, roomsEach } = order;
  const rooms = Array.from({ length: roomsEach }, (_, index) => `room:${first + number * roomsEach + index}`);
  let next = 0;
  let done = 0;
  return new Promise((resolve) => {
    const join = (client: LeanClient) => {
      if (next < rooms.length) client.send(`{"type":"join","id":${next},"room":"${rooms[next++]}"}`);
    };
    const finished = (client: LeanClient) => {
      if (++done === rooms.length) resolve();
      else join(client);
    };
    const client = new LeanClient({
      port,
      address: addressOf(RESIDENTS + first + number),
      onOpen: (opened) =>
        opened.send(`{"type":"hello","id":1,"token":"${tokenOf(`resident ${first + number}`, secret)}"}`),
      onText: (opened, text) => {
        if (text.startsWith('{"type":"joined"')) {
          tally.joined++;
          const id = Number(/"id":(\d+)/.exec(text)?.[1]);
          opened.send(`{"type":"publish","id":${id},"room":"${rooms[id]}","event":"here","data":1,"key":"${id}"}`);
        } else if (text.startsWith('{"type":"published"')) {
          tally.published++;
          finished(opened);
        } else if (text.startsWith('{"type":"left"')) {
          tally.left++;
          leaveNext(resident);
        } else if (text.startsWith('{"type":"welcome"')) {
          tally.welcomed++;
          for (let lane = 0; lane < WINDOW; lane++) join(opened);
        } else if (text.startsWith('{"type":"error"')) {
          failed(text);
          finished(opened);
        }
      },
      onEnd: (_, code) => {
        if (!resident.meant) {
          tally.lost++;
          failed(`a resident was closed with ${code}`);
        }
        resolve();
        resident.leaving = Number.POSITIVE_INFINITY;
      },
    });
    const resident: Resident = { client, rooms, leaving: 0, meant: false };
    residents.push(resident);
  });
}

function leaveNext(resident: Resident): void {
  const { client, rooms } = resident;
  const room = rooms[resident.leaving++];
  if (room !== undefined) client.send(`{"type":"leave","id":1,"room":"${room}"}`);
  else if (resident.leaving >= rooms.length + WINDOW) end(resident);
}

function end(resident: Resident): void {
  resident.meant = true;
  resident.client.cut();
}

/** Resolves once every resident has left: the first half room by room, the others by ending, one after the other. */
async function leave(): Promise<void> {
  const all = residents.splice(0);
  for (const [index, resident] of all.entries()) {
    if (index % 2 === 0) for (let lane = 0; lane < WINDOW; lane++) leaveNext(resident);
    else end(resident);
    while (resident.leaving !== Number.POSITIVE_INFINITY) await new Promise((look) => setTimeout(look, 5));
  }
}

/** One user after the other in this lane, until all have been there. */
function pass(order: SwarmOrder & { type: "users" }, take: () => number | undefined): Promise<void> {
  const { port, secret } = order;
  return new Promise((resolve) => {
    const begin = (): void => {
      const number = take();
      if (number === undefined) {
        resolve();
        return;
      }
      let meant = false;
      new LeanClient({
        port,
        address: addressOf(number),
        onOpen: (client) => client.send(`{"type":"hello","id":1,"token":"${tokenOf(`user ${number}`, secret)}"}`),
        onText: (client, text) => {
          if (text.startsWith('{"type":"welcome"')) {
            tally.welcomed++;
            const room = `crowd:${number}`;
            client.send(`{"type":"publish","id":2,"room":"${room}","event":"was","data":1,"key":"k"}`);
            return;
          }
          if (text.startsWith('{"type":"heartbeat"')) return;
          if (text.startsWith('{"type":"published"')) tally.published++;
          else failed(text);
          meant = true;
          client.cut();
        },
        onEnd: (_, code) => {
          if (!meant) {
            tally.lost++;
            failed(`a user was closed with ${code}`);
          }
          begin();
        },
      });
    };
    begin();
  });
}

async function users(order: SwarmOrder & { type: "users" }): Promise<void> {
  let next = order.first;
  const take = () => (next < order.first + order.count ? next++ : undefined);
  await Promise.all(Array.from({ length: order.atOnce }, () => pass(order, take)));
}

obey(async (order: SwarmOrder): Promise<Tally> => {
  if (order.type === "rooms") {
    await Promise.all(Array.from({ length: order.clients }, (_, number) => reside(order, number)));
  } else if (order.type === "leave") await leave();
  else if (order.type === "users") await users(order);
  return tally;
});
