import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./example.js";

/** What the page's code takes as given. */
const GIVEN = `
import { useEffect as _useEffect } from "react";
import type { Client as _Client, Room as _Room, RoomEvent as _RoomEvent } from "roomcast/client";
import * as hooks from "roomcast/client/react";
declare global {
  const useEffect: typeof _useEffect;
  const useEvent: typeof hooks.useEvent;
  const room: _Room<{ renamed: { title: string }; said: { text: string } }> | undefined;
  const id: string;
  const queryClient: { setQueryData(key: readonly string[], data: string): void };
  function fetchToken(): Promise<string>;
  function log(event: _RoomEvent): void;
  function toast(text: string): void;
}
`;

test("the examples of docs/react.md compile against what the package exports", (t) => {
  const text = readFileSync(join(root, "docs/react.md"), "utf8");
  const examples = [...text.matchAll(/^```tsx\n([\s\S]*?)^```$/gm)].map(([, code]) => code as string);
  const [first = "", ...others] = examples;
  const whole = others.filter((code) => code.startsWith("useE"));
  assert.ok(whole.length >= 2);
  // Inside the package, so that its own name can be imported.
  const folder = mkdtempSync(join(root, "dist/react-docs-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const sources = [GIVEN, `${first}\nexport { App };`, ...whole.map((code) => `${code}\nexport {};`)];
  const files = sources.map((code, index) => {
    const file = join(folder, `example-${index}.tsx`);
    writeFileSync(file, code);
    return file;
  });
  const options =
    "--ignoreConfig --noEmit --strict --skipLibCheck --target es2022 --module nodenext --types node --jsx react-jsx";
  const tsc = join(root, "node_modules/.bin/tsc");
  const { stdout, status } = spawnSync(tsc, [...options.split(" "), "--lib", "es2023,dom", ...files], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout);
});
