import { relative } from "node:path";
import { Transform } from "node:stream";

const testFolder = "dist/test";

/**
 * A line a file and the whole story of each failure, for `node --test`. Ends with `N passed, N failed`.
 *
 * A file in which no test ran is a failure, since a test that does not run is worse than none. Skipped and todo tests are
 * listed by name with their reason. Tests are listed under the file that they are written in, which for a suite that
 * several files share is the suite's.
 */
export default class Reporter extends Transform {
  #files = new Map();
  #failures = [];
  #skipped = [];

  constructor() {
    super({ writableObjectMode: true });
  }

  _transform({ type, data }, _encoding, done) {
    if (type === "test:pass" || type === "test:fail") this.#ended(type === "test:pass", data);
    else if (type === "test:stdout" || type === "test:stderr") this.push(data.message);
    done();
  }

  _flush(done) {
    let passed = 0;
    for (const [path, file] of this.#files) {
      passed += file.passed;
      const mark = file.failed > 0 ? "✗" : "✓";
      this.push(
        `${mark} ${short(path)}: ${file.passed} passed, ${file.failed} failed, ${Math.round(file.tookMs)} ms\n`,
      );
    }
    for (const line of this.#skipped) this.push(`- ${line}\n`);
    for (const { path, name, error } of this.#failures)
      this.push(`\n✗ ${short(path)}: ${name}\n${indent(describe(error))}\n`);
    if (this.#failures.length > 0 || passed === 0) process.exitCode = 1;
    this.push(`\n${passed} passed, ${this.#failures.length} failed\n`);
    done();
  }

  #ended(ok, { name, file: path = name, nesting, details, skip, todo }) {
    const file = this.#file(path);
    if (nesting === 0) file.tookMs += details.duration_ms;
    // Node wraps a file that ended badly, or in which nothing ran, in a test of the file's own name.
    const wrapper = name === path || name === relative(process.cwd(), path);
    if (wrapper && ok) this.#fail(path, name, "ran no tests");
    else if (skip !== undefined || todo !== undefined) {
      this.#skipped.push(
        `${short(path)}: ${name} (${[skip, todo].find((reason) => typeof reason === "string") ?? "skipped"})`,
      );
    } else if (!ok) {
      const because = details.error?.failureType ?? details.error?.cause?.failureType;
      if (because !== "subtestsFailed") this.#fail(path, name, details.error);
    } else if (details.type !== "suite") {
      file.passed++;
    }
  }

  #fail(path, name, error) {
    const file = this.#file(path);
    file.failed++;
    this.#failures.push({ path, name, error });
  }

  #file(path) {
    const file = this.#files.get(path) ?? newFile();
    this.#files.set(path, file);
    return file;
  }
}

function newFile() {
  return { passed: 0, failed: 0, tookMs: 0 };
}

function short(path) {
  return relative(testFolder, path);
}

function describe(error) {
  const cause = error?.cause ?? error;
  if (error?.exitCode !== undefined) return `the file ended with exit code ${error.exitCode}, signal ${error.signal}`;
  return cause?.stack ?? String(cause?.message ?? cause);
}

function indent(text) {
  return text.replace(/^/gm, "    ");
}
