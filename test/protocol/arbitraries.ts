/** Frames for property tests, made from the table: a new frame or field is tested without another line here. */
import fc from "fast-check";
import { type NewEvent, RoomEvent } from "../../protocol/event.js";
import {
  type ClientFrame,
  type FieldKind,
  frames,
  type ServerFrame,
  type Side,
  structures,
  type WireEvent,
} from "../../protocol/frames.js";
import { Payload } from "../../protocol/payload.js";

type Values = fc.Arbitrary<unknown>;

const text = (minLength: number, maxLength: number) => fc.string({ minLength, maxLength, unit: "binary" });
const name = (maxLength: number) => fc.stringMatching(/^[A-Za-z0-9_.:@/-]+$/, { size: "small", maxLength });
const uint = fc.oneof(
  fc.nat(300),
  fc.constantFrom(0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER),
  fc.nat(Number.MAX_SAFE_INTEGER),
);

const key = text(0, 12).filter((value) => value !== "__proto__");
const leaf = (withBinary: boolean): Values =>
  fc.oneof(
    text(0, 40),
    fc.constantFrom("toJSON", "constructor", "", '"\\', "\u2028", "😀"),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    fc.boolean(),
    fc.constant(null),
    ...(withBinary ? [fc.uint8Array({ maxLength: 40 })] : []),
  );

/** Data as applications send it; with `withBinary` also binary, at the top or within. */
export function data(withBinary: boolean): Values {
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf(withBinary),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
    ),
  })).value;
}

function ofFields(
  fields: { readonly [field: string]: string },
  values: Values,
): fc.Arbitrary<{ [field: string]: unknown }> {
  const entries = Object.entries(fields);
  const model = entries.map(([field, spec]): [string, Values] => {
    const kind = spec.replace("?", "") as FieldKind;
    const value = ofKind(kind, values);
    // An optional null is a field left out.
    return [field, kind === "any" && spec.endsWith("?") ? value.filter((item) => item !== null) : value];
  });
  const requiredKeys = entries.filter(([, spec]) => !spec.endsWith("?")).map(([field]) => field);
  return fc.record(Object.fromEntries(model), { requiredKeys, noNullPrototype: true }) as fc.Arbitrary<{
    [field: string]: unknown;
  }>;
}

function ofKind(kind: FieldKind, values: Values): Values {
  switch (kind) {
    case "id":
      return fc.oneof(uint, fc.maxSafeInteger());
    case "uint":
      return uint;
    case "string":
      return text(0, 50);
    case "bool":
      return fc.boolean();
    case "room":
      return name(128);
    case "event":
      return name(64);
    case "key":
      return text(1, 40);
    case "any":
      return values;
    case "position":
    case "limits":
      return ofFields(structures[kind], values);
    case "events":
      // An event with offset 0 is one without.
      return fc.array(
        ofFields(structures.events, values).filter((event) => event["offset"] !== 0),
        { maxLength: 20, size: "small" },
      );
    case "members":
      return fc.array(ofFields(structures.members, values), { maxLength: 4 });
    default: {
      const none: never = kind;
      throw new TypeError(`no arbitrary for the kind ${String(none)}`);
    }
  }
}

function ofSide(side: Side, values: Values): Values {
  return fc.oneof(
    ...Object.entries(frames[side]).map(([type, { fields }]) =>
      ofFields(fields, values).map((frame) => ({ type, ...frame })),
    ),
  );
}

export const clientFrame = (withBinary: boolean) => ofSide("client", data(withBinary)) as fc.Arbitrary<ClientFrame>;
export const serverFrame = (withBinary: boolean) => ofSide("server", data(withBinary)) as fc.Arbitrary<ServerFrame>;

/** An event of the wire as the server has it. */
export function roomEvent({ offset, event, data: value, from, at, key: name }: WireEvent): RoomEvent {
  return new RoomEvent(offset ?? 0, { event, data: Payload.ofValue(value), from, at, key: name } satisfies NewEvent);
}
