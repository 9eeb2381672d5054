/** A part of a crowd in a process of its own: run by `Crowd`, which sends it orders. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Client, connect, type Position } from "../../client/index.js";
import { signed } from "../support/sign.js";
import type { Collected, Loss, Order, Progress, PublishOrder, Sample, SubscribeOrder } from "./crowd-protocol.js";
import { BySdk, Once, Publisher, pace } from "./crowd-publisher.js";
import { Subscriber } from "./crowd-subscriber.js";
import { Way } from "./crowd-way.js";
import { packPublished, Words } from "./packed.js";
import { obey } from "./part.js";

/** The longest a client waits before another attempt, in milliseconds. */
const maxDelayMs = Number(process.argv[2]);
const epochs = new Words();
const roomWords = new Words();
const published: number[] = [];
const losses: Loss[] = [];
const errors = new Map<string, number>();
const subscribers: Subscriber[] = [];
/** Of the subscribers, in the order in which they came. */
const ways: Way[] = [];
const allWays: Way[] = [];
const samples: Sample[] = [];
const publishers: Publisher[] = [];
const stops: (() => void)[] = [];
const ends: { [room: string]: Position & { readonly at: number } } = {};
const stalls = monitorEventLoopDelay({ resolution: 5 });
let publishedCount = 0;
let urls: readonly string[] = [];
let dialed = Math.floor(Math.random() * 1000);

/** Where the next connection goes: to the nodes in turn, as behind a name with several addresses. */
const nextUrl = (): string => urls[dialed++ % urls.length] as string;

function open(way: Way, { queueSize = 1000, user }: { queueSize?: number; user?: string | undefined } = {}): Client {
  const token = user === undefined ? {} : { token: signed({ sub: user, info: { name: user } }) };
  const client = connect("http://nodes", { WebSocket: way.Socket, queueSize, maxDelayMs, ...token });
  way.client = client;
  allWays.push(way);
  let isConnected = false;
  let wasConnected = false;
  client.on("error", (error) => fault(error.message));
  client.on("state", (state) => {
    // Only what ends a connection that stood: attempts that fail are its consequence.
    if (isConnected && (state.status === "waiting" || state.status === "closed")) {
      losses.push({ at: Date.now(), code: state.code, reason: state.reason });
    }
    if (state.status !== "connecting") isConnected = state.status === "connected";
    if (state.status === "connected") wasConnected = true;
    else if (wasConnected) way.isDisturbed = true;
  });
  return client;
}

function fault(text: string): void {
  errors.set(text, (errors.get(text) ?? 0) + 1);
}

async function subscribe(order: SubscribeOrder): Promise<void> {
  const startedAt = Date.now();
  const moments = Array.from({ length: order.count }, () => Math.random() * order.withinMs).sort((a, b) => a - b);
  for (const [index, moment] of moments.entries()) {
    const waitMs = startedAt + moment - Date.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    // A burst of connections is spread a little, so that it is the rooms that are tested and not the listen queue.
    else if (index % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
    const { presence } = order;
    const way = new Way(nextUrl, presence);
    ways.push(way);
    const name = `${process.pid}-${subscribers.length + 1}`;
    const client = open(way, { user: presence ? name : undefined });
    const subscriber = new Subscriber(name, client, epochs);
    subscribers.push(subscriber);
    for (let each = 0; each < order.roomsEach; each++) {
      const room = order.rooms[(index * order.roomsEach + each) % order.rooms.length] as string;
      const end = Math.random() < order.resuming ? ends[room] : undefined;
      const since = end && { epoch: end.epoch, offset: end.offset };
      subscriber.watch(client.room(room, { ...(presence && { presence }), ...(since && { since }) }), {
        since,
        presence,
      });
    }
  }
}

function publish(order: PublishOrder): void {
  const mine = Array.from({ length: order.count }, (_, index) => {
    const manner =
      order.manner === "sdk" ? new BySdk(open(new Way(nextUrl), { queueSize: 100_000 })) : new Once(nextUrl, losses);
    return new Publisher(
      order.firstPublisher + index,
      order.rooms[index] ?? [],
      manner,
      order.maxWaiting,
      order.padding,
      ({ p, n, r }, sentAt, { outcome, position, error }) => {
        const answeredAt = Date.now();
        const one = { publisher: p, counter: n, room: r, outcome, position, sentAt, answeredAt };
        published.push(...packPublished(one, epochs, roomWords));
        publishedCount++;
        if (position !== undefined) ends[r] = { ...position, at: answeredAt };
        if (error !== undefined) fault(`publish: ${error}`);
      },
    );
  });
  publishers.push(...mine);
  stops.push(pace(mine, order.eventsPerSecond));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

function progress(far: { readonly [room: string]: Position }): Progress {
  return {
    waiting: sum(publishers.map((publisher) => publisher.waiting)),
    behind: sum(subscribers.map((subscriber) => subscriber.behind(far))),
    joined: sum(subscribers.map((subscriber) => subscriber.joined)),
    deliveries: sum(subscribers.map((subscriber) => subscriber.deliveries)),
    connected: allWays.filter((way) => way.node !== undefined).length,
    published: publishedCount,
    members: sum(subscribers.map((subscriber) => subscriber.members)),
    ends,
  };
}

/** Counts, at moments that are the same in all processes, how many clients are on each node. */
function sample(everyMs: number): void {
  const at = Math.ceil((Date.now() + 1) / everyMs) * everyMs;
  setTimeout(() => {
    const nodes: { [node: string]: number } = {};
    for (const { node } of allWays) if (node !== undefined) nodes[node] = (nodes[node] ?? 0) + 1;
    samples.push({ at, nodes });
    sample(everyMs);
  }, at - Date.now()).unref();
}

function closesByCode(): { [code: string]: number } {
  const counts: { [code: string]: number } = {};
  for (const code of allWays.flatMap((way) => way.closes)) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

function collect(): Collected {
  const logs = subscribers.flatMap((subscriber) => subscriber.logs());
  return {
    records: { epochs: epochs.all, rooms: roomWords.all, logs, published },
    losses,
    gapsMs: subscribers.flatMap((subscriber) => subscriber.gapsMs),
    errors: [...errors].map(([text, count]) => `${count} × ${text}`),
    sockets: allWays.map((way) => way.opened),
    disturbed: allWays.filter((way) => way.isDisturbed).length,
    openMs: allWays.flatMap((way) => way.openMs),
    closes: closesByCode(),
    stallMs: stalls.count === 0 ? 0 : stalls.max / 1e6,
    samples,
    members: subscribers.flatMap((subscriber) => subscriber.membersTold()),
    memberFrames: sum(ways.map((way) => way.memberFrames)),
  };
}

function mark(): void {
  for (const subscriber of subscribers) subscriber.mark();
  for (const way of ways) way.memberFrames = 0;
}

async function act(order: Order): Promise<unknown> {
  switch (order.type) {
    case "route":
      urls = order.urls;
      return undefined;
    case "subscribe":
      return subscribe(order);
    case "publish":
      return publish(order);
    case "stop":
      for (const stop of stops.splice(0)) stop();
      return undefined;
    case "cut":
      for (const way of ways.slice(0, Math.ceil(ways.length * order.share))) way.cut(order.forMs);
      return undefined;
    case "mark":
      return mark();
    case "stall":
      for (const way of ways) way.stall(order.stalled);
      return undefined;
    case "sample":
      stalls.enable();
      sample(order.everyMs);
      return undefined;
    case "progress":
      return progress(order.ends);
    case "collect":
      return collect();
  }
}

obey(act);
