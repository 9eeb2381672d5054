/** What a node's `/metrics` says. */

/** The sum of a metric's series, of those alone that have the label's value where one is given. */
export type Scraped = (name: string, label?: string) => number;

/** Reads the metrics at a port of loopback, which is a node's `metricsPort`. The function throws where one is missing. */
export async function scrape(port: number): Promise<Scraped> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
    headers: { connection: "close" },
    signal: AbortSignal.timeout(10_000),
  });
  const lines = (await answer.text()).split("\n");
  return (name, label) => {
    const ofName = lines.filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    const wanted = label === undefined ? ofName : ofName.filter((line) => line.includes(`="${label}"`));
    if (wanted.length === 0) throw new Error(`expected a metric ${name}, got ${lines.length} lines without it`);
    return wanted.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  };
}
