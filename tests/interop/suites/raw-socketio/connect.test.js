// REFERENCE 3.4, 3.6, 10: joining, being refused and leaving namespaces.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const { Polling, RS, Ws } = require("../../support/raw");

const ID = /^[A-Za-z0-9_-]{20}$/;

// `40{"sid":"…"}` or `40/nsp,{"sid":"…"}`, with the sid and nothing else. Returns the sid.
function assertConnected(packet, prefix) {
  assert.ok(packet.startsWith(`${prefix}{`), packet);
  const data = JSON.parse(packet.slice(prefix.length));
  assert.deepEqual(Object.keys(data), ["sid"]);
  assert.match(data.sid, ID);
  return data.sid;
}

async function open(server) {
  const ws = await Ws.open(server);
  ws.sid = JSON.parse((await ws.next()).slice(1)).sid;
  return ws;
}

describe("CONNECT", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const [sent, answer, auth] of [
    ["40", "40", `42["auth",{}]`],
    [`40{"token":"x"}`, "40", `42["auth",{"token":"x"}]`],
    ["40/,", "40", `42["auth",{}]`],
    [`40/,{"a":[1,{"b":null}]}`, "40", `42["auth",{"a":[1,{"b":null}]}]`],
    ["40/custom,", "40/custom,", `42/custom,["auth",{}]`],
    ["40/custom", "40/custom,", `42/custom,["auth",{}]`],
    [`40/custom,{"token":"x"}`, "40/custom,", `42/custom,["auth",{"token":"x"}]`],
    [`4012{"token":"x"}`, "40", `42["auth",{"token":"x"}]`],
  ]) {
    it(`websocket: ${sent}`, async () => {
      const ws = await open(server);
      ws.send(sent);
      const id = assertConnected(await ws.next(), answer);
      assert.notEqual(id, ws.sid, "the id of a socket must not be the secret id of its session");
      assert.equal(await ws.next(), auth);
    });

    it(`polling: ${sent}`, async () => {
      const session = await Polling.open(server);
      await session.post(sent);
      const packets = await session.packets(2);
      const id = assertConnected(packets[0], answer);
      assert.notEqual(id, session.sid);
      assert.equal(packets[1], auth);
    });
  }

  it("nothing is sent before CONNECT", async () => {
    const ws = await open(server);
    await delay(100);
    assert.deepEqual(ws.frames, []);
  });

  for (const [sent, refused] of [
    ["40/random", `44/random,{"message":"Invalid namespace"}`],
    ["40/random,", `44/random,{"message":"Invalid namespace"}`],
    [`40/random,{"a":1}`, `44/random,{"message":"Invalid namespace"}`],
    ["40/custom?a=1,", `44/custom?a=1,{"message":"Invalid namespace"}`],
    ["40/Custom,", `44/Custom,{"message":"Invalid namespace"}`],
    [`40/a{"x":1}`, `44/a{"x":1},{"message":"Invalid namespace"}`],
    ["40/__proto__,", `44/__proto__,{"message":"Invalid namespace"}`],
    ["40/auth,", `44/auth,{"message":"not authorized","data":{"code":401,"hint":"bring a token"}}`],
    [`40/auth,{"token":"plain"}`, `44/auth,{"message":"plain refusal"}`],
  ]) {
    it(`${sent} is refused and the connection stays`, async () => {
      const ws = await open(server);
      ws.send(sent);
      assert.equal(await ws.next(), refused);
      ws.send("40/quiet,");
      assertConnected(await ws.next(), "40/quiet,");
      await ws.assertAlive();
    });
  }

  it("after a refusal the same namespace may be tried again", async () => {
    const ws = await open(server);
    ws.send("40/auth,");
    assert.match(await ws.next(), /^44\/auth,/);
    ws.send(`40/auth,{"token":"secret"}`);
    assertConnected(await ws.next(), "40/auth,");
    await ws.assertAlive("/auth");
  });

  it("several namespaces share one connection, each with its own id", async () => {
    const ws = await open(server);
    ws.send("40/quiet,", "40/custom,", `40/auth,{"token":"secret"}`);
    const ids = new Set();
    for (let i = 0; i < 4; i++) {
      const packet = await ws.next();
      const [, prefix] = /^(40\/\w+,)/.exec(packet) ?? [];
      if (prefix) ids.add(assertConnected(packet, prefix));
    }
    assert.equal(ids.size, 3);
    await ws.assertAlive("/quiet");
    await ws.assertAlive("/custom");
    await ws.assertAlive("/auth");
  });

  it("a slow middleware does not hold up other namespaces", async () => {
    const ws = await open(server);
    ws.send("40/slow,", "40/quiet,");
    assertConnected(await ws.next(), "40/quiet,");
    await ws.assertAlive();
    assertConnected(await ws.next(), "40/slow,");
    await ws.assertAlive("/slow");
  });

  it("CONNECT to a joined namespace closes the connection", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/quiet,");
    await ws.assertClosed();
    assert.equal(await server.disconnectReason(ws.id), "forced close");
  });

  it("on a polling session too", async () => {
    const session = await Polling.connect(server);
    await session.post("40/quiet,");
    assert.equal(await server.disconnectReason(session.id), "forced server close");
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("a session that ends during the middleware leaves nothing", async (t) => {
    const own = await Fixture.own(t);
    const ws = await open(own);
    ws.send("40/slow,");
    await delay(50);
    ws.socket.terminate();
    await own.settled();
    await delay(250);
    await own.settled();
  });
});

describe("packets for a namespace that is not joined close the connection", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const packet of [`42["message",1]`, `42/custom,["message",1]`, `420["message-with-ack",1]`, "41", "41/custom,", "430[1]", "4"]) {
    it(`before any CONNECT: ${packet}`, async () => {
      const ws = await open(server);
      ws.send(packet);
      await ws.assertClosed();
    });
  }

  it("before CONNECT, on polling", async () => {
    const session = await Polling.open(server);
    await session.post(`42["message",1]`);
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("pipelined with the CONNECT", async () => {
    const session = await Polling.open(server);
    await session.post(["40/quiet,", `42/quiet,["message",1]`].join(RS));
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("while a middleware decides", async () => {
    const ws = await open(server);
    ws.send("40/slow,");
    await delay(50);
    ws.send(`42/slow,["message",1]`);
    await ws.assertClosed();
  });

  for (const packet of [`42/custom,["message",1]`, "41/custom,", "43/custom,0[]", `42["message",1]`]) {
    it(`another namespace than the joined one: ${packet}`, async () => {
      const ws = await Ws.connect(server);
      ws.send(packet);
      await ws.assertClosed();
      assert.equal(await server.disconnectReason(ws.id), "forced close");
    });
  }

  for (const packet of [`44{"message":"x"}`, `44/quiet,{"message":"x"}`, `44/quiet,"x"`, "44/quiet,"]) {
    it(`a CONNECT_ERROR from the client: ${packet}`, async () => {
      const ws = await Ws.connect(server);
      ws.send(packet);
      await ws.assertClosed();
      assert.equal(await server.disconnectReason(ws.id), "forced close");
    });
  }
});

describe("DISCONNECT", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("leaves the namespace without an answer, the connection stays", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/custom,");
    assertConnected(await ws.next(), "40/custom,");
    assert.equal(await ws.next(), `42/custom,["auth",{}]`);
    ws.send("41/quiet,");
    assert.equal(await server.disconnectReason(ws.id), "client namespace disconnect");
    await ws.assertAlive("/custom");
  });

  it("events after it close the connection", async () => {
    const ws = await Ws.connect(server);
    ws.send("41/quiet,");
    assert.equal(await server.disconnectReason(ws.id), "client namespace disconnect");
    ws.send(`42/quiet,["message",1]`);
    await ws.assertClosed();
  });

  it("a new CONNECT after it gives a new id", async () => {
    const ws = await Ws.connect(server);
    ws.send("41/quiet,");
    await server.disconnectReason(ws.id);
    ws.send("40/quiet,");
    assert.notEqual(assertConnected(await ws.next(), "40/quiet,"), ws.id);
    await ws.assertAlive();
  });

  it("by the server: DISCONNECT, and the connection stays", async () => {
    const ws = await Ws.connect(server);
    ws.send(`42/quiet,["disconnect-me",false]`);
    assert.equal(await ws.next(), "41/quiet,");
    assert.equal(await server.disconnectReason(ws.id), "server namespace disconnect");
    ws.send("40/quiet,");
    assertConnected(await ws.next(), "40/quiet,");
    await ws.assertAlive();
  });

  it("by the server with close: DISCONNECT for every namespace, then the end", async () => {
    const ws = await Ws.connect(server);
    ws.send("40/slow,");
    const other = assertConnected(await ws.next(), "40/slow,");
    ws.send(`42/quiet,["disconnect-me",true]`);
    assert.deepEqual([await ws.next(), await ws.next()].sort(), ["41/quiet,", "41/slow,"]);
    await ws.assertClosed();
    for (const id of [ws.id, other]) assert.equal(await server.disconnectReason(id), "server namespace disconnect");
  });
});

describe("connect timeout", { concurrency: 8 }, () => {
  const server = Fixture.shared({ CONNECT_TIMEOUT: 600 });

  it("websocket: closed when no namespace was joined in time", async () => {
    const start = Date.now();
    const ws = await open(server);
    await ws.assertClosed();
    assert.ok(Date.now() - start >= 595);
  });

  it("polling: the pending poll is answered with a close packet", async () => {
    const session = await Polling.open(server);
    assert.equal(await session.poll(), "1");
    await session.assertGone();
  });

  it("polling: without a pending poll the next one gets a noop and a close packet", async () => {
    const session = await Polling.open(server);
    await delay(750);
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("a refused CONNECT does not stop the clock", async () => {
    const ws = await open(server);
    ws.send("40/random,");
    assert.match(await ws.next(), /^44/);
    await ws.assertClosed();
  });

  it("a joined namespace does, even after it was left", async () => {
    const ws = await Ws.connect(server);
    ws.send("41/quiet,");
    await delay(800);
    ws.send("40/quiet,");
    assertConnected(await ws.next(), "40/quiet,");
    await ws.assertAlive();
  });
});
