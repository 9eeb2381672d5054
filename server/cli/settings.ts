/** The settings as the command and the documentation show them: all of it read from the one schema. */
import { z } from "zod";
import { type SettingName, settingNames, settings } from "../config.js";

/** What the JSON schema of a setting says, as far as it is shown. */
type Schema = {
  readonly type?: "integer" | "string" | "boolean" | "array" | "object";
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly properties?: { readonly [name: string]: Schema };
  readonly additionalProperties?: Schema | boolean;
};

export type SettingInfo = {
  readonly name: SettingName;
  /** Such as `--max-frame-bytes`. */
  readonly flag: string;
  /** Such as `ROOMCAST_MAX_FRAME_BYTES`. */
  readonly variable: string;
  readonly schema: Schema;
};

/** The JSON schema of the settings file. */
export function settingsSchema(): object {
  const schema = z.toJSONSchema(settings, { io: "input" }) as { properties: { [name: string]: object } };
  const properties = { $schema: { type: "string", description: "Where this schema is." }, ...schema.properties };
  return { ...schema, title: "Settings of Roomcast", properties };
}

const { properties = {} } = settingsSchema() as Schema;

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const settingInfos: readonly SettingInfo[] = settingNames.map((name) => ({
  name,
  flag: `--${kebab(name)}`,
  variable: `ROOMCAST_${kebab(name).replaceAll("-", "_").toUpperCase()}`,
  schema: properties[name] as Schema,
}));

/** The rules of a kind, by their names in full: `history.size`. */
export function kindInfos(): readonly { readonly name: string; readonly schema: Schema }[] {
  const leaves = (fields: Schema["properties"], path: string): { name: string; schema: Schema }[] =>
    Object.entries(fields ?? {}).flatMap(([name, schema]) =>
      schema.properties === undefined ? [{ name: path + name, schema }] : leaves(schema.properties, `${path}${name}.`),
    );
  const rules = properties["kinds"]?.additionalProperties;
  return typeof rules === "object" ? leaves(rules.properties, "") : [];
}

/** The values that a setting may have, in words; "" where its description says it. */
export function rangeOf({ type, minimum, maximum, enum: words }: Schema): string {
  if (words !== undefined) return words.join(", ");
  if (type === "boolean") return "true, false";
  return type === "integer" ? `${minimum} to ${maximum}` : "";
}
