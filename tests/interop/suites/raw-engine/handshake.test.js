// REFERENCE 1.2–1.7: the first request of a session and every refusal.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture } = require("../../support/fixture");
const raw = require("../../support/raw");
const { Polling, Ws, assertEmpty, assertError, request } = raw;

const polling = { transport: "polling" };
const websocket = { transport: "websocket" };
// Headers of the HTTP layer itself, which every HTTP server chooses on its own.
const HTTP_LAYER = ["connection", "date", "keep-alive"];

function engineHeaders(response) {
  return Object.fromEntries(Object.entries(response.headers).filter(([name]) => !HTTP_LAYER.includes(name)));
}

function assertHandshake(packet, upgrades, expected = {}) {
  assert.equal(packet[0], "0");
  const { sid, ...rest } = JSON.parse(packet.slice(1));
  assert.match(sid, /^[A-Za-z0-9_-]{20}$/);
  assert.deepEqual(rest, { upgrades, pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000, ...expected });
  const keys = Object.keys(JSON.parse(packet.slice(1)));
  assert.deepEqual(keys, ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]);
}

describe("handshake", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  it("answers a polling handshake with the open packet alone", async () => {
    const response = await request(server, { query: { ...polling, t: "abc", user: "1" } });
    assert.equal(response.status, 200);
    assert.deepEqual(engineHeaders(response), {
      "content-type": "text/plain; charset=UTF-8",
      "content-length": String(response.bytes.length),
      "cache-control": "no-store",
    });
    assertHandshake(response.body, ["websocket"]);
  });

  it("answers a websocket handshake with the open packet and no upgrades", async () => {
    const ws = await Ws.open(server);
    assertHandshake(await ws.next(), []);
    assert.equal(ws.headers["set-cookie"], undefined);
    assert.equal(ws.headers["sec-websocket-extensions"], undefined);
    ws.close();
  });

  it("answers a POST with ok as text/html", async () => {
    const { query } = await Polling.open(server);
    const response = await request(server, { method: "POST", query, body: "3" });
    assert.deepEqual([response.status, response.body], [200, "ok"]);
    assert.deepEqual(engineHeaders(response), {
      "content-type": "text/html",
      "content-length": "2",
      "cache-control": "no-store",
    });
  });

  it("answers a poll with the headers of the handshake", async () => {
    const session = await Polling.open(server);
    await session.post("40/quiet,");
    const response = await session.get().response;
    assert.deepEqual(engineHeaders(response), {
      "content-type": "text/plain; charset=UTF-8",
      "content-length": String(response.bytes.length),
      "cache-control": "no-store",
    });
  });

  it("sends X-XSS-Protection to Internet Explorer", async () => {
    for (const agent of ["Mozilla/4.0 (compatible;MSIE 8.0)", "Mozilla/5.0 (Windows NT 6.1; Trident/7.0)"]) {
      const response = await request(server, { query: polling, headers: { "user-agent": agent } });
      assert.equal(response.headers["x-xss-protection"], "0");
    }
    const response = await request(server, { query: polling });
    assert.equal(response.headers["x-xss-protection"], undefined);
  });

  it("sends no CORS headers by default, and still serves any origin", async () => {
    const response = await request(server, { query: polling, headers: { origin: "https://example.com" } });
    assert.equal(response.status, 200);
    assert.equal(response.headers["access-control-allow-origin"], undefined);
  });

  it("takes an empty sid for none", async () => {
    assertHandshake((await request(server, { query: { ...polling, sid: "" } })).body, ["websocket"]);
  });

  it("lets the last of duplicate query parameters win", async () => {
    const path = "/socket.io/?EIO=3&transport=nope&EIO=4&transport=polling";
    const { ended } = raw.tcp(server, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const answer = await ended;
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    await new Polling(server, answer.split("\r\n\r\n")[1]).post("1");
  });

  it("gives every session an id of its own", async () => {
    const sids = await Promise.all(Array.from({ length: 20 }, async () => (await Polling.open(server)).sid));
    assert.equal(new Set(sids).size, 20);
  });
});

describe("path", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const path of ["/socket.io/", "/socket.io/foo", "/socket.io//", "/socket.io/a/b/"]) {
    it(`handles ${path}`, async () => {
      assert.equal((await request(server, { path, query: polling })).status, 200);
    });
  }

  for (const path of ["/socket.io", "/Socket.io/", "/", "/socket.ios/", "//socket.io/"]) {
    it(`leaves ${path} to the application`, async () => {
      assert.equal((await request(server, { path, query: polling })).status, 404);
    });
  }

  it("ends a foreign upgrade request after a second without a byte", async () => {
    const started = Date.now();
    const { ended } = raw.tcp(server, raw.upgradeRequest(websocket, { path: "/other/" }));
    assert.equal(await ended, "");
    assert.ok(Date.now() - started >= 900);
  });
});

describe("error codes over HTTP", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  const unknownTransport = [{}, { transport: "" }, { transport: "nope" }, { transport: "Polling" }];
  for (const query of [...unknownTransport, { transport: "webtransport" }, { transport: "__proto__" }, { transport: "constructor" }]) {
    it(`0: transport ${JSON.stringify(query.transport)}`, async () => {
      assertError(await request(server, { query }), 0);
    });
  }

  it("0 goes before every other check", async () => {
    assertError(await request(server, { query: { transport: "nope", EIO: "3", sid: "x" }, method: "PUT" }), 0);
  });

  for (const method of ["GET", "POST", "PUT", "OPTIONS"]) {
    it(`1: unknown sid, ${method}`, async () => {
      assertError(await request(server, { method, query: { ...polling, sid: "unknown" } }), 1);
    });
  }

  it("1: names of object members are unknown sids", async () => {
    for (const sid of ["__proto__", "constructor", "toString"]) {
      assertError(await request(server, { query: { ...polling, sid } }), 1);
    }
  });

  it("1: the sid of a closed session", async () => {
    const session = await Polling.open(server);
    await session.post("1");
    await session.assertGone();
    assertError(await request(server, { method: "POST", query: session.query, body: "3" }), 1);
  });

  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
    it(`2: handshake by ${method}`, async () => {
      assertError(await request(server, { method, query: polling }), 2);
    });
  }

  it("2: handshake by HEAD, without the body", async () => {
    const response = await request(server, { method: "HEAD", query: polling });
    assert.deepEqual([response.status, response.headers["content-type"]], [400, "application/json"]);
  });

  it("2 goes before 3 and 5", async () => {
    assertError(await request(server, { method: "POST", query: { ...websocket, EIO: "3" } }), 2);
  });

  it("3 TRANSPORT_HANDSHAKE_ERROR: websocket without an upgrade", async () => {
    assertError(await request(server, { query: websocket }), 3);
  });

  it("3 TRANSPORT_MISMATCH: websocket request for a polling session", async () => {
    const session = await Polling.connect(server);
    assertError(await request(server, { query: { ...websocket, sid: session.sid } }), 3);
    await session.assertAlive();
  });

  it("3 TRANSPORT_MISMATCH: polling request for a websocket session", async () => {
    const ws = await Ws.connect(server);
    assertError(await request(server, { query: { ...polling, sid: ws.sid } }), 3);
    assertError(await request(server, { method: "POST", query: { ...polling, sid: ws.sid }, body: "3" }), 3);
    await ws.assertAlive();
    ws.close();
  });

  it("3 PROTOCOL_MISMATCH: a poll of another revision, or of none", async () => {
    const session = await Polling.connect(server);
    for (const EIO of ["3", "5", undefined]) {
      assertError(await request(server, { query: { ...session.query, EIO } }), 3);
      assertError(await request(server, { method: "POST", query: { ...session.query, EIO }, body: "3" }), 3);
    }
    await session.assertAlive();
  });

  it("3 INVALID_ORIGIN: a control character in Origin", async () => {
    // Node's HTTP parser refuses most control characters by itself; DEL is the one that reaches the engine.
    const head = `GET ${raw.target(polling)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: http://a\x7fb\r\n\r\n`;
    const answer = await raw.tcp(server, Buffer.from(head, "latin1")).ended;
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    // An HTTP library may refuse the header before the engine sees it.
    if (answer.includes("application/json")) assert.ok(answer.includes(`{"code":3,"message":"Bad request"}`), answer);
  });

  for (const EIO of ["3", "5", "04", "", undefined]) {
    it(`5: handshake with EIO ${JSON.stringify(EIO)}`, async () => {
      assertError(await request(server, { query: { ...polling, EIO } }), 5);
    });
  }

  it("5: query keys are case sensitive", async () => {
    assertError(await request(server, { query: { ...polling, EIO: undefined, eio: "4" } }), 5);
  });

  it("nothing is left behind by refused requests", async (t) => {
    const other = await Fixture.own(t);
    assertError(await request(other, { query: { ...polling, EIO: "3" } }), 5);
    assertError(await request(other, { query: websocket }), 3);
    await raw.tcp(other, raw.upgradeRequest({ ...websocket, sid: "unknown" })).ended;
    await other.settled();
  });
});

describe("refused upgrade requests", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  // Written by hand into the socket: the status is 400 for every code, the body is the message alone.
  async function assertRefused(request, code) {
    const [head, body] = (await raw.tcp(server, request).ended).split("\r\n\r\n");
    const message = raw.ERRORS[code];
    const [status, ...headers] = head.split("\r\n");
    assert.equal(status, "HTTP/1.1 400 Bad Request");
    assert.deepEqual(
      headers.map((line) => line.toLowerCase()).filter((line) => !line.startsWith("date:")).sort(),
      ["connection: close", `content-length: ${message.length}`, "content-type: text/html"],
    );
    assert.equal(body, message);
  }

  it("0: unknown transport", async () => {
    await assertRefused(raw.upgradeRequest({ transport: "nope" }), 0);
    await assertRefused(raw.upgradeRequest({}), 0);
    await assertRefused(raw.upgradeRequest({ transport: "webtransport" }), 0);
    await assertRefused(raw.upgradeRequest({ transport: "__proto__" }), 0);
  });

  it("1: unknown sid", () => assertRefused(raw.upgradeRequest({ ...websocket, sid: "unknown" }), 1));

  it("2: not a GET", () => assertRefused(raw.upgradeRequest(websocket, { method: "POST" }), 2));

  it("3: another revision than the session's", async () => {
    const session = await Polling.connect(server);
    await assertRefused(raw.upgradeRequest({ ...websocket, sid: session.sid, EIO: "3" }), 3);
    await session.assertAlive();
  });

  it("5: the connection does not become a session", async () => {
    // The original answers 101 and then destroys the stream; refusing before the 101 is as good.
    const ws = new Ws(server, { ...websocket, EIO: "3" });
    await ws.closed();
    assert.deepEqual(ws.frames, []);
  });

  it("an upgrade with transport=polling is closed at once", async () => {
    const ws = new Ws(server, polling);
    await ws.assertClosed();
  });

  for (const [what, headers, extra] of [
    ["a bad key", { "Sec-WebSocket-Key": "short" }],
    ["no key", { "Sec-WebSocket-Key": undefined }],
    ["version 12", { "Sec-WebSocket-Version": "12" }, /sec-websocket-version: 13/i],
    ["no version", { "Sec-WebSocket-Version": undefined }, /sec-websocket-version: 13/i],
  ]) {
    it(`${what} is refused with 400`, async () => {
      const answer = await raw.tcp(server, raw.upgradeRequest(websocket, { headers })).ended;
      assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
      if (extra) assert.match(answer, extra);
    });
  }
});

describe("options in the handshake", () => {
  it("reports the configured times and limit", async (t) => {
    const server = await Fixture.own(t, { PING_INTERVAL: 300, PING_TIMEOUT: 200, MAX_HTTP_BUFFER_SIZE: 5000 });
    const expected = { pingInterval: 300, pingTimeout: 200, maxPayload: 5000 };
    assertHandshake((await request(server, { query: polling })).body, ["websocket"], expected);
  });

  it("polling only: no upgrades offered, websocket unknown", async (t) => {
    const server = await Fixture.own(t, { TRANSPORTS: "polling" });
    assertHandshake((await request(server, { query: polling })).body, []);
    assertError(await request(server, { query: websocket }), 0);
    // Nothing listens for upgrades then, so it is a plain request with a header too many.
    const headers = { connection: "upgrade", upgrade: "websocket" };
    assertError(await request(server, { query: websocket, headers }), 0);
  });

  it("websocket only: polling unknown", async (t) => {
    const server = await Fixture.own(t, { TRANSPORTS: "websocket" });
    assertError(await request(server, { query: polling }), 0);
    const ws = await Ws.connect(server);
    await ws.assertAlive();
    ws.close();
    await server.settled();
  });

  it("upgrades not allowed: not offered, but a websocket with a sid is accepted", async (t) => {
    const server = await Fixture.own(t, { ALLOW_UPGRADES: false });
    const session = await Polling.open(server);
    assert.deepEqual(session.handshake.upgrades, []);
    const ws = await Ws.open(server, { sid: session.sid });
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    ws.close();
  });
});

describe("an unsupported method on a session", () => {
  it("gets 500 and leaves the session alone", async (t) => {
    const server = await Fixture.own(t);
    const session = await Polling.connect(server);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
      assertEmpty(await request(server, { method, query: session.query }), 500);
    }
    await session.assertAlive();
  });
});
