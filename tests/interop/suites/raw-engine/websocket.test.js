// REFERENCE 1.1, 1.10, 1.11: a session over websocket alone.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture } = require("../../support/fixture");
const raw = require("../../support/raw");
const { Ws, frame } = raw;

const echo = (value) => `42/quiet,["message",${JSON.stringify(value)}]`;
const echoed = (value) => `42/quiet,["message-back",${JSON.stringify(value)}]`;
const placeholder = { _placeholder: true, num: 0 };

describe("websocket", { concurrency: 8 }, () => {
  const server = Fixture.shared({ MAX_HTTP_BUFFER_SIZE: 10000 });

  it("carries one packet per frame, in order", async () => {
    const ws = await Ws.connect(server);
    ws.send(...[1, 2, 3].map(echo));
    for (const value of [1, 2, 3]) assert.equal(await ws.next(), echoed(value));
  });

  it("does not split a frame at the payload separator", async () => {
    const ws = await Ws.connect(server);
    ws.send(`42/quiet,["message","a"]\x1e42/quiet,["message","b"]`);
    await ws.assertClosed();
    assert.equal(await server.disconnectReason(ws.id), "forced close");
  });

  it("carries binary as raw bytes without a type", async () => {
    const ws = await Ws.connect(server);
    ws.send("451-" + echo(placeholder).slice(2), Buffer.from([1, 2, 3, 4]));
    assert.equal(await ws.next(), "451-" + echoed(placeholder).slice(2));
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3, 4]));
  });

  it("accepts base64 in text frames", async () => {
    const ws = await Ws.connect(server);
    ws.send("451-" + echo(placeholder).slice(2), "bAQIDBA==");
    assert.equal(await ws.next(), "451-" + echoed(placeholder).slice(2));
    assert.deepEqual(await ws.next(), Buffer.from([1, 2, 3, 4]));
  });

  it("sends base64 in text frames to a client that asked for b64", async () => {
    const ws = await Ws.connect(server, "/quiet", { b64: "1" });
    ws.send("451-" + echo(placeholder).slice(2), Buffer.from([1, 2, 3, 4]));
    assert.equal(await ws.next(), "451-" + echoed(placeholder).slice(2));
    assert.equal(await ws.next(), "bAQIDBA==");
  });

  it("carries empty binaries", async () => {
    const ws = await Ws.connect(server);
    ws.send("451-" + echo(placeholder).slice(2), Buffer.alloc(0));
    await ws.next();
    assert.deepEqual(await ws.next(), Buffer.alloc(0));
  });

  for (const packet of ["0", `0{"sid":"x"}`, "1", "1x", "3", "3probe", "5", "6"]) {
    it(`the packet ${packet} is ignored`, async () => {
      const ws = await Ws.connect(server);
      ws.send(packet);
      await ws.assertAlive();
    });
  }

  for (const packet of ["", "7", "x", "hello", "B"]) {
    it(`the frame ${JSON.stringify(packet)} is a parse error`, async () => {
      const ws = await Ws.connect(server);
      ws.send(packet);
      await ws.assertClosed(1005);
      assert.equal(await server.disconnectReason(ws.id), "parse error");
    });
  }

  it("a message of exactly the limit is accepted", async () => {
    const ws = await Ws.connect(server);
    ws.send(echo("x".repeat(10000 - echo("").length)));
    assert.equal((await ws.next()).length, 10000 + "-back".length);
  });

  for (const [what, bytes] of [
    ["text", "4".repeat(10001)],
    ["binary", Buffer.alloc(10001)],
    ["text counted in bytes", "4" + "€".repeat(3334)],
  ]) {
    it(`a message over the limit (${what}) is closed with 1009`, async () => {
      const ws = await Ws.connect(server);
      ws.send(bytes);
      await ws.assertClosed(1009);
      assert.equal(await server.disconnectReason(ws.id), "transport error");
    });
  }

  it("the limit holds for the sum of the fragments", async () => {
    const ws = await Ws.connect(server);
    ws.socket.send("4".repeat(6000), { fin: false });
    ws.socket.send("4".repeat(6000), { fin: true });
    await ws.assertClosed(1009);
  });

  it("fragments are put together", async () => {
    const ws = await Ws.connect(server);
    const text = echo("fragments");
    ws.socket.send(text.slice(0, 5), { fin: false });
    ws.socket.ping("between");
    ws.socket.send(text.slice(5), { fin: true });
    assert.equal(await ws.next(), echoed("fragments"));
  });

  it("a websocket ping is answered by a websocket pong", async () => {
    const ws = await Ws.connect(server);
    const pong = new Promise((resolve) => ws.socket.once("pong", resolve));
    ws.socket.ping("hello");
    assert.equal((await raw.timed(pong, "pong")).toString(), "hello");
    await ws.assertAlive();
  });

  // Frames that no client library would write, on a stream of our own.
  for (const [what, bytes, code, reason] of [
    ["invalid UTF-8", frame(1, [0x34, 0xc3, 0x28]), 1007, "transport error"],
    ["a frame without mask", frame(1, "3", { mask: false }), 1002, "transport error"],
    ["a reserved bit", frame(1, "3", { rsv: 4 }), 1002, "transport error"],
    ["a reserved opcode", frame(3, "3"), 1002, "transport error"],
    ["a continuation of nothing", frame(0, "3"), 1002, "transport error"],
    ["a fragmented ping", frame(9, "", { fin: false }), 1002, "transport error"],
  ]) {
    it(`${what} is closed with ${code}`, async () => {
      const ws = await Ws.connect(server);
      ws.socket._socket.write(bytes);
      await ws.assertClosed(code);
      assert.equal(await server.disconnectReason(ws.id), reason);
    });
  }

  it("a close frame from the client is answered and ends the session", async () => {
    const ws = await Ws.connect(server);
    ws.socket.close(1000, "bye");
    assert.equal(await ws.closed(), 1000);
    assert.equal(await server.disconnectReason(ws.id), "transport close");
  });

  it("an empty close frame does too", async () => {
    const ws = await Ws.connect(server);
    ws.close();
    assert.equal(await ws.closed(), 1005);
    assert.equal(await server.disconnectReason(ws.id), "transport close");
  });

  it("a lost TCP connection ends the session", async () => {
    const ws = await Ws.connect(server);
    ws.socket.terminate();
    assert.equal(await server.disconnectReason(ws.id), "transport close");
  });

  it("the first subprotocol is echoed", async () => {
    const headers = { "Sec-WebSocket-Protocol": "one, two" };
    const { socket, ended } = raw.tcp(server, raw.upgradeRequest({ transport: "websocket" }, { headers }));
    setTimeout(() => socket.end(), 100);
    assert.match(await ended, /\r\nsec-websocket-protocol: one\r\n/i);
  });

  it("Connection may list further options, Upgrade is not case sensitive", async () => {
    const headers = { Connection: "keep-alive, Upgrade", Upgrade: "WebSocket" };
    const { socket, ended } = raw.tcp(server, raw.upgradeRequest({ transport: "websocket" }, { headers }));
    setTimeout(() => socket.end(), 100);
    assert.match(await ended, /^HTTP\/1\.1 101 /);
  });

  it("a burst of 500 messages comes back in order", async () => {
    const ws = await Ws.connect(server);
    const numbers = Array.from({ length: 500 }, (_, i) => i);
    ws.send(...numbers.map(echo));
    for (const value of numbers) assert.equal(await ws.next(), echoed(value));
  });
});
