import assert from "node:assert/strict";
import { test } from "node:test";
import { type Platform, platformProblem, thisPlatform } from "../../server/platform.js";

const fine: Platform = { version: "22.12.0", modules: "127", platform: "linux", arch: "x64", isMusl: false };

test("what runs these tests is supported", () => {
  assert.equal(platformProblem(thisPlatform()), undefined);
});

test("the Nodes and systems that the native part is built for are supported", () => {
  const supported: Partial<Platform>[] = [
    {},
    { version: "22.23.3" },
    { version: "20.19.0", modules: "115" },
    { version: "20.20.2", modules: "115" },
    { arch: "arm64" },
    { platform: "darwin", arch: "arm64" },
    { platform: "win32" },
  ];
  for (const here of supported) assert.equal(platformProblem({ ...fine, ...here }), undefined);
});

test("anything else is one line that says what came, what was expected, and the cure", () => {
  const unsupported: readonly (readonly [Partial<Platform>, RegExp])[] = [
    [{ version: "24.1.0", modules: "137" }, /Node 24\.1\.0: expected 20\.19 or later of 20, or 22\.12 or later of 22/],
    [{ version: "18.20.0", modules: "108" }, /Node 18\.20\.0: /],
    [{ version: "21.7.0", modules: "120" }, /Node 21\.7\.0: /],
    [{ version: "23.1.0", modules: "131" }, /Node 23\.1\.0: /],
    [{ version: "20.18.9", modules: "115" }, /Node 20\.18\.9: expected 20\.19 or later of 20/],
    [{ version: "22.11.0" }, /Node 22\.11\.0: expected 22\.12 or later of 22/],
    [{ version: "38.1.0", modules: "127" }, /Node 38\.1\.0: /],
    [{ version: "", modules: "" }, /Node : /],
    [{ isMusl: true }, /Linux with musl: expected glibc/],
    [{ arch: "ppc64" }, /linux ppc64: expected one of linux x64, /],
    [{ platform: "freebsd" }, /freebsd x64: /],
    [{ platform: "win32", arch: "arm64" }, /win32 arm64: /],
  ];
  for (const [here, expected] of unsupported) {
    const line = platformProblem({ ...fine, ...here }) ?? "";
    assert.match(line, expected);
    assert.match(line, /use Node 22 on a system with glibc, .+ uWebSockets\.js@uNetworking\/uWebSockets\.js#v20\.x$/);
    assert.doesNotMatch(line, /\n/);
  }
});
