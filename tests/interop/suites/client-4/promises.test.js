// What the client has since version 4: promises, timeouts, catch-all listeners.
"use strict";

const assert = require("node:assert/strict");
const { it } = require("node:test");
const { ask, next, overEachTransport } = require("../../support/client-suite");
const v4 = require("../../support/dialects")("v4");

overEachTransport(v4, "promises", (clients) => {
  it("emitWithAck on both sides", async () => {
    const socket = await clients.connect();
    const value = { a: [1, Buffer.from([2])] };
    assert.deepEqual(await socket.emitWithAck("message-with-ack", value), value);
    assert.deepEqual(await socket.timeout(5000).emitWithAck("message-with-ack", value), value);
    socket.on("question", (question, answer) => answer({ question }));
    socket.emit("ask-promise", 5000, "why");
    assert.deepEqual(await next(socket, "answered"), [null, { question: "why" }]);
  });

  it("an event that nobody acknowledges times out, and the connection stays", async () => {
    const socket = await clients.connect();
    await assert.rejects(socket.timeout(50).emitWithAck("nobody-listens"), /operation has timed out/);
    assert.equal(await socket.emitWithAck("message-with-ack", 1), 1);
  });

  it("an acknowledgement that is pending at the disconnect fails", async () => {
    const socket = await clients.connect();
    const pending = socket.emitWithAck("nobody-listens");
    socket.emit("disconnect-me", true);
    await assert.rejects(pending, /socket has been disconnected/);
  });

  it("acknowledgements in both directions at once do not mix", async () => {
    const socket = await clients.connect();
    socket.on("question", (i, answer) => answer(i));
    const answered = [];
    socket.on("answered", (_err, i) => answered.push(i));
    const numbers = Array.from({ length: 30 }, (_, i) => i);
    const answers = await Promise.all(
      numbers.map((i) => {
        socket.emit("ask", 5000, i);
        return socket.emitWithAck("message-with-ack", i);
      }),
    );
    assert.deepEqual(answers, numbers);
    while (answered.length < 30) await ask(socket, "message-with-ack");
    assert.deepEqual(answered, numbers);
  });

  it("a refused client does not try again by itself", async () => {
    const socket = clients.open("/auth", { reconnection: true, reconnectionDelay: 10 });
    const [err] = await next(socket, "connect_error");
    assert.deepEqual([err.message, err.data.code, socket.active], ["not authorized", 401, false]);
    socket.auth = { token: "secret" };
    socket.connect();
    await next(socket, "connect");
  });

  it("auth may be a function", async () => {
    const socket = clients.open("/custom", { auth: (done) => done({ token: "later" }) });
    assert.deepEqual(await next(socket, "auth"), [{ token: "later" }]);
  });

  it("a compressed websocket is an offer that the server need not take", async () => {
    const socket = await clients.connect("/quiet", { perMessageDeflate: { threshold: 0 } });
    const text = "x".repeat(10_000);
    assert.equal(await socket.emitWithAck("message-with-ack", text), text);
  });
});
