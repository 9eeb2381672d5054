/** Whether a value is made of what JSON is made of, and binary: looked at without running anything of its own. */

const isArrayKey = (key: string | symbol, length: number): boolean =>
  key === "length" || (typeof key === "string" && String(Number(key)) === key && Number(key) < length);

/** Says, in words, what in a value is neither plain data nor bytes of its own; `undefined` where all of it is. */
export function oddIn(value: unknown, path = "data"): string | undefined {
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `${path}: ${value}`;
  if (typeof value === "string") return /\p{Surrogate}/u.test(value) ? `${path}: half a surrogate pair` : undefined;
  if (typeof value !== "object") return `${path}: ${typeof value}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype) return undefined;
  const isArray = Array.isArray(value);
  if (prototype !== (isArray ? Array.prototype : Object.prototype)) return `${path}: of another prototype`;
  for (const key of Reflect.ownKeys(value)) {
    if (isArray && !isArrayKey(key, value.length)) return `${path}: an array with a key ${String(key)}`;
    if (key === "length" && isArray) continue;
    if (typeof key === "symbol" || key === "__proto__") return `${path}: a key ${String(key)}`;
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (property === undefined || !("value" in property)) return `${path}.${key}: computed`;
    if (!property.enumerable || !property.writable || !property.configurable) return `${path}.${key}: fixed`;
    const odd = oddIn(property.value, path.length < 100 ? `${path}.${key.slice(0, 20)}` : path);
    if (odd !== undefined) return odd;
  }
  return undefined;
}

const objectKeys = Reflect.ownKeys(Object.prototype).length;
const arrayKeys = Reflect.ownKeys(Array.prototype).length;

/** Whether nobody has added anything to what all objects and arrays have. */
export const prototypesAreWhole = (): boolean =>
  Reflect.ownKeys(Object.prototype).length === objectKeys &&
  Reflect.ownKeys(Array.prototype).length === arrayKeys &&
  Object.getPrototypeOf(Object.prototype) === null &&
  ({} as { polluted?: unknown }).polluted === undefined;
