// REFERENCE 1.13: who pings, when, and what ends a session. Timers never fire early, so lower bounds are exact and
// upper bounds are wide.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const { Polling, Ws } = require("../../support/raw");

const INTERVAL = 600;
const TIMEOUT = 1500;
const LATE = 1400;

function between(start, least, what) {
  const passed = Date.now() - start;
  // A millisecond of tolerance: the two processes round their clocks differently.
  assert.ok(passed >= least - 2 && passed < least + LATE, `${what} after ${passed} ms instead of ${least}`);
}

describe("heartbeat", { concurrency: true }, () => {
  const server = Fixture.shared({ PING_INTERVAL: INTERVAL, PING_TIMEOUT: TIMEOUT });

  it("websocket: the first ping comes after one interval, not at once", async () => {
    const start = Date.now();
    const ws = await Ws.connect(server);
    assert.equal(await ws.next(), "2");
    between(start, INTERVAL, "ping");
  });

  it("polling: the first ping comes after one interval, not at once", async () => {
    const start = Date.now();
    const session = await Polling.connect(server);
    assert.equal(await session.poll(), "2");
    between(start, INTERVAL, "ping");
  });

  it("websocket: each pong starts the next interval", async () => {
    const ws = await Ws.connect(server);
    assert.equal(await ws.next(), "2");
    for (let i = 0; i < 2; i++) {
      await delay(100);
      const start = Date.now();
      ws.send("3");
      assert.equal(await ws.next(), "2");
      between(start, INTERVAL, "ping");
    }
  });

  it("polling: each pong starts the next interval", async () => {
    const session = await Polling.connect(server);
    assert.equal(await session.poll(), "2");
    for (let i = 0; i < 2; i++) {
      const start = Date.now();
      await session.post("3");
      assert.equal(await session.poll(), "2");
      between(start, INTERVAL, "ping");
    }
  });

  it("websocket: an unsolicited pong starts the interval again", async () => {
    const ws = await Ws.connect(server);
    await delay(150);
    const start = Date.now();
    ws.send("3");
    assert.equal(await ws.next(), "2");
    between(start, INTERVAL, "ping");
  });

  it("websocket: silence after a ping closes the session", async () => {
    const start = Date.now();
    const ws = await Ws.connect(server);
    assert.equal(await ws.next(), "2");
    await ws.assertClosed(1005);
    between(start, INTERVAL + TIMEOUT, "close");
    assert.equal(await server.disconnectReason(ws.id), "ping timeout");
  });

  it("polling: silence after a ping closes the session", async () => {
    const session = await Polling.connect(server);
    assert.equal(await session.poll(), "2");
    assert.equal(await server.disconnectReason(session.id), "ping timeout");
    await session.assertGone();
  });

  it("polling: a pending poll is answered with a close packet at the timeout", async () => {
    const session = await Polling.connect(server);
    assert.equal(await session.poll(), "2");
    assert.equal(await session.poll(), "1");
    assert.equal(await server.disconnectReason(session.id), "ping timeout");
    await session.assertGone();
  });

  it("polling: a client that never polls is timed out", async () => {
    const start = Date.now();
    const session = await Polling.connect(server);
    assert.equal(await server.disconnectReason(session.id), "ping timeout");
    between(start, INTERVAL + TIMEOUT, "close");
    await session.assertGone();
  });

  it("polling: the ping waits for the next poll", async () => {
    const session = await Polling.connect(server);
    await delay(INTERVAL + 100);
    assert.equal(await session.poll(), "2");
  });

  it("the handshake alone, without CONNECT, is timed out too", async () => {
    const session = await Polling.open(server);
    const ws = await Ws.open(server);
    await ws.next();
    assert.equal(await ws.next(), "2");
    await ws.assertClosed(1005);
    await delay(200);
    await session.assertGone();
  });

  it("other traffic while a pong is awaited extends the wait once", async () => {
    const ws = await Ws.connect(server);
    assert.equal(await ws.next(), "2");
    await delay(900);
    const extended = Date.now();
    ws.send(`42/quiet,["message",1]`);
    assert.equal(await ws.next(), `42/quiet,["message-back",1]`);
    await delay(900);
    ws.send(`42/quiet,["message",2]`);
    assert.equal(await ws.next(), `42/quiet,["message-back",2]`);
    await ws.closed();
    const passed = Date.now() - extended;
    assert.ok(passed >= TIMEOUT - 2 && passed < TIMEOUT + 800, `closed ${passed} ms after the first message`);
    assert.equal(await server.disconnectReason(ws.id), "ping timeout");
  });

  it("other traffic does not stand for a pong", async () => {
    const ws = await Ws.connect(server);
    assert.equal(await ws.next(), "2");
    const timer = setInterval(() => ws.send("6"), 100);
    await ws.closed();
    clearInterval(timer);
    assert.equal(await server.disconnectReason(ws.id), "ping timeout");
  });
});

describe("a ping in the wrong direction", { concurrency: true }, () => {
  const server = Fixture.shared();

  for (const ping of ["2", "2probe"]) {
    it(`websocket: the client's ${ping} kills the session`, async () => {
      const ws = await Ws.connect(server);
      ws.send(ping);
      await ws.assertClosed(1005);
      assert.equal(await server.disconnectReason(ws.id), "transport error");
    });

    it(`polling: the client's ${ping} kills the session`, async () => {
      const session = await Polling.connect(server);
      await session.post(ping);
      assert.equal(await server.disconnectReason(session.id), "transport error");
      await session.assertGone();
    });
  }

  it("polling: a pending poll is answered with a close packet when the client pings", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post("2");
    assert.equal((await pending.response).body, "1");
  });
});
