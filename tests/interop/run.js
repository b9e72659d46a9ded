// node run.js [suite…]: runs the suites (folders under suites/) and prints `N passed, N failed` as its last line.
"use strict";

const { readdirSync } = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { run } = require("node:test");

const ROOT = path.join(__dirname, "suites");
const available = readdirSync(ROOT).sort();
const chosen = process.argv.length > 2 ? process.argv.slice(2) : available;
const unknown = chosen.filter((suite) => !available.includes(suite));
if (unknown.length > 0) {
  console.error(`unknown suite: ${unknown.join(", ")}; there are: ${available.join(", ")}`);
  process.exit(2);
}

const files = chosen.flatMap((suite) =>
  readdirSync(path.join(ROOT, suite))
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => path.join(ROOT, suite, name)),
);

const count = { passed: 0, failed: 0, skipped: 0 };
// The reports of one file come in order, so the last name started at each level is that of the enclosing suite.
const started = [];
const name = ({ name, nesting }) => [...started.slice(0, nesting), name].join(" > ");

// Most of a file's time is spent waiting for timers, so two files per core.
run({ files, concurrency: os.availableParallelism() * 2, timeout: 120_000 })
  .on("test:start", ({ name, nesting }) => (started[nesting] = name))
  .on("test:pass", (event) => {
    if (event.details.type === "suite") return;
    if (event.skip !== undefined) {
      count.skipped++;
      console.log(`skip ${name(event)} (${event.skip})`);
    } else {
      count.passed++;
      if (process.env.VERBOSE) console.log(`ok   ${name(event)} ${Math.round(event.details.duration_ms)} ms`);
    }
  })
  .on("test:fail", (event) => {
    const { error, type } = event.details;
    // A suite fails because of its tests, which are counted, or because of a hook, which is not.
    if (type === "suite" && error.failureType === "subtestsFailed") return;
    count.failed++;
    console.log(`FAIL ${name(event)}\n${error.cause?.stack ?? error.cause ?? error.message}\n`);
  })
  .on("test:stderr", (event) => process.stderr.write(event.message))
  .on("end", () => {
    if (count.skipped > 0) console.log(`${count.skipped} skipped`);
    console.log(`${count.passed} passed, ${count.failed} failed`);
    process.exitCode = count.failed > 0 || count.passed + count.skipped === 0 ? 1 : 0;
  })
  .resume();
