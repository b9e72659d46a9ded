// REFERENCE 1.15, 1.16: how a session ends, from either side and in every state.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const raw = require("../../support/raw");
const { Polling, RS, Ws, assertError, exchange, request } = raw;

// A protocol error makes the server close the session by itself.
const VIOLATION = "49";
const DISCONNECT_ME = `42/quiet,["disconnect-me",true]`;

describe("close, polling", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("by the client, no poll pending", async () => {
    const session = await Polling.connect(server);
    await session.post("1");
    assert.equal(await server.disconnectReason(session.id), "transport close");
    await session.assertGone();
  });

  it("by the client, with a poll pending: it returns a noop", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post("1");
    assert.equal((await pending.response).body, "6");
    assert.equal(await server.disconnectReason(session.id), "transport close");
    await session.assertGone();
  });

  it("by the client: the packets behind the close packet are dropped", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post(["1", `42/quiet,["message",1]`].join(RS));
    assert.equal((await pending.response).body, "6");
    await session.assertGone();
  });

  it("by the client, right after the handshake", async () => {
    const session = await Polling.open(server);
    await session.post("1");
    await session.assertGone();
  });

  it("by the server, with a poll pending: it returns a close packet", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post(VIOLATION);
    assert.equal((await pending.response).body, "1");
    assert.equal(await server.disconnectReason(session.id), "forced close");
    await session.assertGone();
  });

  it("by the server, no poll pending: the next one returns a noop and a close packet", async () => {
    const session = await Polling.connect(server);
    await session.post(VIOLATION);
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    assert.equal(await server.disconnectReason(session.id), "forced close");
    await session.assertGone();
  });

  it("by the server, deferred after a packet out of turn: the socket is told at once", async () => {
    const session = await Polling.connect(server);
    await session.post("40/quiet,");
    assert.equal(await server.disconnectReason(session.id), "forced server close");
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("by the server, with packets waiting: they go out first", async () => {
    const session = await Polling.connect(server);
    await session.post([`42/quiet,["message",1]`, `42/quiet,["message",2]`].join(RS));
    await delay(30);
    await session.post(VIOLATION);
    const back = [1, 2].map((i) => `42/quiet,["message-back",${i}]`).join(RS);
    assert.equal(await session.poll(), back);
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("by the server, deferred: posts are answered but their packets dropped", async () => {
    const session = await Polling.connect(server);
    await session.post(VIOLATION);
    await session.post(`42/quiet,["message",1]`);
    await session.post("hello");
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("disconnect(true), no poll pending: DISCONNECT, then noop and close", async () => {
    const session = await Polling.connect(server);
    await session.post(DISCONNECT_ME);
    assert.equal(await server.disconnectReason(session.id), "server namespace disconnect");
    assert.equal(await session.poll(), "41/quiet,");
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("disconnect(true), with a poll pending: DISCONNECT, then noop and close", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post(DISCONNECT_ME);
    assert.equal((await pending.response).body, "41/quiet,");
    assert.equal(await session.poll(), ["6", "1"].join(RS));
    await session.assertGone();
  });

  it("while a post is being received", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    const post = exchange(server, { method: "POST", query: session.query, body: null, headers: { "content-length": 6 } });
    post.sent.write("42/");
    await delay(50);
    pending.sent.destroy();
    assert.equal(await server.disconnectReason(session.id), "transport error");
    post.sent.end("xxx");
    await post.response.catch(() => {});
    await session.assertGone();
  });

  it("a websocket cannot take over a closed session", async () => {
    const session = await Polling.connect(server);
    await session.post("1");
    const answer = await raw.tcp(server, raw.upgradeRequest({ transport: "websocket", sid: session.sid })).ended;
    assert.match(answer, /\r\n\r\nSession ID unknown$/);
  });
});

describe("close, websocket", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("by the server: an empty close frame", async () => {
    const ws = await Ws.connect(server);
    ws.send(VIOLATION);
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(ws.id), "forced close");
    assertError(await request(server, { query: { transport: "polling", sid: ws.sid } }), 1);
  });

  it("disconnect(true): DISCONNECT, then an empty close frame", async () => {
    const ws = await Ws.connect(server);
    ws.send(DISCONNECT_ME);
    assert.equal(await ws.next(), "41/quiet,");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(ws.id), "server namespace disconnect");
  });

  it("by the client, right after the handshake", async () => {
    const ws = await Ws.open(server);
    ws.close();
    await ws.closed();
  });

  it("what was sent before the close arrives", async () => {
    const ws = await Ws.connect(server);
    ws.send(`42/quiet,["burst",50,0]`, DISCONNECT_ME);
    for (let i = 0; i < 50; i++) assert.equal(await ws.next(), `42/quiet,["burst",${i}]`);
    assert.equal(await ws.next(), "41/quiet,");
    await ws.assertClosed(1005);
  });
});

describe("close of the whole server", () => {
  it("answers pending polls with a close packet, websockets with an empty close frame, and sends no DISCONNECT", async (t) => {
    const server = await Fixture.own(t);
    const ws = await Ws.connect(server);
    const session = await Polling.connect(server);
    const pending = await session.park();
    const closed = server.close();
    assert.equal((await pending.response).body, "1");
    await ws.assertClosed(1005);
    for (const { id } of [ws, session]) assert.equal(await server.disconnectReason(id), "server shutting down");
    await closed;
    const refused = exchange(server, { query: { transport: "polling" } }).response;
    await assert.rejects(refused, { code: "ECONNREFUSED" });
  });
});
