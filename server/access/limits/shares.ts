/**
 * Limits that hold for all nodes together, without asking anybody: each node counts its own, and tells the others once a
 * second of those who use much. Pure: the time is given, in milliseconds, of a clock that never goes back.
 */
import { Rate, waitMsOf } from "./bucket.js";
import { ElsewhereCounts, LAPSE_MS, MAX_WATCHED, type Told, tellFrom } from "./elsewhere.js";

/** So much of the rate may be published at once. */
const BURST_MS = 1000;
/** The same, of a node's share of the rate. */
const SHARE_BURST_MS = 250;
/** What the nodes can have let through before they heard of each other, for each of them. */
const DEBT_MS = 2000;
/** The most users that are remembered without a session here. */
const MAX_COOLING = 100_000;
/** Where more than so many users, or rooms, are to be told of, only heavier ones are from then on. */
const MANY_WATCHED = 2000;
/** How much heavier at the most. */
const MOST_SCALE = 1024;

/** What a user of a tenant counts as. No two users have the same: a tenant's name has no `|`, and is not empty before one. */
export const userKey = (tenant: string, user: string): string =>
  tenant === "" && !user.includes("|") ? user : `${tenant}|${user}`;

/** What a user uses. All sessions of the user on this node share it. */
export class UserUse {
  readonly key: string;
  /** How many hold it: sessions, those included that move away and do not count any more. */
  links = 0;
  sessions = 0;
  /** Published here and not told yet, in `period`. */
  published = 0;
  period = 0;
  /** The last period in which the others were told of it. */
  toldIn = -2;
  /** The bucket of everything that is heard to be published, on all nodes, and the one of this node's share. */
  fullAt = 0;
  shareFullAt = 0;
  line = 0;
  /** The other nodes on which the user publishes, and when each said so last. */
  rivals: Map<string, number> | undefined;

  constructor(key: string) {
    this.key = key;
  }
}

export type UserLimits = {
  /** Sessions at once. */
  readonly userConnections: number;
  /** Events a second. */
  readonly userPublishRate: number;
};

/**
 * The users with sessions here, and what they use on all nodes.
 *
 * **Publishes.** A bucket of the full rate takes in what is published here at once, and what the others tell once they do.
 * Where it is empty and others publish too, a node still lets through its share: the rate, divided by the nodes that
 * publish for the user. So, in any time T, all nodes together let through no more than `rate × 5/4 × T`, and twice the rate
 * and one more for each node: a second's worth may come at once, and a second passes before the others hear of it. The quarter is what
 * nobody tells of, since it is too little on each node. What was too much once is made up for: a user who floods all
 * nodes, rests and floods again gets no more than one who never rests.
 *
 * **Sessions.** A new one is refused where there are as many as may be, here and as the others told. What is opened on
 * several nodes within the second before they hear of each other may be too much, up to the limit on each, and so may the
 * quarter that nobody tells of. What is there stays: it only keeps new ones out. A session that was told to move counts
 * where it goes, and no longer where it was.
 *
 * A node tells of a few hundred, the heaviest first. Where limits are so small that thousands of users are near them all
 * the time, the others are held to them by each node alone.
 */
export class UserShares {
  readonly #limits: UserLimits;
  readonly #rate: Rate;
  /** The rates of shares, by the number of other nodes. */
  readonly #shares: Rate[] = [];
  readonly #users = new Map<string, UserUse>();
  /** Those nobody holds, until their buckets are full and what others said has lapsed. */
  readonly #cooling = new Set<UserUse>();
  readonly #contested = new Set<UserUse>();
  readonly #elsewhere = new ElsewhereCounts();
  /** Those the others are to be told of. */
  readonly #watched = new Set<UserUse>();
  #period = 0;
  #scale = 1;
  #publishedFrom: number;
  #sessionsFrom: number;
  /** Called when the others should hear of someone before the second is over. */
  onNews: () => void = () => undefined;

  constructor(limits: UserLimits) {
    this.#limits = limits;
    this.#rate = new Rate(limits.userPublishRate, BURST_MS);
    this.#publishedFrom = tellFrom(limits.userPublishRate, 1);
    this.#sessionsFrom = tellFrom(limits.userConnections, 1);
  }

  /** How many users are remembered. */
  get size(): number {
    return this.#users.size + this.#elsewhere.size;
  }

  /** How many sessions the user has here at the most: those included that move away, and requests of its own by HTTP. */
  heldBy(key: string): number {
    return this.#users.get(key)?.links ?? 0;
  }

  /** Whether the user may have one more session. */
  mayEnter(key: string, now: number): boolean {
    const here = this.#users.get(key)?.sessions ?? 0;
    return here + this.#elsewhere.of(key, now) < this.#limits.userConnections;
  }

  /** Counts a session, whether it may be or not; `leave` is to be called with what this gives. */
  enter(key: string): UserUse {
    const use = this.#find(key);
    this.#cooling.delete(use);
    use.links++;
    if (++use.sessions >= this.#sessionsFrom) this.#watch(use);
    return use;
  }

  #find(key: string): UserUse {
    let use = this.#users.get(key);
    if (use === undefined) {
      use = new UserUse(key);
      this.#users.set(key, use);
    }
    return use;
  }

  /** A session that was told to move counts no more; it may go on publishing until it leaves. */
  moves(use: UserUse): void {
    use.sessions--;
  }

  /** A session has ended; `counted`: it was not told to move. */
  leave(use: UserUse, counted: boolean, now: number): void {
    if (counted) use.sessions--;
    if (--use.links > 0) return;
    if (this.#isIdle(use, now)) this.#forget(use);
    else this.#cool(use);
  }

  #isIdle(use: UserUse, now: number): boolean {
    return use.fullAt <= now && use.rivals === undefined && !this.#watched.has(use);
  }

  #cool(use: UserUse): void {
    this.#cooling.add(use);
    if (this.#cooling.size <= MAX_COOLING) return;
    const [oldest] = this.#cooling;
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(use: UserUse): void {
    this.#users.delete(use.key);
    this.#cooling.delete(use);
    this.#contested.delete(use);
    this.#watched.delete(use);
  }

  /** Counts a publish: 0. Or refuses it: after how many milliseconds to try again. */
  publish(use: UserUse, now: number): number {
    const after = this.#rate.after(use.fullAt, now);
    const rivals = use.rivals?.size ?? 0;
    if (rivals === 0) {
      if (!this.#rate.holds(after, now)) return this.#refuse(use, this.#rate, now, after);
    } else {
      const share = this.#shareOf(rivals);
      const shareAfter = share.after(use.shareFullAt, now);
      if (!share.holds(shareAfter, now) && !this.#rate.holds(after, now)) {
        return this.#refuse(use, share, now, shareAfter);
      }
      use.shareFullAt = shareAfter;
    }
    use.fullAt = Math.min(after, this.#mostDebt(use, now));
    this.#count(use);
    return 0;
  }

  #refuse(use: UserUse, rate: Rate, now: number, after: number): number {
    use.line = rate.lineAfter(use.line, now, after);
    return waitMsOf(use.line, now);
  }

  #shareOf(rivals: number): Rate {
    this.#shares[rivals] ??= new Rate(this.#limits.userPublishRate / (rivals + 1), SHARE_BURST_MS);
    return this.#shares[rivals];
  }

  /** How empty the bucket may be: more cannot have been published before anybody heard of it. */
  #mostDebt(use: UserUse, now: number): number {
    return now + this.#rate.burstMs + DEBT_MS * (1 + (use.rivals?.size ?? 0));
  }

  #count(use: UserUse): void {
    if (use.period !== this.#period) {
      use.period = this.#period;
      use.published = 0;
    }
    if (++use.published === this.#publishedFrom) this.#watch(use);
  }

  #watch(use: UserUse): void {
    const isNews = use.toldIn < this.#period - 1 || use.sessions >= this.#sessionsFrom;
    if (this.#watched.size < MAX_WATCHED) this.#watched.add(use);
    if (isNews) this.onNews();
  }

  /**
   * What the others are to be told, the heaviest first, as far as there is room: `fits` is asked for each, and takes it in.
   * `ends`: whether the second is over, or this is news within it. `nodes`: how many there are.
   */
  tell(fits: (name: string) => boolean, ends: boolean, nodes: number): Told["users"] {
    const { userConnections, userPublishRate } = this.#limits;
    this.#publishedFrom = tellFrom(userPublishRate, nodes, this.#scale);
    this.#sessionsFrom = tellFrom(userConnections, nodes, this.#scale);
    const publishedBy = (use: UserUse): number => (use.period === this.#period ? use.published : 0);
    const weight = (use: UserUse): number => use.sessions / userConnections + publishedBy(use) / userPublishRate;
    const heaviest = [...this.#watched].sort((a, b) => weight(b) - weight(a)).filter(({ key }) => fits(key));
    const told = heaviest.map((use) => [use.key, Math.max(0, use.sessions), publishedBy(use)] as const);
    for (const use of heaviest) {
      use.published = 0;
      use.toldIn = this.#period;
    }
    if (ends) this.#endPeriod();
    return told;
  }

  #endPeriod(): void {
    this.#period++;
    if (this.#watched.size > MANY_WATCHED) this.#scale = Math.min(this.#scale * 2, MOST_SCALE);
    else if (this.#scale > 1 && this.#watched.size < MANY_WATCHED / 4) this.#scale /= 2;
    for (const use of this.#watched) if (use.sessions < this.#sessionsFrom) this.#watched.delete(use);
  }

  /** Takes what another node told. */
  hear(node: string, users: Told["users"], now: number): void {
    for (const [key, sessions, published] of users) {
      if (sessions > 0) this.#elsewhere.hear(node, key, sessions, now);
      if (published === 0) continue;
      const use = this.#find(key);
      use.rivals ??= new Map();
      use.rivals.set(node, now);
      this.#contested.add(use);
      use.fullAt = Math.min(this.#rate.after(use.fullAt, now, published), this.#mostDebt(use, now));
      if (use.links === 0) this.#cool(use);
    }
  }

  /** Forgets what has lapsed, and who is gone. To be called about once a second. */
  sweep(now: number): void {
    this.#elsewhere.sweep(now);
    for (const use of this.#contested) {
      for (const [node, at] of use.rivals ?? []) if (now - at >= LAPSE_MS) use.rivals?.delete(node);
      if (use.rivals?.size !== 0) continue;
      use.rivals = undefined;
      this.#contested.delete(use);
    }
    for (const use of this.#cooling) if (this.#isIdle(use, now)) this.#forget(use);
  }
}
