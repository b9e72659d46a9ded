// REFERENCE 1.3, 1.7–1.9, 1.15, 4.10: CORS, cookies, compression, JSONP, connection_error.
"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const { describe, it } = require("node:test");
const zlib = require("node:zlib");
const { Fixture } = require("../../support/fixture");
const { Polling, Ws, assertEmpty, assertError, request, tcp, upgradeRequest } = require("../../support/raw");

const polling = { transport: "polling" };
const origin = "https://example.com";

function cors(response) {
  const names = ["access-control-allow-origin", "access-control-allow-credentials", "vary"];
  return Object.fromEntries(names.filter((name) => response.headers[name]).map((name) => [name, response.headers[name]]));
}

describe("CORS", { concurrency: 4 }, () => {
  for (const [what, env, expected] of [
    ["any origin", { CORS_ORIGIN: `"*"` }, { "access-control-allow-origin": "*" }],
    ["one origin", { CORS_ORIGIN: `"https://one.example"` }, { "access-control-allow-origin": "https://one.example", vary: "Origin" }],
    ["a list with the origin", { CORS_ORIGIN: `["https://a.example","${origin}"]` }, { "access-control-allow-origin": origin, vary: "Origin" }],
    ["a list without the origin", { CORS_ORIGIN: `["https://a.example"]` }, { vary: "Origin" }],
    ["the origin echoed", { CORS_ORIGIN: "true" }, { "access-control-allow-origin": origin, vary: "Origin" }],
    [
      "credentials",
      { CORS_ORIGIN: `["${origin}"]`, CORS_CREDENTIALS: "true" },
      { "access-control-allow-origin": origin, "access-control-allow-credentials": "true", vary: "Origin" },
    ],
    [
      "credentials for a refused origin",
      { CORS_ORIGIN: `["https://a.example"]`, CORS_CREDENTIALS: "true" },
      { "access-control-allow-credentials": "true", vary: "Origin" },
    ],
  ]) {
    it(what, async (t) => {
      const server = await Fixture.own(t, env);
      const headers = { origin };
      const opened = await request(server, { query: polling, headers });
      assert.equal(opened.status, 200);
      assert.deepEqual(cors(opened), expected);
      const query = opened.session.query;
      assert.deepEqual(cors(await request(server, { method: "POST", query, body: "3", headers })), expected);
      const refused = await request(server, { query: { ...polling, sid: "unknown" }, headers });
      assertError(refused, 1);
      assert.deepEqual(cors(refused), expected);
      const ws = new Ws(server, { transport: "websocket" }, { headers });
      await ws.opened;
      assert.deepEqual(cors(ws), expected);
    });
  }

  it("preflight", async (t) => {
    const server = await Fixture.own(t, { CORS_ORIGIN: `["${origin}"]` });
    const headers = {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-custom",
    };
    const response = await request(server, { method: "OPTIONS", query: polling, headers });
    assert.deepEqual([response.status, response.body], [204, ""]);
    assert.equal(response.headers["access-control-allow-origin"], origin);
    assert.equal(response.headers["access-control-allow-methods"], "GET,HEAD,PUT,PATCH,POST,DELETE");
    assert.equal(response.headers["access-control-allow-headers"], "content-type,x-custom");
    // RFC 9110 forbids the field with 204; the reference sends it all the same.
    assert.ok([undefined, "0"].includes(response.headers["content-length"]));
    assert.equal(response.headers.vary, "Origin, Access-Control-Request-Headers");
  });
});

describe("cookies", { concurrency: 4 }, () => {
  for (const [what, option, expected] of [
    ["true", "true", (sid) => `io=${sid}; Path=/; HttpOnly; SameSite=Lax`],
    ["a name", `{"name":"my"}`, (sid) => `my=${sid}; Path=/; HttpOnly; SameSite=Lax`],
    [
      "all attributes",
      `{"name":"my","path":"/custom","httpOnly":false,"sameSite":"strict","domain":"example.com","maxAge":86400,"secure":true}`,
      (sid) => `my=${sid}; Max-Age=86400; Domain=example.com; Path=/custom; Secure; SameSite=Strict`,
    ],
  ]) {
    it(what, async (t) => {
      const server = await Fixture.own(t, { COOKIE: option });
      const session = await request(server, { query: polling });
      assert.deepEqual(session.headers["set-cookie"], [expected(session.session.sid)]);
      const posted = await request(server, { method: "POST", query: session.session.query, body: "3" });
      assert.equal(posted.headers["set-cookie"], undefined);
      const ws = await Ws.open(server);
      assert.equal(ws.headers["set-cookie"], undefined);
    });
  }
});

describe("compression of polls", { concurrency: 8 }, () => {
  const server = Fixture.shared();
  // The packet is `42/quiet,["message-back","…"]`.
  const size = (bytes) => "x".repeat(bytes - `42/quiet,["message-back",""]`.length);

  async function poll(text, encoding, event = "message") {
    const session = await Polling.connect(server);
    await session.post(`42/quiet,["${event}","${text}"]`);
    const headers = encoding === undefined ? {} : { "accept-encoding": encoding };
    return session.get({ headers }).response;
  }

  for (const [accepted, encoding] of [
    ["gzip, deflate", "gzip"],
    ["deflate, gzip", "deflate"],
    ["gzip;q=0.5, deflate;q=0.8", "deflate"],
    ["*", "gzip"],
    ["gzip;q=0, deflate", "deflate"],
    ["br", undefined],
    ["gzip;q=0", undefined],
    ["", undefined],
    [undefined, undefined],
  ]) {
    it(`Accept-Encoding ${JSON.stringify(accepted)} gives ${encoding}`, async () => {
      const text = size(2000);
      const response = await poll(text, accepted);
      assert.equal(response.headers["content-encoding"], encoding);
      const decode = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, undefined: (bytes) => bytes }[encoding];
      assert.equal(decode(response.bytes).toString(), `42/quiet,["message-back","${text}"]`);
    });
  }

  it("begins at 1024 bytes", async () => {
    assert.equal((await poll(size(1024), "gzip")).headers["content-encoding"], "gzip");
    assert.equal((await poll(size(1023), "gzip")).headers["content-encoding"], undefined);
  });

  it("is left out for an event that was sent with compress(false)", async () => {
    assert.equal((await poll(size(3000), "gzip", "message-uncompressed")).headers["content-encoding"], undefined);
  });

  it("posts are never compressed", async () => {
    const session = await Polling.connect(server);
    const options = { method: "POST", query: session.query, body: "3", headers: { "accept-encoding": "gzip" } };
    assert.equal((await request(server, options)).headers["content-encoding"], undefined);
  });
});

describe("JSONP", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  async function open(j) {
    const response = await request(server, { query: { ...polling, j } });
    assert.equal(response.status, 200);
    assert.equal(response.headers["content-type"], "text/plain; charset=UTF-8");
    const [, index, text] = /^___eio\[(\d*)\]\((.*)\);$/s.exec(response.body) ?? assert.fail(response.body);
    const session = new Polling(server, JSON.parse(text));
    session.index = index;
    server.onFinish(() => post(session, "1"));
    return session;
  }

  const post = (session, d) =>
    request(server, {
      method: "POST",
      query: { ...session.query, j: session.index },
      body: new URLSearchParams({ d }).toString(),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });

  async function poll(session) {
    const { body } = await session.get().response;
    const [, index, text] = /^___eio\[(\d*)\]\((.*)\);$/s.exec(body) ?? assert.fail(body);
    assert.equal(index, session.index);
    return { text: JSON.parse(text), body };
  }

  it("packets are string literals in a call", async () => {
    const session = await open("7");
    assert.equal(session.index, "7");
    assert.equal((await post(session, "40/quiet,")).body, "ok");
    assert.match((await poll(session)).text, /^40\/quiet,\{/);
    await post(session, `42/quiet,["message","a\u2028b\u2029c"]`);
    const { text, body } = await poll(session);
    assert.equal(text, `42/quiet,["message-back","a\u2028b\u2029c"]`);
    assert.ok(!/[\u2028\u2029]/.test(body), "line separators must be escaped");
  });

  it("what is no digit is stripped from the index", async () => {
    assert.equal((await open("1a(b)2")).index, "12");
    assert.equal((await open("")).index, "");
  });
});

describe("client bundles", { concurrency: 8 }, () => {
  const dir = path.join(path.dirname(require.resolve("socket.io/package.json")), "client-dist");
  const etag = `"${require("socket.io/package.json").version}"`;
  const server = Fixture.shared({ SERVE_CLIENT: dir, CORS_ORIGIN: `"*"` });
  const get = (name, headers, method) => request(server, { path: `/socket.io/${name}`, headers, method });
  const kind = (name) => `application/${name.endsWith(".map") ? "json" : "javascript"}; charset=utf-8`;

  for (const script of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"]) {
    for (const name of [script, `${script}.map`]) {
      it(name, async () => {
        const response = await get(name);
        assert.equal(response.status, 200);
        const { "cache-control": cache, "content-type": type, etag: tag } = response.headers;
        assert.deepEqual([cache, type, tag], ["public, max-age=0", kind(name), etag]);
        assert.equal(response.headers["access-control-allow-origin"], "*");
        assert.deepEqual(response.bytes, readFileSync(path.join(dir, name)));
      });
    }
  }

  it("any method", async () => assert.equal((await get("socket.io.js", {}, "POST")).headers.etag, etag));

  it("what the browser has is not sent again", async () => {
    for (const tag of [etag, `W/${etag}`]) {
      const response = await get("socket.io.js", { "if-none-match": tag });
      assertEmpty(response, 304);
      assert.deepEqual([response.headers.etag, response.headers["cache-control"]], [undefined, undefined]);
    }
    assert.equal((await get("socket.io.js", { "if-none-match": `"0.0.0"` })).status, 200);
  });

  for (const [accept, encoding, decode] of [
    ["gzip, br", "gzip", zlib.gunzipSync],
    ["gzip;q=0.5, deflate", "deflate", zlib.inflateSync],
    ["identity", undefined, (bytes) => bytes],
  ]) {
    it(`accept-encoding: ${accept}`, async () => {
      const response = await get("socket.io.min.js", { "accept-encoding": accept });
      assert.equal(response.headers["content-encoding"], encoding);
      assert.deepEqual(decode(response.bytes), readFileSync(path.join(dir, "socket.io.min.js")));
    });
  }

  it("no other file", async () => {
    assertError(await get("socket.io.esm.js"), 0);
    assertError(await get("package.json"), 0);
  });
});

describe("connection_error", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const [what, options, expected] of [
    ["unknown transport", { query: { transport: "one" } }, { code: 0, message: "Transport unknown" }],
    ["unknown sid", { query: { ...polling, sid: "two" } }, { code: 1, message: "Session ID unknown" }],
    ["bad method", { method: "POST", query: polling }, { code: 2, message: "Bad handshake method" }],
    ["no upgrade", { query: { transport: "websocket" } }, { code: 3, message: "Bad request", name: "TRANSPORT_HANDSHAKE_ERROR" }],
    ["revision", { query: { ...polling, EIO: "3" } }, { code: 5, message: "Unsupported protocol version" }],
  ]) {
    it(what, async () => {
      await request(server, options);
      assert.deepEqual(await server.connectionError(({ code }) => code === expected.code), expected);
    });
  }

  it("transport mismatch and protocol mismatch", async (t) => {
    const own = await Fixture.own(t);
    const session = await Polling.open(own);
    await request(own, { query: { transport: "websocket", sid: session.sid } });
    assert.equal((await own.connectionError(() => true)).name, "TRANSPORT_MISMATCH");
    await request(own, { query: { ...session.query, EIO: "3" } });
    assert.equal((await own.connectionError(() => true)).name, "PROTOCOL_MISMATCH");
  });

  it("a refused upgrade", async (t) => {
    const own = await Fixture.own(t);
    await tcp(own, upgradeRequest({ transport: "websocket", sid: "unknown" })).ended;
    assert.equal((await own.connectionError(() => true)).code, 1);
  });
});
