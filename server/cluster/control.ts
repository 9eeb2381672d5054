/** What nodes ask of each other. */
import { EngineError } from "../engine/engine.js";
import type { Log } from "../log.js";
import { MOST_ASKED, type SessionReply, writeAnswers } from "./answers.js";
import type { Ask, CallAsk, Forget, RoomsAsk } from "./asks.js";
import type { NodeInfo } from "./nodes.js";
import { MAX_LISTED, type NodeState, type Note, type Numbers } from "./note.js";
import { fitPage, type NamePage } from "./pages.js";
import { type Collected, Questions } from "./questions.js";

/** How long the answers of all nodes are waited for, in milliseconds. */
const ANSWER_MS = 2000;

/** What a node tells of itself, and does when it is asked. Each may throw or reject: the node then counts as missing. */
export interface NodeActions {
  /** How this node is now. */
  state(): NodeState;
  /** Closes every session of the user here, for good; how many there were. */
  disconnect(user: string, tenant: string): number | Promise<number>;
  /** Takes the sessions of the user here out of the room, and tells them; how many there were. */
  remove(user: string, tenant: string, room: string): number | Promise<number>;
  /** Takes back what it says, here and in the log that all nodes read; rejects where that cannot be. */
  revoke(revocation: unknown): Promise<void>;
  /** What is taken back, `most` of it from so many on; and how many there are. */
  revocations(from: number, most: number): { readonly listed: readonly object[]; readonly count: number };
  /** How many clients of this node are in the tenant's room. */
  count(room: string, tenant: string): number;
  /** The first rooms of the tenant with clients here, and how many each has. */
  rooms(ask: RoomsAsk): Promise<NamePage>;
  /** Asks the sessions of the user here, `most` of them; how many there are, and what came of it by the end of the time. */
  call(ask: CallAsk, most: number): Promise<{ readonly sessions: number; readonly replies: readonly SessionReply[] }>;
  /** Forgets what was remembered of the application's answers. */
  forget(what: Forget): void | Promise<void>;
  /**
   * Which of these rooms, by their full names, have clients here; with each, what the node has to say of it in JSON.
   * `asker`: the instance that asks; `undefined`: this one.
   */
  occupied(
    rooms: readonly string[],
    asker: string | undefined,
  ): readonly (readonly [room: string, ...said: unknown[]])[];
}

export type ControlOptions = {
  /** This node's instance, and its name. */
  readonly id: string;
  readonly name: string;
  /** Without any it only asks. */
  readonly actions: NodeActions | undefined;
  readonly log: Log;
  readonly answerMs: number | undefined;
  /** The other nodes that are there. */
  others(): readonly NodeInfo[];
  send(note: Note): Promise<void>;
};

/** What came of something that was asked. */
type Acted = { readonly numbers: Numbers; readonly listed?: readonly unknown[] };

const counted = (count: number): Acted => ({ numbers: { count } });

/** A page of names as an answer: as many as fit, and whether there are more. */
function paged(page: NamePage): Acted {
  const { entries, more } = fitPage(page);
  return { numbers: { more: more ? 1 : 0 }, listed: entries };
}

async function act(actions: NodeActions, ask: Ask, asker: string | undefined): Promise<Acted> {
  switch (ask.what) {
    case "disconnect":
      return counted(await actions.disconnect(ask.user, ask.tenant));
    case "remove":
      return counted(await actions.remove(ask.user, ask.tenant, ask.room));
    case "revoke":
      await actions.revoke(ask.revocation);
      return counted(1);
    case "revocations": {
      const { listed, count } = actions.revocations(ask.from, MAX_LISTED);
      return { numbers: { count }, listed };
    }
    case "count":
      return counted(actions.count(ask.room, ask.tenant));
    case "counts": {
      const { connections, sessions, rooms } = actions.state();
      return { numbers: { connections, sessions, rooms } };
    }
    case "rooms":
      return paged(await actions.rooms(ask));
    case "call": {
      const { sessions, replies } = await actions.call(ask, MOST_ASKED);
      return { numbers: { sessions }, listed: writeAnswers(replies) };
    }
    case "forget":
      await actions.forget(ask.forget);
      return counted(1);
    case "occupied":
      return { numbers: {}, listed: actions.occupied(ask.rooms, asker) };
    default:
      return ask satisfies never;
  }
}

/** Asks all nodes, this one among them, and answers for this one. */
export class Control {
  readonly #options: ControlOptions;
  readonly #questions = new Questions();

  constructor(options: ControlOptions) {
    this.#options = options;
  }

  /**
   * Adds up what all nodes answer. `settlesInMs`: how long it is until the list of nodes can be taken to be whole;
   * infinite where this node has not reached the others yet. Rejects with an `EngineError` where they cannot be asked.
   */
  async ask(ask: Ask, settlesInMs: number, withinMs = this.#options.answerMs ?? ANSWER_MS): Promise<Collected> {
    const { id, name, actions, others, send } = this.#options;
    const acting = actions === undefined ? undefined : this.#act(actions, ask);
    if (settlesInMs === Number.POSITIVE_INFINITY) {
      await acting;
      throw new EngineError("unavailable", "the other nodes cannot be asked: the engine was not reached yet");
    }
    const asked = others().filter((node) => ask.what !== "revocations" || node.id === ask.of);
    const waiting = new Map(asked.map((node) => [node.id, node.name]));
    if (actions !== undefined) waiting.set(id, name);
    const { request, answered } = this.#questions.open(waiting, settlesInMs, withinMs);
    void acting?.then((acted) => this.#questions.take(request, id, name, acted?.numbers, acted?.listed));
    send({ type: "ask", request, ask }).catch((error: unknown) => this.#questions.fail(request, unavailable(error)));
    return answered;
  }

  /** Takes another node's answer; one that comes late is passed over. */
  take(id: string, request: number, numbers: Numbers | undefined, listed?: readonly unknown[]): void {
    const name = this.#options.others().find((node) => node.id === id)?.name ?? id;
    this.#questions.take(request, id, name, numbers, listed);
  }

  /** Does what another node asks for, and answers. Never rejects: an answer that cannot be sent is one that is missing. */
  async answer(to: string, request: number, ask: Ask): Promise<void> {
    const { actions, send, id } = this.#options;
    if (actions === undefined || (ask.what === "revocations" && ask.of !== id)) return;
    const { numbers, listed } = (await this.#act(actions, ask, to)) ?? {};
    const list = listed === undefined ? {} : { listed };
    await send({ type: "answer", to, request, numbers, ...list }).catch(() => undefined);
  }

  /** Does here what was asked; `undefined` where it could not be done. */
  async #act(actions: NodeActions, ask: Ask, asker?: string): Promise<Acted | undefined> {
    try {
      return await act(actions, ask, asker);
    } catch (error) {
      this.#options.log.error("what was asked of all nodes failed on this one", { what: ask.what, error });
      return undefined;
    }
  }

  /** The node has said that it has gone: its answer is not waited for. */
  left(id: string): void {
    this.#questions.left(id);
  }

  close(): void {
    this.#questions.close();
  }
}

const unavailable = (error: unknown): EngineError =>
  error instanceof EngineError && error.code === "unavailable"
    ? error
    : new EngineError("unavailable", "the other nodes cannot be asked: the engine did not take it");
