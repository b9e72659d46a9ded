// REFERENCE 3.6, 3.7, 4.3–4.6: middlewares, dynamic namespaces, catch-all listeners, utility methods.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Clients, ask, next, overEachTransport } = require("../../support/client-suite");
const { Fixture } = require("../../support/fixture");
const { Ws } = require("../../support/raw");
const v4 = require("../../support/dialects")("v4");

describe("on the wire", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("an event emitted in a middleware goes out before CONNECT", async () => {
    const ws = await Ws.open(server);
    await ws.next();
    ws.send("40/early,");
    assert.equal(await ws.next(), `42/early,["early","before CONNECT"]`);
    assert.match(await ws.next(), /^40\/early,\{"sid":"[^"]{20}"\}$/);
  });

  it("an event refused by a socket middleware says nothing on the wire by itself", async () => {
    const ws = await Ws.connect(server, "/checked");
    ws.send(`42/checked,["forbidden",1]`);
    assert.equal(await ws.next(), `42/checked,["seen","forbidden"]`);
    assert.equal(await ws.next(), `42/checked,["failed","forbidden event"]`);
    ws.send(`42/checked,["message",1]`);
    assert.equal(await ws.next(), `42/checked,["seen","message"]`);
    assert.equal(await ws.next(), `42/checked,["message-back",1]`);
  });

  for (const name of ["/dynamic-", "/dynamic-1a", "/xdynamic-1", "/dynamic-1/2"]) {
    it(`${name} does not match the pattern`, async () => {
      const ws = await Ws.open(server);
      await ws.next();
      ws.send(`40${name},`);
      assert.equal(await ws.next(), `44${name},{"message":"Invalid namespace"}`);
    });
  }
});

overEachTransport(v4, "namespaces", (clients, transport, server) => {
  it("an event emitted in a middleware is delivered before connect", async () => {
    const order = [];
    const socket = clients.open("/early");
    socket.on("early", (text) => order.push(text));
    socket.on("connect", () => order.push("connect"));
    await next(socket, "connect");
    assert.deepEqual(order, ["before CONNECT", "connect"]);
  });

  it("a socket middleware, a catch-all listener and the error event", async () => {
    const socket = await clients.connect("/checked");
    const seen = [];
    for (const event of ["seen", "failed", "handled"]) socket.on(event, (...args) => seen.push([event, ...args]));
    const failed = next(socket, "failed");
    socket.emit("forbidden");
    await failed;
    await ask(socket, "message-with-ack");
    assert.deepEqual(seen, [["seen", "forbidden"], ["failed", "forbidden event"], ["seen", "message-with-ack"]]);
    assert.ok(socket.connected);
  });

  it("dynamic namespaces are apart from each other", async () => {
    const [one, again, two] = await Promise.all([
      clients.connect("/dynamic-1"),
      clients.connect("/dynamic-1"),
      clients.connect("/dynamic-2"),
    ]);
    const heard = { again: 0, two: 0 };
    again.on("news", () => heard.again++);
    two.on("news", () => heard.two++);
    await ask(one, "send-to", { from: "socket" }, ["x"]);
    await Promise.all([again, two].map((socket) => ask(socket, "message-with-ack")));
    assert.deepEqual(heard, { again: 1, two: 0 });
  });

  // The tests below work on rooms of their own.
  const room = (name) => `${transport}-${name}`;

  it("fetchSockets", async () => {
    const [a, b] = await Promise.all([clients.connect(), clients.connect()]);
    await Promise.all([a, b].map((socket) => ask(socket, "join", room("fetch"))));
    await ask(b, "set-data", { name: "b", list: [1] });
    const [sockets] = await ask(a, "fetch", { from: "namespace", to: [room("fetch")] });
    const byId = Object.fromEntries(sockets.map((socket) => [socket.id, socket]));
    assert.deepEqual(byId, {
      [a.id]: { id: a.id, rooms: [a.id, room("fetch")].sort(), data: {} },
      [b.id]: { id: b.id, rooms: [b.id, room("fetch")].sort(), data: { name: "b", list: [1] } },
    });
    const [others] = await ask(a, "fetch", { from: "socket", to: [room("fetch")] });
    assert.deepEqual(others.map(({ id }) => id), [b.id]);
  });

  it("socketsJoin and socketsLeave", async () => {
    const [a, b, c] = await Promise.all([clients.connect(), clients.connect(), clients.connect()]);
    await Promise.all([a, b].map((socket) => ask(socket, "join", room("from"))));
    await ask(c, "sockets-join", { from: "namespace", to: [room("from")] }, room("onto"));
    const members = async (name) => (await ask(c, "fetch", { from: "namespace", to: [name] }))[0].map(({ id }) => id).sort();
    assert.deepEqual(await members(room("onto")), [a.id, b.id].sort());
    await ask(c, "sockets-leave", { from: "namespace", to: [room("onto")], except: [a.id] }, room("onto"));
    assert.deepEqual(await members(room("onto")), [a.id]);
  });

  for (const close of [false, true]) {
    it(`disconnectSockets(${close})`, async () => {
      const [a, b] = await Promise.all([clients.connect(), clients.connect()]);
      const { id } = b;
      await ask(b, "join", room(`leave-${close}`));
      const gone = next(b, "disconnect");
      a.emit("disconnect-sockets", { from: "namespace", to: [room(`leave-${close}`)] }, close);
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await server.disconnectReason(id), "server namespace disconnect");
      assert.ok(a.connected);
    });
  }

  it("volatile broadcasts reach those who listen", async () => {
    const [a, b] = await Promise.all([clients.connect(), clients.connect()]);
    await ask(b, "join", room("volatile"));
    await new Promise((resolve) => setTimeout(resolve, 150));
    const news = next(b, "news");
    await ask(a, "send-to", { from: "namespace", to: [room("volatile")], volatile: true }, [1]);
    assert.deepEqual(await news, [1]);
  });
});

it("empty children are closed when asked for", async (t) => {
  const server = await Fixture.own(t, { CLEANUP_EMPTY_CHILD_NAMESPACES: true });
  const clients = new Clients(server, v4, "websocket");
  for (let round = 0; round < 3; round++) {
    const socket = await clients.connect("/dynamic-7");
    const { id } = socket;
    assert.deepEqual(await ask(socket, "join", "r"), [["r", id].sort()]);
    socket.disconnect();
    await server.disconnectReason(id);
    await server.settled();
  }
});
