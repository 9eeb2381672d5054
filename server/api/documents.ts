/** Where the API is documented: for programs at /openapi.json, for people at /docs. */
import { docsPage } from "./docs-page.js";
import { openApi } from "./openapi.js";
import type { Answer } from "./problems.js";

/** Makes it when it is first asked for, and no second time. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** What is answered at each path; made when somebody first asks. */
export function documentRoutes(version: string, page: boolean): ReadonlyMap<string, () => Answer> {
  const document = once(() => openApi(version));
  const routes = new Map<string, () => Answer>();
  const headers = {
    "content-type": "application/json",
    "cache-control": "no-cache",
    // It says what every server of this version says: tools in a browser may read it.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
  };
  routes.set(
    "/openapi.json",
    once(() => ({ status: 200, headers, body: `${JSON.stringify(document(), undefined, 2)}\n` })),
  );
  const shown = once(() => {
    const { html, headers } = docsPage(document());
    return { status: 200, headers, body: html };
  });
  if (page) routes.set("/docs", shown);
  return routes;
}
