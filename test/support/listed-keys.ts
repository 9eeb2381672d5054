/** Tokens whose keys are listed by a server of the test's own, and what is to be expected of them. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Jwks, type JwksOptions } from "../../server/access/tokens/jwks.js";
import { TokenError, type TokenErrorCode } from "../../server/access/tokens/token.js";
import { Tokens } from "../../server/access/tokens/tokens.js";
import type { Log } from "../../server/log.js";
import { JwksServer } from "./jwks-server.js";
import type { SigningKey } from "./tokens.js";

const HOUR_MS = 3_600_000;

export class Lines implements Log {
  readonly lines: string[] = [];
  readonly #keep = (text: string, fields?: object): void => {
    this.lines.push(`${text} ${JSON.stringify(fields ?? {})}`);
  };
  readonly debug = this.#keep;
  readonly info = this.#keep;
  readonly warn = this.#keep;
  readonly error = this.#keep;
}

/** Tokens whose keys are listed by a server; nothing is read before `jwks` is told to. */
export async function listed(t: TestContext, keys: readonly SigningKey[], options: Partial<JwksOptions> = {}) {
  const server = await JwksServer.start(t, keys);
  const log = new Lines();
  const url = new URL(server.url);
  const jwks = new Jwks({ url, refreshMs: HOUR_MS, cooldownMs: 30_000, keepMs: HOUR_MS, log, ...options });
  t.after(() => jwks.close());
  const more = options.now === undefined ? {} : { now: options.now };
  const tokens = new Tokens({
    ...{ secrets: [], keys: [], jwks, issuers: [], audiences: [], skewMs: 3000, maxLifeMs: 86_400_000, ...more },
  });
  return { server, log, jwks, tokens };
}

export async function refused(tokens: Tokens, token: string, code: TokenErrorCode): Promise<TokenError> {
  let refusal: TokenError | undefined;
  await assert.rejects(
    async () => tokens.session(token),
    (error) => {
      assert.ok(error instanceof TokenError, String(error));
      assert.equal(error.code, code);
      refusal = error;
      return true;
    },
  );
  return refusal as TokenError;
}

export const isGood = async (tokens: Tokens, token: string): Promise<void> => {
  assert.equal((await tokens.session(token)).user, "ann");
};
