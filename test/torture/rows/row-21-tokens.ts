import { setTimeout as pause } from "node:timers/promises";
import { inSeconds, SigningKey, withSecret } from "../../support/tokens.js";
import { WsClient } from "../../support/ws-client.js";
import { check } from "../checker.js";
import type { NodeProcess } from "../node-process.js";
import { atLeast, counted, type Row, type RowResult, type Size, within } from "../row.js";
import { type Arrival, Arrivals } from "../tokens/arrivals.js";
import { helloFault, joinFault, renewFault, sayHello, shown } from "../tokens/asking.js";
import { badTokens } from "../tokens/bad-tokens.js";
import { goodClaims, Issuer } from "../tokens/issuer.js";
import type { Torture } from "../torture.js";

const sizes = {
  full: { perSecond: 50, rotations: 5, everyMs: 4000, outageMs: 10_000, calmMs: 3000 },
  reduced: { perSecond: 20, rotations: 2, everyMs: 600, outageMs: 1500, calmMs: 300 },
};

const LEAST_BAD = 40;
/** A room that nobody may join but with a token. */
const ROOM = "guarded:1";
/** Nodes end at once: what is asked is not how clients are moved. */
const QUICK = { noticeMs: 0, drainMs: 0, deadlineMs: 1000 };

const nothing = (faults: readonly string[]) => ({ ...check({ published: [], logs: [] }), examples: faults });

/** Shows every bad token as a hello, a renewal and a room's token, a good one of each way after each. */
async function refuseAll(torture: Torture): Promise<RowResult> {
  const issuer = await Issuer.start(torture);
  const [node] = await torture.startNodes(1, issuer.settings);
  if (node === undefined) throw new Error("expected a node");
  const session = await WsClient.connect(node.url, { hello: { token: withSecret(issuer.secret, goodClaims("ann")) } });
  torture.after(async () => session.end());
  const bad = badTokens(issuer);
  const faults: string[] = [];
  const texts: string[] = [];
  let goodRefused = 0;
  for (const [index, { what, make, code }] of bad.entries()) {
    torture.say(`${index + 1} of ${bad.length}: ${what}`);
    const token = make(goodClaims("ann"));
    const forRoom = make(goodClaims("ann", ROOM));
    texts.push(token, forRoom);
    const ways = {
      hello: await helloFault(node.url, token, code),
      renew: await renewFault(session, token, code),
      join: await joinFault(session, ROOM, forRoom, code),
    };
    for (const [way, fault] of Object.entries(ways)) if (fault !== undefined) faults.push(`${what}, ${way}: ${fault}`);
    const good = issuer.goodTokens(goodClaims(`u${index}`));
    const [by, shownToken] = good[index % good.length] as (typeof good)[number];
    const { answer } = await sayHello(node.url, shownToken);
    if (answer.type === "welcome") continue;
    goodRefused++;
    faults.push(`a good token by ${by}: ${shown(answer)}`);
  }
  faults.push(...(await swappedSorts(node, issuer, session)));
  const parts = texts.flatMap((text) => text.split(".")).filter((part) => part.length > 20);
  const leaked = parts.filter((part) => node.output.includes(part)).length;
  const known = await session.ask("joined", { type: "join", room: ROOM, token: roomToken(issuer) });
  return {
    asked: `1 node with secrets, keys in files and at an address; ${bad.length} bad tokens, each as a hello, a renewal and a room's token`,
    findings: nothing(faults),
    figures: { "bad tokens": bad.length, "reads of the keys": issuer.jwks.reads },
    verdicts: [
      atLeast("bad tokens", bad.length, LEAST_BAD),
      counted("not refused as they should be", faults.length - goodRefused),
      counted("good tokens refused between them", goodRefused),
      counted("parts of tokens in the log", leaked),
      counted("joined in the end, with a good token", known.room === ROOM ? 1 : 0, 1),
    ],
  };
}

const roomToken = (issuer: Issuer): string => withSecret(issuer.secret, goodClaims("ann", ROOM));

/** Good tokens, each where the other sort belongs. */
async function swappedSorts(node: NodeProcess, issuer: Issuer, session: WsClient): Promise<string[]> {
  const forSession = withSecret(issuer.secret, goodClaims("ann"));
  const faults = {
    "a room's token as a hello": await helloFault(node.url, roomToken(issuer), "unauthorized"),
    "a room's token as a renewal": await renewFault(session, roomToken(issuer), "unauthorized"),
    "a session's token as a room's": await joinFault(session, ROOM, forSession, "unauthorized"),
  };
  return Object.entries(faults).flatMap(([what, fault]) => (fault === undefined ? [] : [`${what}: ${fault}`]));
}

/** Good for less than a server takes, and signed now. */
const shortClaims = (user: string) => ({ ...goodClaims(user), iat: inSeconds(0), exp: inSeconds(50) });

/** Whose tokens arrive: of the newest key and of those before it, of the secret in use and the one before; and forged ones. */
class Traffic {
  readonly #issuer: Issuer;
  readonly #stranger = new SigningKey("ES256", "key of nobody");
  secret: string;
  /** Signed with keys that may be withdrawn meanwhile. */
  #kept: { readonly token: string; readonly key: SigningKey | undefined }[] = [];
  #count = 0;

  constructor(issuer: Issuer) {
    this.#issuer = issuer;
    this.secret = issuer.secret;
  }

  next(): Arrival {
    const claims = shortClaims(`u${++this.#count}`);
    const key = this.#issuer.listed.at(-1) as SigningKey;
    const kept = this.#kept[Math.floor(Math.random() * this.#kept.length)]?.token;
    switch (this.#count % 4) {
      case 0:
        return { what: `key ${key.keyId}`, token: this.#keep(key.token(claims), key), isGood: true };
      case 1:
        return { what: "an earlier token", token: kept ?? key.token(claims), isGood: true };
      case 2:
        return { what: "a secret", token: this.#keep(withSecret(this.secret, claims)), isGood: true };
      default:
        return {
          what: "a key of nobody",
          token: this.#stranger.token({ ...claims, iat: inSeconds(-60) }),
          isGood: false,
        };
    }
  }

  /** Shows nothing any more of what was signed with keys that are no longer listed: a server that starts cannot know them. */
  forget(): void {
    this.#kept = this.#kept.filter(({ key }) => key === undefined || this.#issuer.listed.includes(key));
  }

  #keep(token: string, key?: SigningKey): string {
    this.#kept.push({ token, key });
    // No older than some seconds: they have to be good still when they are shown.
    if (this.#kept.length > 200) this.#kept.shift();
    return token;
  }
}

/** Keys come and go, the list cannot be read for a while, and one secret takes the place of another. */
async function changeKeys(
  torture: Torture,
  issuer: Issuer,
  nodes: readonly NodeProcess[],
  traffic: Traffic,
  size: Size,
) {
  const { rotations, everyMs, outageMs, calmMs } = sizes[size];
  const rotate = (): void => {
    const key = new SigningKey("ES256", `key ${Math.random()}`);
    issuer.rotate([issuer.listed.at(-1) as SigningKey, key]);
  };
  for (let count = 1; count <= rotations; count++) {
    torture.say(`rotation ${count} of ${rotations}`);
    rotate();
    await pause(everyMs);
  }
  torture.say("the list cannot be read");
  await issuer.jwks.stop();
  await pause(outageMs);
  await issuer.jwks.startAgain();
  rotate();
  await pause(calmMs);
  traffic.forget();
  await pause(calmMs);
  const { secret, nextSecret } = issuer;
  const restart = async (settings: { secret: string; moreSecrets: string[] }): Promise<void> => {
    for (const node of nodes) {
      torture.say("a node is started again with other secrets");
      await node.end("SIGTERM");
      await node.restart(settings);
    }
    await pause(calmMs);
  };
  await restart({ secret, moreSecrets: [nextSecret] });
  traffic.secret = nextSecret;
  await pause(calmMs);
  await restart({ secret: nextSecret, moreSecrets: [secret] });
}

async function refuseNone(torture: Torture, size: Size): Promise<RowResult> {
  const { perSecond, rotations, outageMs } = sizes[size];
  const issuer = await Issuer.start(torture);
  const [withdrawn] = issuer.listed as readonly [SigningKey];
  issuer.rotate([withdrawn]);
  const jwks = { jwksRefreshMs: 2000, jwksCooldownMs: 200, maxTokenLifeMs: 60_000 };
  const nodes = await torture.startNodes(2, { ...issuer.settings, ...jwks, ...QUICK });
  const traffic = new Traffic(issuer);
  const arrivals = new Arrivals(
    nodes.map(({ url }) => url),
    () => traffic.next(),
  );
  const running = arrivals.run(perSecond);
  const startedAt = Date.now();
  await changeKeys(torture, issuer, nodes, traffic, size).finally(() => arrivals.stop());
  await running;
  const readFor = Date.now() - startedAt;
  // Started again since, the nodes have never seen it listed.
  const gone = await helloFault((nodes[0] as NodeProcess).url, withdrawn.token(goodClaims("ann")), "unauthorized");
  const faults = [...arrivals.faults, ...(gone === undefined ? [] : [`a key that is gone: ${gone}`])];
  return {
    asked: `2 nodes, ${perSecond} hellos/s for ${Math.round(readFor / 1000)} s; ${rotations + 1} new keys, each signing as soon as it is listed; the list away for ${outageMs / 1000} s; a secret changed for another`,
    findings: nothing(faults),
    figures: {
      "good tokens honoured": arrivals.welcomed,
      "bad tokens turned away": arrivals.turnedAway,
      "asked to come again, the key not being known yet": arrivals.askedAgain,
      "longest until let in": `${Math.round(arrivals.longestMs)} ms`,
      "reads of the keys": issuer.jwks.reads,
    },
    verdicts: [
      counted("good tokens refused", arrivals.refused),
      counted("good tokens never let in", arrivals.kept),
      counted("accepted wrongly", arrivals.intruders + (gone === undefined ? 0 : 1)),
      atLeast("good tokens honoured", arrivals.welcomed, perSecond),
      atLeast("bad tokens turned away", arrivals.turnedAway),
      within("longest until let in", arrivals.longestMs, 3000),
    ],
  };
}

export const row21: Row = {
  number: 21,
  title: "40 bad tokens (none, confusion, no exp, wrong aud/iss/kid, skew, keys rotated or unreachable)",
  passesWhen: "0 accepted wrongly, 0 good ones refused in rotation",
  variants: ["bad tokens", "rotation"],
  run: (torture, size, variant) => (variant === "rotation" ? refuseNone(torture, size) : refuseAll(torture)),
};
