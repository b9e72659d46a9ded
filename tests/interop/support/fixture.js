// Starts the server under test (FIXTURE.md) and talks to it over its standard streams.
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { after, before } = require("node:test");
const path = require("node:path");
const readline = require("node:readline");
const { setTimeout: delay } = require("node:timers/promises");

const REFERENCE = `exec "${process.execPath}" "${path.join(__dirname, "..", "reference-server.js")}"`;
const COMMAND = process.env.SERVER_CMD ?? REFERENCE;
const START_TIMEOUT = 20_000;
const STEP_TIMEOUT = 5_000;

class Fixture {
  // One server for all tests of the enclosing `describe`. At its end nothing may be left behind.
  static shared(options) {
    const fixture = new Fixture(options);
    before(() => fixture.#spawn(0));
    after(() => fixture.#finish());
    return fixture;
  }

  // A server for the one test whose context is given.
  static async own(test, options) {
    const fixture = new Fixture(options);
    test.after(() => fixture.#finish());
    await fixture.#spawn(0);
    return fixture;
  }

  constructor(options = {}) {
    this.options = options;
    this.port = 0;
    this.lines = [];
    this.waiters = [];
    this.cleanups = [];
  }

  // What must happen to a client before the server can be found empty.
  onFinish(cleanup) {
    this.cleanups.push(cleanup);
  }

  async #finish() {
    try {
      await Promise.all(this.cleanups.map((cleanup) => cleanup()));
      if (this.child.exitCode === null) await this.settled();
    } finally {
      await this.kill();
    }
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async #spawn(port) {
    const options = Object.entries({ ...this.options, PORT: port }).map(([name, value]) => [name, String(value)]);
    // A process group of its own: SERVER_CMD may be a shell line that starts further processes.
    this.child = spawn(COMMAND, {
      shell: true,
      detached: true,
      env: { ...process.env, ...Object.fromEntries(options) },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdin.on("error", () => {});
    this.exited = new Promise((resolve) => this.child.once("close", resolve));
    readline.createInterface({ input: this.child.stdout }).on("line", (line) => this.#receive(line));
    const died = this.exited.then((code) => {
      throw new Error(`the server ended with code ${code} before it was ready: ${COMMAND}`);
    });
    const ready = await Promise.race([this.#next((line) => line.ready, START_TIMEOUT, "ready"), died]);
    this.port = ready.ready;
  }

  #receive(text) {
    const ready = /^ready (\d+)$/.exec(text);
    const line = ready ? { ready: Number(ready[1]) } : JSON.parse(text);
    const index = this.waiters.findIndex(({ matches }) => matches(line));
    if (index < 0) this.lines.push(line);
    else this.waiters.splice(index, 1)[0].resolve(line);
  }

  #next(matches, timeout, what) {
    const index = this.lines.findIndex(matches);
    if (index >= 0) return Promise.resolve(this.lines.splice(index, 1)[0]);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} line from the server`)), timeout);
      this.waiters.push({ matches, resolve: (line) => (clearTimeout(timer), resolve(line)) });
    });
  }

  // The reason with which the server saw the socket go.
  async disconnectReason(id) {
    assert.equal(typeof id, "string", "the id of a socket");
    const { disconnect } = await this.#next((line) => line.disconnect?.id === id, STEP_TIMEOUT, `disconnect of ${id}`);
    return disconnect.reason;
  }

  async connectionError(matches) {
    const found = (line) => line.connection_error !== undefined && matches(line.connection_error);
    return (await this.#next(found, STEP_TIMEOUT, "connection_error")).connection_error;
  }

  async stats() {
    this.child.stdin.write("stats\n");
    return (await this.#next((line) => line.stats, STEP_TIMEOUT, "stats")).stats;
  }

  async close() {
    this.child.stdin.write("close\n");
    await this.#next((line) => line.closed, STEP_TIMEOUT, "closed");
  }

  // Nothing is left behind: waits until every session, socket and room is gone. A session that the server closed while
  // nobody polled may wait 30 s for its client.
  async settled(timeout = 45_000) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const stats = await this.stats();
      if (stats.engines === 0 && stats.sockets === 0 && stats.rooms === 0) return;
      if (Date.now() > deadline) throw new Error(`left behind: ${JSON.stringify(stats)}`);
      await delay(20);
    }
  }

  async kill() {
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch (err) {
      if (err.code !== "ESRCH") throw err;
    }
    await this.exited;
  }

  // The same port, a new process: what a client sees as a server restart.
  async restart() {
    await this.kill();
    await this.#spawn(this.port);
  }
}

module.exports = { Fixture, delay };
