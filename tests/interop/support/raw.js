// Engine.IO by hand: HTTP requests, websockets and bare TCP, with no client library in between.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const http = require("node:http");
const net = require("node:net");
const { WebSocket } = require("ws");

const RS = "\x1e";
const STEP_TIMEOUT = 5_000;

function timed(promise, what, timeout = STEP_TIMEOUT) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out: ${what}`)), timeout);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function target(query, path = "/socket.io/") {
  const defined = Object.entries({ EIO: "4", ...query }).filter(([, value]) => value !== undefined);
  return `${path}?${new URLSearchParams(defined)}`;
}

// One HTTP exchange on a connection of its own. `sent` is the request, to be aborted or written to by the test.
function exchange(server, { method = "GET", query, path, headers, body, agent = false } = {}) {
  const sent = http.request({ host: "127.0.0.1", port: server.port, method, path: target(query, path), headers, agent });
  const response = new Promise((resolve, reject) => {
    sent.on("error", reject);
    sent.on("response", (res) => {
      const chunks = [];
      res.on("data", (chunk) => chunks.push(chunk));
      res.on("error", reject);
      res.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const body = bytes.toString();
        // Every session that a request opens is closed at the end.
        const session = body.startsWith("0{") ? new Polling(server, body) : undefined;
        resolve({ status: res.statusCode, headers: res.headers, body, bytes, session });
      });
    });
  });
  const answered = timed(response, `${method} ${sent.path}`, 10_000);
  // A test that aborts a request need not look at its answer.
  answered.catch(() => {});
  if (body !== null) sent.end(body);
  return { sent, response: answered };
}

const request = (server, options) => exchange(server, options).response;

const ERRORS = [
  "Transport unknown",
  "Session ID unknown",
  "Bad handshake method",
  "Bad request",
  "Forbidden",
  "Unsupported protocol version",
];

function assertError(response, code) {
  assert.deepEqual(
    { status: response.status, type: response.headers["content-type"], body: response.body },
    {
      status: code === 4 ? 403 : 400,
      type: "application/json",
      body: JSON.stringify({ code, message: ERRORS[code] }),
    },
  );
}

function assertEmpty(response, status) {
  assert.deepEqual({ status: response.status, body: response.body }, { status, body: "" });
}

// A polling session: one line of the test per request.
class Polling {
  static async open(server, query) {
    const response = await request(server, { query: { transport: "polling", ...query } });
    assert.equal(response.status, 200, response.body);
    return response.session;
  }

  // Opened and joined to a namespace; `id` is then the id of its socket.
  static async connect(server, namespace = "/quiet", query) {
    const session = await Polling.open(server, query);
    await session.join(namespace);
    return session;
  }

  constructor(server, packet) {
    this.server = server;
    this.handshake = JSON.parse(packet.slice(1).split(RS)[0]);
    this.sid = this.handshake.sid;
    this.query = { transport: "polling", sid: this.sid };
    server.onFinish(() => this.#leave());
  }

  // Whatever state the session is in: open (POST) or waiting to tell the client that it was closed (GET).
  async #leave() {
    for (const last of [{ method: "POST", body: "1" }, {}]) await this.get(last).response.catch(() => {});
  }

  async join(namespace = "/quiet") {
    await this.post(`40${namespace},`);
    const answer = await this.poll();
    const prefix = namespace === "/" ? "40" : `40${namespace},`;
    const packet = answer.split(RS)[0];
    assert.ok(packet.startsWith(`${prefix}{`), answer);
    this.id = JSON.parse(packet.slice(prefix.length)).sid;
    return answer;
  }

  // A GET, not awaited; `sent` can be destroyed.
  get(options) {
    return exchange(this.server, { query: this.query, ...options });
  }

  // A GET that the server has certainly parked: it was sent, and a later request was answered.
  async park() {
    const pending = this.get();
    await new Promise((resolve) => pending.sent.once("finish", resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return pending;
  }

  async poll() {
    const response = await this.get().response;
    assert.equal(response.status, 200, response.body);
    return response.body;
  }

  // As many packets as asked for, in as many polls as the server needs.
  async packets(count) {
    const packets = [];
    while (packets.length < count) packets.push(...(await this.poll()).split(RS));
    return packets;
  }

  async post(body) {
    const response = await request(this.server, { method: "POST", query: this.query, body });
    assert.deepEqual([response.status, response.body], [200, "ok"]);
  }

  async assertGone() {
    assertError(await this.get().response, 1);
  }

  async assertAlive() {
    await this.post(`42/quiet,["message","alive"]`);
    assert.equal(await this.poll(), `42/quiet,["message-back","alive"]`);
  }
}

// A websocket whose frames are read one by one: strings and Buffers.
class Ws {
  static async open(server, query, options) {
    const ws = new Ws(server, { transport: "websocket", ...query }, options);
    await timed(ws.opened, "websocket open");
    return ws;
  }

  // A session over websocket alone, joined to a namespace.
  static async connect(server, namespace = "/quiet", query) {
    const ws = await Ws.open(server, query);
    ws.handshake = JSON.parse((await ws.next()).slice(1));
    ws.sid = ws.handshake.sid;
    ws.send(`40${namespace},`);
    const answer = await ws.next();
    const prefix = namespace === "/" ? "40" : `40${namespace},`;
    assert.ok(answer.startsWith(`${prefix}{`), answer);
    ws.id = JSON.parse(answer.slice(prefix.length)).sid;
    return ws;
  }

  constructor(server, query, { path, headers } = {}) {
    this.frames = [];
    this.readers = [];
    this.socket = new WebSocket(`ws://127.0.0.1:${server.port}${target(query, path)}`, {
      headers,
      perMessageDeflate: false,
    });
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("upgrade", (res) => (this.headers = res.headers));
      this.socket.once("open", resolve);
      this.socket.on("error", reject);
    });
    this.opened.catch(() => {});
    server.onFinish(() => this.socket.terminate());
    this.closedWith = new Promise((resolve) => this.socket.once("close", resolve));
    this.socket.on("message", (data, isBinary) => {
      const frame = isBinary ? data : data.toString();
      const reader = this.readers.shift();
      if (reader) reader(frame);
      else this.frames.push(frame);
    });
  }

  next(timeout) {
    if (this.frames.length > 0) return Promise.resolve(this.frames.shift());
    return timed(new Promise((resolve) => this.readers.push(resolve)), "a websocket frame", timeout);
  }

  // The code of the close; 1005 is the empty close frame.
  closed() {
    return timed(this.closedWith, "websocket close");
  }

  async assertClosed(code = 1005) {
    assert.equal(await this.closed(), code);
    assert.deepEqual(this.frames, []);
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(frame);
  }

  close() {
    this.socket.close();
  }

  async assertAlive(namespace = "/quiet") {
    const prefix = namespace === "/" ? "42" : `42${namespace},`;
    this.send(`${prefix}["message","alive"]`);
    assert.equal(await this.next(), `${prefix}["message-back","alive"]`);
  }
}

// Bytes out, bytes in, until the server ends the connection.
function tcp(server, bytes, { timeout = STEP_TIMEOUT } = {}) {
  const socket = net.connect(server.port, "127.0.0.1");
  const chunks = [];
  const ended = new Promise((resolve) => {
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.once("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
  if (bytes) socket.write(bytes);
  return { socket, ended: timed(ended, "the end of a TCP connection", timeout) };
}

function upgradeRequest(query, { path, headers = {}, method = "GET" } = {}) {
  const all = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": crypto.randomBytes(16).toString("base64"),
    ...headers,
  };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}`);
  return `${method} ${target(query, path)} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

// One masked frame, well formed or not.
function frame(opcode, payload, { fin = true, rsv = 0, mask = true } = {}) {
  const data = Buffer.from(payload);
  assert.ok(data.length < 126);
  const head = Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, (mask ? 0x80 : 0) | data.length]);
  if (!mask) return Buffer.concat([head, data]);
  const key = crypto.randomBytes(4);
  return Buffer.concat([head, key, data.map((byte, i) => byte ^ key[i & 3])]);
}

module.exports = { RS, ERRORS, Polling, Ws, assertEmpty, assertError, exchange, frame, request, target, tcp, timed, upgradeRequest };
