/** What checks clients' tokens, as the settings ask for it. */
import { Jwks } from "./access/tokens/jwks.js";
import { parseJwksUrl, readPublicKey } from "./access/tokens/key-sources.js";
import { Tokens } from "./access/tokens/tokens.js";
import type { Settings } from "./config.js";
import type { Log } from "./log.js";

/** The keys at `jwksUrl`; nothing is read before it is started. */
export function jwksOf(
  { jwksUrl, jwksRefreshMs, jwksCooldownMs, maxTokenLifeMs }: Settings,
  log: Log,
): Jwks | undefined {
  if (jwksUrl === undefined) return undefined;
  const times = { refreshMs: jwksRefreshMs, cooldownMs: jwksCooldownMs, keepMs: maxTokenLifeMs };
  return new Jwks({ url: parseJwksUrl(jwksUrl), ...times, log });
}

export function tokensOf(settings: Settings, jwks: Jwks | undefined): Tokens {
  const { tokenKeys, tokenIssuer, tokenAudience, tokenSkewMs, maxTokenLifeMs } = settings;
  return new Tokens({
    secrets: secretsOf(settings),
    keys: tokenKeys.map(readPublicKey),
    jwks,
    issuers: tokenIssuer,
    audiences: tokenAudience,
    skewMs: tokenSkewMs,
    maxLifeMs: maxTokenLifeMs,
  });
}

/** The first signs sessions' tickets, all are honoured. */
export const secretsOf = ({ secret, moreSecrets }: Settings): string[] => [
  ...(secret === undefined ? [] : [secret]),
  ...moreSecrets,
];
