/** A real browser, and pages that are watched for anything that goes wrong in them. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Where `npm test` has seen to it that there is one. */
function chromiumPath(): string {
  const found = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "chromium"))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
  if (found === undefined) throw new Error("chromium is not on the PATH; `npm test` installs it");
  return found;
}

export type Watched = {
  readonly page: Page;
  /** Console errors and warnings, exceptions, requests that failed or were refused. */
  readonly faults: string[];
};

/** A new browser with an empty profile, closed when the test ends. Each page is a window of its own. */
export async function openBrowser(t: TestContext): Promise<(options?: BrowserContextOptions) => Promise<Watched>> {
  const browser = await chromium.launch({
    executablePath: chromiumPath(),
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  t.after(() => browser.close());
  return async (options = {}) => {
    const context: BrowserContext = await browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const faults: string[] = [];
    page.on("console", (entry) => {
      if (entry.type() === "error" || entry.type() === "warning") faults.push(`${entry.type()}: ${entry.text()}`);
    });
    page.on("pageerror", (error) => faults.push(`exception: ${error.stack ?? error.message}`));
    page.on("requestfailed", (request) => faults.push(`failed: ${request.url()}`));
    page.on("response", (response) => {
      if (response.status() >= 400) faults.push(`${response.status()}: ${response.url()}`);
    });
    return { page, faults };
  };
}
