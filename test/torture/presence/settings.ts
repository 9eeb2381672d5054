/** What nodes of rows with presence are set to: users have tokens, publishers need none, and the members are listed by HTTP. */
import { makeApiKey } from "../../../server/access/api-keys.js";
import type { SettingsInput } from "../../../server/server.js";
import { SECRET } from "../../support/sign.js";

type Kinds = NonNullable<SettingsInput["kinds"]>;
type Kind = Kinds[string];

const { key, entry } = makeApiKey({ name: "torture", scopes: new Set(["members", "rooms"]), tenant: "" });

/** The key by which the members are listed. */
export const membersKey = key;

/** `star` is what `*` says beside it. */
export const withMembers = (star: Kind = {}, kinds: Kinds = {}): SettingsInput => ({
  secret: SECRET,
  apiKeys: [entry],
  kinds: { "*": { ...star, allow: { anonymous: ["publish"], user: ["join", "members"] } }, ...kinds },
});
