// The client of another language: python-socketio, over each transport.
"use strict";

const assert = require("node:assert/strict");
const { execFile, execFileSync } = require("node:child_process");
const path = require("node:path");
const { it } = require("node:test");
const { promisify } = require("node:util");
const { Fixture } = require("../../support/fixture");

const PYTHON = process.env.PYTHON ?? "python3";
const SCRIPT = path.join(__dirname, "..", "..", "python", "client.py");
const INSTALL = "python3 -m venv .venv && .venv/bin/pip install -r python/requirements.txt, then PYTHON=.venv/bin/python";

function missing() {
  try {
    execFileSync(PYTHON, ["-c", "import socketio, requests, websocket"], { stdio: "ignore" });
    return false;
  } catch {
    assert.ok(!process.env.CI, `python-socketio is missing: ${INSTALL}`);
    return `python-socketio is missing: ${INSTALL}`;
  }
}

const skip = missing();

for (const transport of ["polling", "websocket", "upgrade"]) {
  it(`python-socketio, ${transport}`, { skip }, async (t) => {
    // Told to leave, this client may go without the last poll; the heartbeat then clears its session away.
    const server = await Fixture.own(t, { PING_INTERVAL: 1000, PING_TIMEOUT: 2000 });
    const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT, server.url, transport], { timeout: 60_000 });
    const checks = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(checks.length, 10);
    for (const { name, error } of checks) await t.test(name.replaceAll("_", " "), () => assert.ok(!error, error));
  });
}
