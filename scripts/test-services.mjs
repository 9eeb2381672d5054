// Finds the servers that the tests run against and installs what is missing, where that can be done.
// A missing one is a failure, never a silently skipped test.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The programs a test run starts, the Debian package that each is in, and what has to be there with one. */
const services = [
  { program: "chromium", debianPackage: "chromium" },
  { program: "redis-server", debianPackage: "redis-server" },
  { program: "nats-server", debianPackage: "nats-server" },
  { program: "haproxy", debianPackage: "haproxy" },
  { program: "nginx", debianPackage: "nginx-light" },
  {
    program: "nginx",
    part: "nginx's stream module",
    debianPackage: "libnginx-mod-stream",
    isThere: nginxHasStream,
  },
  { program: "promtool", debianPackage: "prometheus" },
];

/** Where Debian puts servers; often not on the PATH of a user other than root. */
const serverFolders = ["/usr/local/sbin", "/usr/sbin"];

/** Debian asks this program whether an installed server may be started; 101 is no. */
const POLICY = "/usr/sbin/policy-rc.d";

const missing = () => services.filter(({ program, isThere }) => !onPath(program) || isThere?.() === false);

/** Built in, as in nginx's own packages, or a file in the folder of its modules, as in Debian's. */
function nginxHasStream() {
  const built = spawnSync("nginx", ["-V"], { encoding: "utf8" }).stderr ?? "";
  if (/--with-stream(?!\S)/.test(built)) return true;
  const folder = /--modules-path=(\S+)/.exec(built)?.[1];
  return folder !== undefined && existsSync(join(folder, "ngx_stream_module.so"));
}

function onPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { status, stdout, stderr } = spawnSync("apt-get", ["-qq", ...args], { env, encoding: "utf8" });
  if (status !== 0) console.error(`apt-get ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return status === 0;
}

/** Installs packages without starting the servers in them: the tests start their own, on ports of their own. */
function install(packages) {
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
  try {
    // One list of many that cannot be had need not matter.
    aptGet("update");
    aptGet("install", "-y", "--no-install-recommends", ...packages);
  } finally {
    if (ours) rmSync(POLICY);
  }
}

/** Returns once every service is on the PATH; otherwise says in one line what to install, and returns false. */
export function findServices() {
  process.env.PATH = [process.env.PATH ?? "", ...serverFolders].join(delimiter);
  const needed = missing();
  if (needed.length === 0) return true;
  const packages = needed.map((service) => service.debianPackage);
  if (process.getuid?.() === 0 && existsSync("/etc/debian_version")) {
    console.log(`installing for the tests: ${packages.join(" ")}`);
    install(packages);
  }
  const still = missing();
  if (still.length === 0) return true;
  const names = still.map(({ program, part }) => part ?? `${program} on the PATH`).join(", ");
  console.error(`The tests need ${names}. Debian: apt-get install ${packages.join(" ")}`);
  return false;
}
