/** Two targets at the level of TCP: WebSockets and what comes before them, and plain HTTP, at both ports. */
import fc from "fast-check";
import type { ClientFrame } from "../../protocol/frames.js";
import { clientFrame } from "../protocol/arbitraries.js";
import { codecs } from "../protocol/codecs.js";
import type { Random } from "../support/random.js";
import { frameBytes, OPCODE } from "../support/raw-socket.js";
import { type Attack, type Step, smallerAttacks, split } from "./attack.js";
import { mutated } from "./bytes.js";
import { plainRequest, upgradeRequest } from "./requests.js";
import type { Target } from "./target.js";
import { oddToken } from "./tokens.js";
import type { Victim } from "./victim.js";

const right = fc.sample(clientFrame(false), { numRuns: 200, seed: 2 });

/** What most of a fuzzer's connections have to say, or none of what follows would be looked at. */
const OPENING: readonly ClientFrame[] = [
  { type: "hello", id: 1 },
  { type: "join", id: 2, room: "fuzz:1" },
  { type: "publish", id: 3, room: "fuzz:1", event: "e", data: { a: [1] } },
];

function encoded(frame: ClientFrame, isMsgpack: boolean): Buffer {
  const codec = codecs[isMsgpack ? 1 : 0]?.client;
  return Buffer.from((codec?.encode(frame) ?? "") as Uint8Array);
}

/** One frame of WebSocket: what is in it, how it is wrapped and how long it says it is may each be wrong. */
function webSocketFrame(random: Random, payload: Buffer, isMsgpack: boolean, harm: number): Buffer {
  const mask = Uint8Array.from([random.below(256), random.below(256), random.below(256), random.below(256)]);
  const usual = { payload, mask, opcode: isMsgpack ? OPCODE.binary : OPCODE.text };
  if (!random.chance(harm)) return frameBytes(usual);
  const kind = random.below(9);
  if (kind === 0) return frameBytes({ ...usual, opcode: random.below(16) });
  if (kind === 1) return frameBytes({ ...usual, reserved: random.below(8) });
  if (kind === 2) return frameBytes({ ...usual, masked: false });
  if (kind === 3) return frameBytes({ ...usual, fin: false });
  if (kind === 4) return frameBytes({ ...usual, lengthBytes: 8 });
  if (kind === 5) {
    const lengthBytes = random.pick([2, 8] as const);
    const length = random.pick([
      0,
      1,
      payload.length + 1,
      65_535,
      ...(lengthBytes === 8 ? [2 ** 31, 2 ** 32, 2 ** 52] : []),
    ]);
    return frameBytes({ ...usual, length, lengthBytes });
  }
  if (kind === 6) {
    const code = random.pick([0, 999, 1000, 1004, 1005, 1006, 1012, 2999, 3000, 4001, 4999, 5000, 65_535]);
    const body = Buffer.concat([Buffer.from([code >> 8, code & 255]), payload.subarray(0, random.below(140))]);
    return frameBytes({
      mask,
      payload: body.subarray(0, random.pick([0, 1, 2, 2, body.length])),
      opcode: OPCODE.close,
    });
  }
  if (kind === 7)
    return frameBytes({ ...usual, payload: payload.subarray(0, 130), opcode: random.pick([OPCODE.ping, OPCODE.pong]) });
  const middle = random.below(payload.length + 1);
  return Buffer.concat([
    frameBytes({ ...usual, payload: payload.subarray(0, middle), fin: false }),
    ...(random.chance(0.5) ? [frameBytes({ mask, payload: "p", opcode: OPCODE.ping })] : []),
    frameBytes({
      ...usual,
      payload: payload.subarray(middle),
      opcode: random.pick([OPCODE.continuation, usual.opcode]),
    }),
  ]);
}

/** So many parts at most, or the other attacks of its batch would wait for one. */
const MOST_PARTS = 24;

/** As one write, as a few, or byte by byte. */
function inParts(random: Random, bytes: Buffer): Step[] {
  const kind = random.below(10);
  if (kind < 5) return split(bytes, []);
  const from = kind === 9 ? random.below(bytes.length + 1) : 0;
  const places = Array.from({ length: kind === 9 ? MOST_PARTS : 1 + random.below(3) }, (_, at) =>
    kind === 9 ? from + at : random.below(bytes.length + 1),
  );
  return split(
    bytes,
    places.filter((place) => place <= bytes.length).sort((a, b) => a - b),
  );
}

abstract class ConnectionTarget implements Target<Attack> {
  abstract readonly name: string;
  readonly #victim: Victim;

  constructor(victim: Victim) {
    this.#victim = victim;
  }

  abstract make(random: Random): Attack;

  async check(attacks: readonly Attack[]): Promise<readonly (string | undefined)[]> {
    const found = await this.#victim.attack(attacks);
    const { metricsPort } = this.#victim;
    if (!this.bothPorts || metricsPort === undefined) return found;
    const atMetrics = await this.#victim.attack(attacks, metricsPort);
    return found.map((what, index) => what ?? (atMetrics[index] && `at the metrics' port: ${atMetrics[index]}`));
  }

  protected readonly bothPorts: boolean = false;

  smaller(attack: Attack): Iterable<Attack> {
    return smallerAttacks(attack);
  }
}

export class SocketTarget extends ConnectionTarget {
  readonly name = "socket";

  make(random: Random): Attack {
    const harm = random.pick([0, 0, 0, 0.2, 0.6]);
    const isMsgpack = random.chance(0.4);
    const request = upgradeRequest(random, harm);
    const subprotocol = "Sec-WebSocket-Protocol: roomcast.v1.msgpack\r\n\r\n";
    const asked = isMsgpack && request.endsWith("\r\n\r\n") ? `${request.slice(0, -2)}${subprotocol}` : request;
    let head: Buffer = Buffer.from(asked, "latin1");
    if (random.chance(harm / 2)) head = mutated(head, random);
    const steps = inParts(random, head);
    const spoiled = random.pick([0, 0.1, 0.5]);
    const opening = OPENING.slice(0, random.below(OPENING.length + 1)).map((frame): ClientFrame => {
      const hasToken = (frame.type === "hello" || frame.type === "join") && random.chance(0.1);
      return hasToken ? { ...frame, token: oddToken(random) } : frame;
    });
    const more = Array.from({ length: random.below(5) }, () => random.pick(right));
    let frames: Buffer = Buffer.concat(
      [...opening, ...more].map((frame) => {
        const payload = encoded(frame, isMsgpack);
        const harmed = random.chance(spoiled) ? mutated(payload, random) : payload;
        return webSocketFrame(random, harmed, isMsgpack, spoiled);
      }),
    );
    if (random.chance(0.1)) frames = mutated(frames, random);
    steps.push(...inParts(random, frames));
    if (random.chance(0.1)) steps.splice(random.below(steps.length + 1), 0, { end: true });
    return { steps };
  }
}

export class HttpTarget extends ConnectionTarget {
  readonly name = "http";
  protected override readonly bothPorts = true;

  make(random: Random): Attack {
    let bytes: Buffer = Buffer.from(
      Array.from({ length: 1 + random.below(4) }, () => plainRequest(random)).join(""),
      "latin1",
    );
    while (random.chance(0.4)) bytes = mutated(bytes, random);
    const steps = inParts(random, bytes);
    if (random.chance(0.1)) steps.splice(random.below(steps.length + 1), 0, { end: true });
    return { steps };
  }
}
