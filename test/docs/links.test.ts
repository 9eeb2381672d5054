import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const isOurs = (name: string): boolean => !name.startsWith(".") && !["node_modules", "dist"].includes(name);
const topNames = readdirSync(root, { withFileTypes: true }).filter(({ name }) => isOurs(name));
const topFolders = topNames.filter((entry) => entry.isDirectory()).map(({ name }) => name);
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Every Markdown file, relative to the root. */
const pages = topNames
  .flatMap(({ name }) => filesIn(name))
  .filter((path) => path.endsWith(".md"))
  .sort();

function filesIn(path: string): string[] {
  const names = topFolders.includes(path) ? readdirSync(join(root, path), { recursive: true, encoding: "utf8" }) : [];
  return names.length === 0 ? [path] : names.map((name) => join(path, name));
}

const withoutFences = (text: string): string => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "");

/** The anchors that GitHub gives a page's headings. */
function anchorsOf(text: string): string[] {
  const headings = [...withoutFences(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading as string);
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function brokenLinks(path: string): string[] {
  const text = withoutFences(read(path)).replace(/`[^`\n]*`/g, "");
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file = "", anchor] = target.split("#");
    const to = file === "" ? path : relative(root, join(root, dirname(path), file));
    if (!existsSync(join(root, to))) return true;
    return anchor !== undefined && !anchorsOf(read(to)).includes(anchor);
  });
}

/** Files that come from building are looked for as what they are built from. */
function isThere(path: string): boolean {
  const source = path.replace(/^dist\//, "").replace(/\.js$/, ".ts");
  return existsSync(join(root, path)) || (source !== path && existsSync(join(root, source)));
}

function missingPaths(path: string): string[] {
  const spans = [...withoutFences(read(path)).matchAll(/`([^`\n]+)`/g)].map(([, span]) => span as string);
  const named = spans.flatMap((span) =>
    [...span.matchAll(/(?<![\w./-])[\w.-]+(?:\/[\w.*-]+)+/g)].map(([found]) => found),
  );
  return named.filter((name) => {
    const [first = ""] = name.split("/");
    return [...topFolders, "dist", ".ci"].includes(first) && !name.includes("*") && !isThere(name.replace(/\.$/, ""));
  });
}

test("every relative link in the documents leads somewhere, down to its heading", () => {
  assert.ok(pages.length > 10);
  const broken = pages.flatMap((path) => brokenLinks(path).map((target) => `${path}: ${target}`));
  assert.deepEqual(broken, []);
});

test("every path that the documents name exists", () => {
  const missing = pages.flatMap((path) => missingPaths(path).map((name) => `${path}: ${name}`));
  assert.deepEqual(missing, []);
});

/** The paths in the tree of ARCHITECTURE.md: a line is a folder or a file, two spaces deeper than the folder it is in. */
function drawnTree(): string[] {
  const [, tree = ""] = /## The tree\n\n```text\n([\s\S]*?)```/.exec(read("ARCHITECTURE.md")) ?? [];
  const folders: string[] = [];
  return tree
    .trimEnd()
    .split("\n")
    .map((line) => {
      const depth = line.search(/\S/) / 2;
      const [name = ""] = line.trim().split(" ");
      folders.length = depth;
      folders.push(name);
      return folders.join("");
    });
}

test("ARCHITECTURE.md draws the tree as it is", () => {
  const tree = drawnTree();
  assert.deepEqual(
    tree.filter((path) => !existsSync(join(root, path))),
    [],
    "drawn, and not there",
  );
  const drawn = [...topFolders.map((name) => `${name}/`)];
  for (const folder of [
    "protocol",
    "client",
    "server",
    "server/transport",
    "server/session",
    "server/room",
    "server/access",
    "server/cluster",
    "server/engine/redis",
    "server/engine/nats",
  ]) {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name !== "hooks") drawn.push(`${folder}/${entry.name}/`);
      else if (entry.name.endsWith(".ts")) drawn.push(`${folder}/${entry.name}`);
    }
  }
  assert.deepEqual(
    drawn.filter((path) => !tree.includes(path)),
    [],
    "there, and not drawn",
  );
});

test("every decision has a line in the list, with the words of its heading", () => {
  const list = read("docs/decisions/README.md");
  const decisions = pages
    .filter((path) => /^docs\/decisions\/\d/.test(path))
    .map((path) => path.split("/").at(-1) as string);
  for (const [index, name] of decisions.entries()) {
    const [, number, heading] = /^# (\d+)\. (.*)$/m.exec(read(`docs/decisions/${name}`)) ?? [];
    assert.equal(Number(number), index + 1, name);
    assert.ok(
      list.includes(`| [${name.slice(0, 4)}](${name}) | ${heading} |`),
      `${name}: expected its line in the list`,
    );
  }
});

/** The code blocks of the README: those that show a file, and those that stand for themselves. */
function readmeCode(): { readonly file: string | undefined; readonly code: string }[] {
  const blocks = read("README.md").matchAll(/(?:<!-- (\S+) -->\n)?```(?:ts|html)\n([\s\S]*?)```/g);
  return [...blocks].map(([, file, code]) => ({ file, code: code as string }));
}

test("the README shows the chat as it is in the examples", () => {
  const shown = readmeCode().filter(({ file }) => file !== undefined);
  assert.deepEqual(shown.map(({ file }) => file).sort(), [
    "examples/first-chat/page.html",
    "examples/first-chat/server.ts",
  ]);
  for (const { file, code } of shown) assert.equal(code, read(file as string));
});

test("the README's other code compiles against what the package exports", (t) => {
  const snippets = readmeCode().filter(({ file }) => file === undefined);
  assert.ok(snippets.length >= 3);
  // Inside the package, so that its own name can be imported.
  const folder = mkdtempSync(join(root, "dist/readme-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const files = snippets.map(({ code }, index) => {
    const file = join(folder, `snippet-${index}.ts`);
    writeFileSync(file, code);
    return file;
  });
  const options = "--ignoreConfig --noEmit --strict --skipLibCheck --target es2022 --module nodenext --types node";
  const tsc = join(root, "node_modules/.bin/tsc");
  const { stdout, status } = spawnSync(tsc, [...options.split(" "), "--lib", "es2023,dom", ...files], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout);
});
