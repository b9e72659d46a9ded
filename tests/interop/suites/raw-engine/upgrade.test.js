// REFERENCE 1.14: the hand-over from polling to websocket, step by step and in every wrong order.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const { Polling, RS, Ws, assertError, exchange, request } = require("../../support/raw");

const echo = (value) => `42/quiet,["message",${JSON.stringify(value)}]`;
const echoed = (value) => `42/quiet,["message-back",${JSON.stringify(value)}]`;

async function probe(session) {
  const ws = await Ws.open(session.server, { sid: session.sid });
  ws.send("2probe");
  assert.equal(await ws.next(), "3probe");
  return ws;
}

async function upgrade(session) {
  const ws = await probe(session);
  ws.send("5");
  await ws.assertAlive();
  return ws;
}

describe("upgrade", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("probe, upgrade, and the session goes on over websocket", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    ws.send(`42/quiet,1["whoami"]`);
    const answer = await ws.next();
    assert.ok(answer.startsWith("43/quiet,1["), answer);
    const [who] = JSON.parse(answer.slice("43/quiet,1".length));
    assert.equal(who.id, session.id);
    assert.equal(who.transport, "websocket");
    assert.equal(who.handshake.query.transport, "polling");
    ws.close();
    assert.equal(await server.disconnectReason(session.id), "transport close");
  });

  it("each transport says for itself whether it wants base64", async () => {
    for (const [onPolling, onWebsocket, back] of [["1", undefined, Buffer.from([1, 2])], [undefined, "1", "bAQI="]]) {
      const session = await Polling.connect(server, "/quiet", { b64: onPolling });
      const ws = await Ws.open(server, { sid: session.sid, b64: onWebsocket });
      ws.send("2probe");
      assert.equal(await ws.next(), "3probe");
      ws.send("5", `451-/quiet,["message",{"_placeholder":true,"num":0}]`, Buffer.from([1, 2]));
      assert.equal(await ws.next(), `451-/quiet,["message-back",{"_placeholder":true,"num":0}]`);
      assert.deepEqual(await ws.next(), back);
    }
  });

  it("before CONNECT too", async () => {
    const session = await Polling.open(server);
    const ws = await probe(session);
    ws.send("5", "40/quiet,");
    assert.match(await ws.next(), /^40\/quiet,/);
  });

  it("a pending poll is freed by a noop 100 ms after the probe", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    const start = Date.now();
    const ws = await probe(session);
    assert.equal((await pending.response).body, "6");
    assert.ok(Date.now() - start >= 95, "too early");
    ws.send("5");
    await ws.assertAlive();
  });

  it("so is each further poll, again and again", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    for (let i = 0; i < 3; i++) assert.equal(await session.poll(), "6");
    ws.send("5");
    await ws.assertAlive();
  });

  it("an upgrade that is quicker than the noop: the pending poll gets a close packet that means nothing", async () => {
    // On a busy machine 100 ms may pass before the upgrade, and the poll gets its noop.
    for (let attempt = 0; attempt < 5; attempt++) {
      const session = await Polling.connect(server);
      const pending = await session.park();
      const ws = await probe(session);
      ws.send("5");
      const { body } = await pending.response;
      await ws.assertAlive();
      if (body === "1") return;
      assert.equal(body, "6");
    }
    assert.fail("a noop each time");
  });

  it("during the upgrade, messages to the client go out on the pending poll", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    const pending = session.get();
    await delay(20);
    await session.post(echo(1));
    const { body } = await pending.response;
    assert.ok(body === echoed(1) || body === "6", body);
    if (body === "6") assert.equal(await session.poll(), echoed(1));
    ws.send("5");
    await ws.assertAlive();
  });

  it("messages that wait at the upgrade come first on the websocket", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await session.post([echo(1), echo(2)].join(RS));
    ws.send("5", echo(3));
    for (const value of [1, 2, 3]) assert.equal(await ws.next(), echoed(value));
  });

  it("messages both ways during the upgrade arrive exactly once and in order", async () => {
    const session = await Polling.connect(server);
    const received = [];
    let sent = 0;
    let polling = true;
    const polls = (async () => {
      while (polling) received.push(...(await session.poll()).split(RS).filter((packet) => packet !== "6"));
    })();
    const post = async () => {
      for (let i = 0; i < 10; i++) await session.post([echo(sent++), echo(sent++)].join(RS));
    };
    await post();
    const ws = await probe(session);
    await post();
    polling = false;
    await polls;
    ws.send("5");
    for (let i = 0; i < 20; i++) ws.send(echo(sent++));
    while (received.length < sent) received.push(await ws.next());
    assert.deepEqual(received, Array.from({ length: sent }, (_, i) => echoed(i)));
    await ws.assertAlive();
  });

  it("a burst from the server across the upgrade is complete and in order", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await session.post(`42/quiet,["burst",100,0]`);
    const received = (await session.poll()).split(RS).filter((packet) => packet !== "6");
    await session.post(`42/quiet,["burst",100,0]`);
    ws.send("5");
    while (received.length < 200) received.push(await ws.next());
    const expected = Array.from({ length: 200 }, (_, i) => `42/quiet,["burst",${i % 100}]`);
    assert.deepEqual(received, expected);
  });

  it("a binary message may begin on polling and end on the websocket", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await session.post(`451-/quiet,["message",{"_placeholder":true,"num":0}]`);
    ws.send("5", Buffer.from([1, 2, 3]));
    assert.equal(await ws.next(), `451-/quiet,["message-back",{"_placeholder":true,"num":0}]`);
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3]));
  });

  it("without a probe", async () => {
    const session = await Polling.connect(server);
    const ws = await Ws.open(server, { sid: session.sid });
    ws.send("5");
    await ws.assertAlive();
  });

  for (const packet of ["2", "2prob", "2probe ", "3probe", "6", "0", "1", echo(1), "x", "7"]) {
    it(`the packet ${packet} instead of the probe closes the new connection only`, async () => {
      const session = await Polling.connect(server);
      const ws = await Ws.open(server, { sid: session.sid });
      ws.send(packet);
      await ws.assertClosed(1005);
      await session.assertAlive();
      await upgrade(session);
    });
  }

  for (const [what, frame] of [
    ["binary", Buffer.from("2probe")],
    ["message", echo(1)],
  ]) {
    it(`a ${what} frame after the probe closes the new connection only`, async () => {
      const session = await Polling.connect(server);
      const ws = await probe(session);
      ws.send(frame);
      await ws.assertClosed(1005);
      await session.assertAlive();
    });
  }

  it("a second probe is answered like the first", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    ws.send("5");
    await ws.assertAlive();
  });

  it("the new connection may go away before and after its probe", async () => {
    const session = await Polling.connect(server);
    const silent = await Ws.open(server, { sid: session.sid });
    silent.close();
    await silent.closed();
    const closing = await probe(session);
    closing.close();
    await closing.closed();
    const lost = await probe(session);
    lost.socket.terminate();
    await delay(50);
    await session.assertAlive();
    await upgrade(session);
  });

  it("no noop comes after a failed upgrade", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    ws.close();
    await ws.closed();
    await delay(20);
    const pending = session.get();
    await delay(250);
    await session.post(echo(1));
    assert.equal((await pending.response).body, echoed(1));
  });

  it("a second websocket while upgrading is closed, the first goes on", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    const second = await Ws.open(server, { sid: session.sid });
    await second.assertClosed(1005);
    ws.send("5");
    await ws.assertAlive();
  });

  it("a second websocket before the probe of the first is closed too", async () => {
    const session = await Polling.connect(server);
    const ws = await Ws.open(server, { sid: session.sid });
    const second = await Ws.open(server, { sid: session.sid });
    await second.assertClosed(1005);
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    ws.send("5");
    await ws.assertAlive();
  });

  it("a websocket after the upgrade is closed, the session goes on", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    const second = await Ws.open(server, { sid: session.sid });
    await second.assertClosed(1005);
    await ws.assertAlive();
  });

  it("a second websocket does not disturb a session born on websocket", async () => {
    const ws = await Ws.connect(server);
    const second = await Ws.open(server, { sid: ws.sid });
    await ws.assertAlive();
    second.close();
    await second.closed();
    await ws.assertAlive();
  });

  it("polling requests after the upgrade are refused, the session goes on", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    assertError(await session.get().response, 3);
    assertError(await request(server, { method: "POST", query: session.query, body: echo(1) }), 3);
    await ws.assertAlive();
  });

  // The reference drops what such a post says. Delivering it is allowed: only a client that breaks the rules posts at
  // that time, but what it says is not lost then.
  it("a post in progress at the upgrade is dropped or delivered, the session goes on", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    const body = echo("late");
    const headers = { "content-length": body.length };
    const post = exchange(server, { method: "POST", query: session.query, body: null, headers });
    post.sent.write(body.slice(0, 5));
    await delay(30);
    ws.send("5");
    await ws.assertAlive();
    post.sent.end(body.slice(5));
    await post.response.catch(() => {});
    ws.send(echo("alive"));
    const back = await ws.next();
    if (back === `42/quiet,["message-back","late"]`) assert.equal(await ws.next(), `42/quiet,["message-back","alive"]`);
    else assert.equal(back, `42/quiet,["message-back","alive"]`);
  });

  it("the packet 5 on the upgraded websocket is ignored", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    ws.send("5");
    await ws.assertAlive();
  });

  it("closing the session by post during the upgrade closes the new connection", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await session.post("1");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(session.id), "transport close");
    await session.assertGone();
  });

  it("an aborted poll during the upgrade closes the session and the new connection", async () => {
    const session = await Polling.connect(server);
    const ws = await Ws.open(server, { sid: session.sid });
    const pending = await session.park();
    pending.sent.destroy();
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(session.id), "transport error");
  });

  it("closing by the server during the upgrade, with a poll pending, closes both", async () => {
    const session = await Polling.connect(server);
    const ws = await Ws.open(server, { sid: session.sid });
    const pending = await session.park();
    await session.post("49");
    assert.equal((await pending.response).body, "1");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(session.id), "forced close");
  });

  it("a deferred close of the server is carried out by the upgrade", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await session.post(`42/quiet,["disconnect-me",true]`);
    assert.equal(await server.disconnectReason(session.id), "server namespace disconnect");
    ws.send("5");
    await ws.closed();
    assert.deepEqual(ws.frames.filter((packet) => packet !== "41/quiet,"), []);
    await session.assertGone();
  });
});

describe("upgrade timeout", { concurrency: 8 }, () => {
  const server = Fixture.shared({ UPGRADE_TIMEOUT: 600 });

  it("without a probe", async () => {
    const session = await Polling.connect(server);
    const start = Date.now();
    const ws = await Ws.open(server, { sid: session.sid });
    await ws.assertClosed(1005);
    assert.ok(Date.now() - start >= 595, "too early");
    await session.assertAlive();
    await upgrade(session);
  });

  it("with a probe and no upgrade", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await ws.assertClosed(1005);
    const pending = await session.park();
    await delay(150);
    await session.post(echo(1));
    assert.equal((await pending.response).body, echoed(1));
    await upgrade(session);
  });

  it("does not touch a session that was upgraded in time", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    await delay(700);
    await ws.assertAlive();
  });
});

describe("heartbeat and upgrade", { concurrency: 8 }, () => {
  const server = Fixture.shared({ PING_INTERVAL: 600, PING_TIMEOUT: 1500 });

  it("the ping of an upgraded session comes on the websocket", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    for (let i = 0; i < 2; i++) {
      assert.equal(await ws.next(), "2");
      ws.send("3");
    }
  });

  it("an upgraded session that is silent is timed out", async () => {
    const session = await Polling.connect(server);
    const ws = await upgrade(session);
    assert.equal(await ws.next(), "2");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(session.id), "ping timeout");
  });

  it("a session that never finishes its upgrade is timed out with its new connection", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(session.id), "ping timeout");
  });

  it("a ping that waits for a poll goes out on the websocket after the upgrade", async () => {
    const session = await Polling.connect(server);
    const ws = await probe(session);
    await delay(700);
    ws.send("5");
    assert.equal(await ws.next(), "2");
    ws.send("3");
    assert.equal(await ws.next(), "2");
  });
});
