// REFERENCE 1.5, 1.6, 1.10, 1.15: the requests of a polling session.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const raw = require("../../support/raw");
const { Polling, RS, assertEmpty, assertError, exchange, request } = raw;

const echo = (value) => `42/quiet,["message",${JSON.stringify(value)}]`;
const echoed = (value) => `42/quiet,["message-back",${JSON.stringify(value)}]`;

describe("polls", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("an idle poll is held until there is something to send", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    let answered = false;
    pending.response.then(() => (answered = true));
    await session.post("3");
    assert.equal(answered, false);
    await session.post(echo("late"));
    assert.equal((await pending.response).body, echoed("late"));
  });

  it("packets that waited go out in one response", async () => {
    const session = await Polling.connect(server);
    await session.post(echo(1));
    await session.post([echo(2), echo(3)].join(RS));
    await delay(50);
    assert.equal(await session.poll(), [1, 2, 3].map(echoed).join(RS));
  });

  it("a binary packet is base64", async () => {
    const session = await Polling.connect(server);
    await session.post([`451-/quiet,["message",{"_placeholder":true,"num":0}]`, "bAQIDBA=="].join(RS));
    assert.deepEqual(await session.packets(2), [
      `451-/quiet,["message-back",{"_placeholder":true,"num":0}]`,
      "bAQIDBA==",
    ]);
  });

  it("base64 is decoded leniently: no padding, URL alphabet", async () => {
    const session = await Polling.connect(server);
    for (const [sent, back] of [["b-_-_", "b+/+/"], ["bAQIDBA", "bAQIDBA=="], ["bAQI", "bAQI="]]) {
      await session.post([`451-/quiet,["message",{"_placeholder":true,"num":0}]`, sent].join(RS));
      assert.equal((await session.packets(2))[1], back);
    }
  });

  it("a second poll while one is pending closes the session", async () => {
    const session = await Polling.connect(server);
    const first = await session.park();
    assertEmpty(await session.get().response, 400);
    assert.deepEqual(await first.response.then(({ status, body }) => [status, body]), [200, "1"]);
    await session.assertGone();
    assert.equal(await server.disconnectReason(session.id), "transport error");
  });

  it("dropping the pending poll closes the session", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    pending.sent.destroy();
    assert.equal(await server.disconnectReason(session.id), "transport error");
    await session.assertGone();
  });

  it("dropping a connection after its poll was answered does nothing", async () => {
    const session = await Polling.connect(server);
    await session.post(echo(1));
    const { sent, response } = session.get({ headers: { connection: "keep-alive" } });
    await response;
    sent.destroy();
    await session.assertAlive();
  });
});

describe("posts", { concurrency: 8 }, () => {
  const server = Fixture.shared({ MAX_HTTP_BUFFER_SIZE: 10000 });

  // A post that stays half sent.
  async function partialPost(session) {
    const headers = { "content-length": 10 };
    const pending = exchange(server, { method: "POST", query: session.query, body: null, headers });
    await new Promise((resolve) => pending.sent.write("42/qu", resolve));
    await delay(50);
    return pending;
  }

  it("a second post while one is in progress closes the session", async () => {
    const session = await Polling.connect(server);
    const first = await partialPost(session);
    assertEmpty(await request(server, { method: "POST", query: session.query, body: "3" }), 400);
    await assert.rejects(first.response, { code: "ECONNRESET" });
    await session.assertGone();
    assert.equal(await server.disconnectReason(session.id), "transport error");
  });

  it("dropping a post in the middle of its body closes the session", async () => {
    const session = await Polling.connect(server);
    const { sent } = await partialPost(session);
    sent.destroy();
    assert.equal(await server.disconnectReason(session.id), "transport error");
    await session.assertGone();
  });

  it("a poll and a post may be in progress together", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post(echo("both"));
    assert.equal((await pending.response).body, echoed("both"));
  });

  it("application/octet-stream is refused and closes the session", async () => {
    const session = await Polling.connect(server);
    const headers = { "content-type": "application/octet-stream" };
    assertEmpty(await request(server, { method: "POST", query: session.query, body: "3", headers }), 400);
    assert.equal(await server.disconnectReason(session.id), "transport error");
    await session.assertGone();
  });

  for (const type of ["application/octet-stream; charset=x", "text/html", "application/json", "nonsense"]) {
    it(`the media type ${type} is accepted`, async () => {
      const session = await Polling.connect(server);
      const options = { method: "POST", query: session.query, body: echo(1), headers: { "content-type": type } };
      assert.equal((await request(server, options)).body, "ok");
      assert.equal(await session.poll(), echoed(1));
    });
  }

  it("a body that is cut inside a character is put together again", async () => {
    const session = await Polling.connect(server);
    const bytes = Buffer.from(echo("€😀"));
    const pending = exchange(server, { method: "POST", query: session.query, body: null });
    const inside = bytes.indexOf(0x82);
    pending.sent.write(bytes.subarray(0, inside));
    await delay(20);
    pending.sent.end(bytes.subarray(inside));
    assert.equal((await pending.response).body, "ok");
    assert.equal(await session.poll(), echoed("€😀"));
  });

  it("200 packets in one body are processed in order", async () => {
    const session = await Polling.connect(server);
    const numbers = Array.from({ length: 200 }, (_, i) => i);
    await session.post(numbers.map(echo).join(RS));
    assert.deepEqual(await session.packets(200), numbers.map(echoed));
  });

  for (const packet of ["0", `0{"sid":"x"}`, "3", "3probe", "5", "6", "6x"]) {
    it(`the packet ${packet} is ignored`, async () => {
      const session = await Polling.connect(server);
      await session.post([packet, echo(1)].join(RS));
      assert.equal(await session.poll(), echoed(1));
    });
  }

  // The answer is 200 ok whatever the body was; the session is gone afterwards.
  for (const [what, body] of [
    ["empty", ""],
    ["a lone separator", RS],
    ["an unknown packet type", "7"],
    ["letters", "hello"],
    ["a capital B", "BAQID"],
  ]) {
    it(`a body that is not a payload (${what}) closes the session with a parse error`, async () => {
      const session = await Polling.connect(server);
      await session.post(body);
      assert.equal(await server.disconnectReason(session.id), "parse error");
      await session.assertGone();
    });
  }

  it("packets before a bad one are processed", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post([echo(1), "x", echo(2)].join(RS));
    assert.equal(await server.disconnectReason(session.id), "parse error");
    assert.equal((await pending.response).status, 200);
    await session.assertGone();
  });

  it("a pending poll is answered with a close packet when a body was garbage", async () => {
    const session = await Polling.connect(server);
    const pending = await session.park();
    await session.post("x");
    assert.equal((await pending.response).body, "1");
  });

  it("a body of exactly the limit is accepted", async () => {
    const session = await Polling.connect(server);
    const body = echo("x".repeat(10000 - echo("").length));
    assert.equal(Buffer.byteLength(body), 10000);
    await session.post(body);
    assert.equal((await session.poll()).length, 10000 + "-back".length);
  });

  for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
    it(`a body over the limit gets 413 and the session lives on ${JSON.stringify(headers)}`, async () => {
      const session = await Polling.connect(server);
      const body = echo("x".repeat(10001 - echo("").length));
      assertEmpty(await request(server, { method: "POST", query: session.query, body, headers }), 413);
      await session.assertAlive();
    });
  }

  it("the limit counts bytes, not characters", async () => {
    const session = await Polling.connect(server);
    const body = echo("€".repeat(3500));
    assertEmpty(await request(server, { method: "POST", query: session.query, body }), 413);
    await session.assertAlive();
  });
});

describe("connections", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("a whole session fits on one kept-alive connection", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let connections = 0;
    const createConnection = agent.createConnection.bind(agent);
    agent.createConnection = (...args) => (connections++, createConnection(...args));
    const opened = await request(server, { query: { transport: "polling" }, agent });
    const query = opened.session.query;
    const post = (body) => request(server, { method: "POST", query, body, agent });
    const poll = () => request(server, { query, agent });
    assert.equal((await post("40/quiet,")).body, "ok");
    assert.match((await poll()).body, /^40\/quiet,/);
    assert.equal((await post(echo(1))).body, "ok");
    assert.equal((await poll()).body, echoed(1));
    assertError(await request(server, { query: { ...query, EIO: "3" }, agent }), 3);
    assertEmpty(await request(server, { method: "PUT", query, agent }), 500);
    assert.equal((await post("1")).body, "ok");
    assertError(await poll(), 1);
    assert.equal(connections, 1);
    agent.destroy();
  });

  it("pipelined requests are answered in order", async () => {
    const session = await Polling.connect(server);
    const path = raw.target(session.query);
    const post = (body) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const get = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    const { ended } = raw.tcp(server, post(echo(1)) + get);
    const bodies = (await ended).split(/HTTP\/1\.1 200 OK\r\n/).slice(1).map((part) => part.split("\r\n\r\n")[1]);
    assert.deepEqual(bodies, ["ok", echoed(1)]);
  });

  it("a request split into single bytes is understood", async () => {
    const session = await Polling.connect(server);
    const body = echo("slow");
    const head = `POST ${raw.target(session.query)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    const { socket, ended } = raw.tcp(server);
    socket.setNoDelay(true);
    for (const byte of Buffer.from(head + body)) {
      socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    assert.match(await ended, /\r\n\r\nok$/);
    assert.equal(await session.poll(), echoed("slow"));
  });
});
