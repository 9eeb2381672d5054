/** Checking a token as a server with these settings would. */
import { text } from "node:stream/consumers";
import { isUser } from "../../protocol/fields.js";
import { GrantError, parseGrants } from "../access/grants.js";
import { type JsonObject, payloadOf, TokenError, takeApart } from "../access/tokens/token.js";
import { checksTokens, type Settings } from "../config.js";
import { createLog } from "../log.js";
import { jwksOf, tokensOf } from "../token-checks.js";
import { toldClaims } from "./token-told.js";

type Verdict = {
  readonly accepted: boolean;
  readonly why?: string;
  readonly algorithm?: string;
  readonly claims?: JsonObject;
};

/**
 * Reads a token from standard input, where nobody else sees it, and prints whether it is accepted and what it says.
 * Exit code 1 where it is not.
 */
export async function checkToken(settings: Settings, asJson: boolean): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write("the token, then Enter and Ctrl-D:\n");
  const verdict = await verdictOn((await text(process.stdin)).trim(), settings);
  process.stdout.write(`${asJson ? JSON.stringify(verdict, null, 2) : toldVerdict(verdict, settings)}\n`);
  if (!verdict.accepted) process.exitCode = 1;
}

async function verdictOn(token: string, settings: Settings): Promise<Verdict> {
  let said: Pick<Verdict, "algorithm" | "claims"> = {};
  const jwks = jwksOf(settings, createLog({ level: "silent" }));
  try {
    if (token === "") throw new TokenError("unauthorized", "expected a token on standard input, got nothing");
    const parts = takeApart(token);
    const claims = payloadOf(parts);
    said = { algorithm: parts.algorithm, claims };
    if (!checksTokens(settings)) {
      throw new TokenError("unauthorized", "these settings have no secret and no keys: a server would not look at it");
    }
    await jwks?.start();
    const tokens = tokensOf(settings, jwks);
    await (claims["room"] === undefined ? tokens.session(token) : tokens.room(token));
    return { accepted: true, ...said };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return { accepted: false, why: [error.message, ...grantProblem(said.claims)].join("; "), ...said };
  } finally {
    jwks?.close();
  }
}

/** What is wrong with the claim `rooms`, in more words than a client is told. */
function grantProblem(claims: JsonObject | undefined): string[] {
  const { rooms, sub } = claims ?? {};
  if (rooms === undefined) return [];
  try {
    parseGrants(rooms, isUser(sub) ? sub : undefined);
    return [];
  } catch (error) {
    if (error instanceof GrantError) return [`rooms: ${error.message}`];
    throw error;
  }
}

function toldVerdict({ accepted, why, algorithm = "", claims }: Verdict, settings: Settings): string {
  const head = accepted ? "accepted" : `refused: ${why?.replace(/\p{C}/gu, "?")}`;
  if (claims === undefined) return head;
  return [head, ...(accepted ? [] : ["what it says:"]), ...toldClaims(claims, algorithm, settings)].join("\n");
}
