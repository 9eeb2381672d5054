/** Whether the native part can be loaded, before it is: what is imported here runs anywhere. */
import { readFileSync } from "node:fs";
import { platformProblem, thisPlatform } from "./platform.js";

/** Whether the official package stands where the repack is otherwise: it knows best where it runs. */
function hasOfficialPackage(): boolean {
  try {
    for (let folder = new URL(".", import.meta.resolve("uWebSockets.js")); ; folder = new URL("..", folder)) {
      const { name } = readPackage(folder);
      if (name !== undefined) return name === "uWebSockets.js";
      if (folder.pathname === "/") return false;
    }
  } catch {
    return false;
  }
}

function readPackage(folder: URL): { name?: string } {
  try {
    return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as { name?: string };
  } catch {
    return {};
  }
}

/** One line that says why the native part cannot be loaded here, and the cure; `undefined` where it is worth trying. */
export function nativeProblem(): string | undefined {
  return hasOfficialPackage() ? undefined : platformProblem(thisPlatform());
}
