/** What the settings say of hooks over HTTP. */
import { z } from "zod";
import { KIND_NAME, parsedBy, whole } from "../schemas.js";

/** What an application may be asked, or told, over HTTP. `rooms` tells that rooms are occupied or vacated. */
export const hookNames = ["connect", "renew", "join", "publish", "call", "rooms"] as const;
export type HookName = (typeof hookNames)[number];

const URL_TEXT = "an address, https://… or http://…, without a name or password";

/** An address that hooks are posted to. Throws `Error` with what was expected, and never what came: it may hold a secret. */
export function parseHookUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "https:" || url?.protocol === "http:";
  if (url === undefined || !isHttp || url.username !== "" || url.password !== "" || url.hash !== "") {
    throw new Error(`expected ${URL_TEXT}`);
  }
  return url;
}

const hook = z.strictObject(
  {
    url: parsedBy(parseHookUrl, URL_TEXT).describe("Where the hook is posted to."),
    timeoutMs: whole(10, 60_000).optional().describe("How long an answer may take; hookTimeoutMs if left out."),
    kinds: z
      .array(z.string("a kind").regex(KIND_NAME, "a kind"), "a list of kinds")
      .max(100, "at most 100 kinds")
      .optional()
      .describe("Rooms of which kinds it is asked about, or told of; by default all."),
    whenDown: z
      .enum(["refuse", "cache"], "one of refuse, cache")
      .optional()
      .describe(
        "What holds while the application does not answer: refuse, or the last answer it gave to the same question (cache); refuse if left out.",
      ),
  },
  "an object with url, timeoutMs, kinds and whenDown",
);

const names = Object.fromEntries(hookNames.map((name) => [name, hook.optional()])) as {
  [Name in HookName]: z.ZodOptional<typeof hook>;
};

/** The setting `hooks`. */
export const hookSettings = z.strictObject(names, `an object with ${hookNames.join(", ")}`);
export const hookFields = Object.keys(hook.shape);

export type HookRule = z.output<typeof hook>;
export type HookSettings = z.output<typeof hookSettings>;
