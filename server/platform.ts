/** Whether the native part of the server can be loaded here. This file imports nothing, so that it runs anywhere. */

/** What the process says of itself: `process.versions`, `process.platform`, `process.arch`, and whether its libc is musl. */
export type Platform = {
  /** `process.versions.node`, such as "22.12.0". */
  readonly version: string;
  /** `process.versions.modules`, the number of Node's native interface. */
  readonly modules: string;
  readonly platform: string;
  readonly arch: string;
  readonly isMusl: boolean;
};

/** The systems that the binaries are built for. */
const SYSTEMS = ["linux x64", "linux arm64", "linux arm", "darwin x64", "darwin arm64", "win32 x64"];
/** The native interfaces of Node 20 and 22, and the first release of each that is supported. */
const RELEASES: { readonly [modules: string]: { readonly major: number; readonly minor: number } } = {
  "115": { major: 20, minor: 19 },
  "127": { major: 22, minor: 12 },
};

const CURE =
  "use Node 22 on a system with glibc, or put the official package in its place: npm install uWebSockets.js@uNetworking/uWebSockets.js#v20.x";

/** `undefined` where the server can run, else one line that says why it cannot, and the cure. */
export function platformProblem({ version, modules, platform, arch, isMusl }: Platform): string | undefined {
  const problem = (what: string) => `roomcast cannot run on ${what}; ${CURE}`;
  const [major, minor] = version.split(".").map(Number);
  const release = RELEASES[modules];
  if (release === undefined || release.major !== major) {
    return problem(`Node ${version}: expected 20.19 or later of 20, or 22.12 or later of 22`);
  }
  if (minor === undefined || !(minor >= release.minor)) {
    return problem(`Node ${version}: expected ${release.major}.${release.minor} or later of ${release.major}`);
  }
  if (!SYSTEMS.includes(`${platform} ${arch}`)) {
    return problem(`${platform} ${arch}: expected one of ${SYSTEMS.join(", ")}`);
  }
  return isMusl ? problem("Linux with musl: expected glibc") : undefined;
}

/** What this process runs on. */
export function thisPlatform(): Platform {
  const { versions, platform, arch, report } = process;
  const header =
    platform === "linux" ? (report?.getReport() as { header?: { glibcVersionRuntime?: string } }) : undefined;
  const isMusl = platform === "linux" && header?.header?.glibcVersionRuntime === undefined;
  return { version: versions.node, modules: versions.modules, platform, arch, isMusl };
}
