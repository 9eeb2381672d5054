/** The tables of `docs/protocol.md` come from the code. `UPDATE_DOCS=1` writes them anew. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { afterClose, closeCodes, errorCodes } from "../../protocol/codes.js";
import { type FrameTable, frames, structures } from "../../protocol/frames.js";

const file = new URL("../../../docs/protocol.md", import.meta.url);

/** A row a field, so that the order of MessagePack can be read off: the frame's number stands before the first. */
function fieldsOf(fields: { readonly [name: string]: string }): string {
  const words = Object.entries(fields).map(([name, spec]) => {
    const kind = spec.replace("?", "");
    return `\`${name}${spec.endsWith("?") ? "?" : ""}\` ${kind}`;
  });
  return words.join(", ") || "–";
}

const row = (...cells: (string | number)[]) => `| ${cells.join(" | ")} |`;
const table = (...rows: string[]) => rows.join("\n");

function framesOf(side: FrameTable, from: number, to: number): string {
  const rows = Object.entries(side)
    .filter(([, spec]) => spec.number >= from && spec.number < to)
    .map(([type, { number, fields }]) => row(number, `\`${type}\``, fieldsOf(fields)));
  return table(row("number", "type", "fields, in order"), "|---|---|---|", ...rows);
}

const meanings = { now: "at once, with jitter", later: "after the delay it was given", never: "not at all" } as const;

const tables: { readonly [name: string]: string } = {
  "client-frames": framesOf(frames.client, 0, 32),
  answers: framesOf(frames.server, 32, 64),
  unasked: framesOf(frames.server, 64, 128),
  structures: table(
    row("kind", "fields, in order"),
    "|---|---|",
    ...Object.entries(structures).map(([kind, fields]) => row(`\`${kind}\``, fieldsOf(fields))),
  ),
  "error-codes": table(
    row("code", "meaning"),
    "|---|---|",
    ...Object.entries(errorCodes).map(([code, meaning]) => row(`\`${code}\``, meaning)),
  ),
  "close-codes": table(
    row("code", "name", "the client comes back"),
    "|---|---|---|",
    ...Object.entries(closeCodes).map(([name, code]) => row(code, `\`${name}\``, meanings[afterClose(code)])),
  ),
};

/** The document with what stands between each pair of markers replaced by the table of that name. */
function withTables(text: string): string {
  return text.replace(
    /(<!-- table: ([a-z-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, start: string, name: string, end: string) => {
      assert.ok(tables[name] !== undefined, `no table is called ${name}`);
      return `${start}${tables[name]}\n${end}`;
    },
  );
}

test("the tables in docs/protocol.md are those of the code, every one of them", () => {
  const text = readFileSync(file, "utf8");
  const fresh = withTables(text);
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, fresh);
  else assert.equal(text, fresh);
  for (const name of Object.keys(tables)) assert.ok(text.includes(`<!-- table: ${name} -->`), `no place for ${name}`);
});

test("every frame, field kind and error code is spoken of in the prose of docs/protocol.md too", () => {
  const prose = readFileSync(file, "utf8").replace(/<!-- table: [\s\S]*?<!-- end -->/g, "");
  const types = Object.values(frames).flatMap((side) => Object.keys(side));
  for (const word of new Set([...types, "uint", "any", "key", "room", "event"])) {
    assert.ok(prose.includes(`\`${word}\``), `nothing is said about ${word}`);
  }
});
