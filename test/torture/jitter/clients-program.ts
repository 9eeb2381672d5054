/** Clients of one contestant, in a process of their own. The arguments: whose they are, and the servers' ports. */
import { setTimeout as pause } from "node:timers/promises";
import { Publisher, pace } from "../crowd-publisher.js";
import { packPublished, Words } from "../packed.js";
import { obey } from "../part.js";
import { type Participant, ROOM, sides } from "./contestants.js";
import type { Collected, Contestant, Order, Progress } from "./orders.js";
import { type Kills, momentsOf, Way } from "./way.js";

const [, , contestant, ...ports] = process.argv;
const side = sides[contestant as Contestant];
const epochs = new Words();
const rooms = new Words();
const published: number[] = [];
const clients: { readonly number: number; readonly way: Way; readonly participant: Participant }[] = [];
let publishedCount = 0;
let stop = () => {};

const wayOf = (client: number): Way => new Way(ports.map(Number), client);

async function subscribe(count: number, first: number): Promise<void> {
  for (let number = first; number < first + count; number++) {
    const way = wayOf(number);
    clients.push({ number, way, participant: side.subscriber(String(number), way, epochs) });
    // It is not the first coming that is tested.
    if (number % 50 === 49) await pause(40);
  }
}

function publish(eventsPerSecond: number): void {
  const manner = side.publisher(wayOf(0));
  const publisher = new Publisher(0, [ROOM], manner, 1000, 0, ({ p, n, r }, sentAt, { outcome, position }) => {
    const one = { publisher: p, counter: n, room: r, outcome, position, sentAt, answeredAt: Date.now() };
    published.push(...packPublished(one, epochs, rooms));
    publishedCount++;
  });
  stop = pace([publisher], eventsPerSecond);
}

function kill(kills: Kills): void {
  for (const { number, way } of clients) {
    for (const moment of momentsOf(kills, number)) setTimeout(() => way.cut(kills.awayMs), moment);
  }
}

const sum = (of: (participant: Participant) => number): number =>
  clients.reduce((total, { participant }) => total + of(participant), 0);

function progress(): Progress {
  const [joined, deliveries] = [sum((one) => one.joined), sum((one) => one.deliveries)];
  return { joined, deliveries, published: publishedCount };
}

function collect(): Collected {
  const logs = clients.flatMap(({ participant }) => participant.logs());
  return {
    records: { epochs: epochs.all, rooms: rooms.all, logs, published },
    cuts: clients.reduce((total, { way }) => total + way.cuts, 0),
    unrecovered: sum((one) => one.unrecovered),
  };
}

obey((order: Order) => {
  switch (order.type) {
    case "subscribe":
      return subscribe(order.count, order.first);
    case "publish":
      return publish(order.eventsPerSecond);
    case "kill":
      return kill(order);
    case "stop":
      return stop();
    case "progress":
      return progress();
    case "collect":
      return collect();
  }
});
