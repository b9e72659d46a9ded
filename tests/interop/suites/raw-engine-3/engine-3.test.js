// REFERENCE 2: Engine.IO v3 and Socket.IO protocol v4 by hand (allowEIO3).
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("../../support/fixture");
const raw = require("../../support/raw");
const { assertError, exchange, request } = raw;

const packet = (text) => `${text.length}:${text}`;
const payload = (...packets) => packets.map(packet).join("");

function decode(body) {
  const packets = [];
  while (body.length > 0) {
    const [head, digits] = /^(\d+):/.exec(body) ?? assert.fail(`not a payload: ${body}`);
    packets.push(body.slice(head.length, head.length + Number(digits)));
    body = body.slice(head.length + Number(digits));
  }
  return packets;
}

// Kind, one byte per digit of the length, 0xff, content.
function binaryPacket(kind, content) {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([kind, ...String(bytes.length)].map(Number)), Buffer.from([0xff]), bytes]);
}

function decodeBinary(bytes) {
  const packets = [];
  while (bytes.length > 0) {
    const end = bytes.indexOf(0xff);
    const length = Number([...bytes.subarray(1, end)].join(""));
    const content = bytes.subarray(end + 1, end + 1 + length);
    packets.push(bytes[0] === 0 ? content.toString() : content);
    bytes = bytes.subarray(end + 1 + length);
  }
  return packets;
}

class Polling3 {
  static async open(server, query) {
    const response = await request(server, { query: { EIO: "3", transport: "polling", ...query } });
    assert.equal(response.status, 200, response.body);
    const [open, ...rest] = decode(response.body);
    assert.deepEqual(rest, []);
    return new Polling3(server, JSON.parse(open.slice(1)));
  }

  // Past the packets that the server sends by itself.
  static async connect(server, query) {
    const session = await Polling3.open(server, query);
    assert.deepEqual(await session.packets(2), ["40", `42["auth",{}]`]);
    return session;
  }

  constructor(server, handshake) {
    this.server = server;
    this.handshake = handshake;
    this.sid = handshake.sid;
    this.query = { EIO: "3", transport: "polling", sid: this.sid };
    server.onFinish(async () => {
      await this.send("1:1").catch(() => {});
      await this.get().response.catch(() => {});
    });
  }

  get() {
    return exchange(this.server, { query: this.query });
  }

  send(body, headers) {
    return request(this.server, { method: "POST", query: this.query, body, headers });
  }

  async post(...packets) {
    const { status, body } = await this.send(payload(...packets));
    assert.deepEqual([status, body], [200, "ok"]);
  }

  async packets(count) {
    const packets = [];
    while (packets.length < count) {
      const { status, headers, body } = await this.get().response;
      assert.equal(status, 200, body);
      assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
      packets.push(...decode(body));
    }
    return packets;
  }

  async assertGone() {
    assertError(await this.get().response, 1);
  }
}

class Ws3 extends raw.Ws {
  static async connect(server, query) {
    const ws = new Ws3(server, { EIO: "3", transport: "websocket", ...query });
    await ws.opened;
    ws.sid = JSON.parse((await ws.next()).slice(1)).sid;
    if (query?.sid) return ws;
    assert.deepEqual([await ws.next(), await ws.next()], ["40", `42["auth",{}]`]);
    return ws;
  }
}

const placeholder = `{"_placeholder":true,"num":0}`;

describe("Engine.IO v3 handshake", { concurrency: 8 }, () => {
  const server = Fixture.shared({ ALLOW_EIO3: true });

  for (const EIO of ["3", undefined, "2", ""]) {
    it(`EIO ${JSON.stringify(EIO)} is revision 3`, async () => {
      const { handshake } = await Polling3.open(server, { EIO });
      assert.deepEqual(Object.keys(handshake), ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]);
      assert.deepEqual(handshake.upgrades, ["websocket"]);
    });
  }

  it("the server joins the main namespace by itself", async () => {
    const session = await Polling3.connect(server);
    await session.post(`420["whoami"]`);
    const [answer] = await session.packets(1);
    assert.equal(JSON.parse(answer.slice(3))[0].id, session.sid);
  });

  it("over websocket too", async () => {
    const ws = await Ws3.connect(server);
    ws.send(`420["whoami"]`);
    assert.equal(JSON.parse((await ws.next()).slice(3))[0].id, ws.sid);
  });

  it("revision 4 is served beside it, and neither may use the session of the other", async () => {
    const four = await raw.Polling.connect(server);
    assertError(await request(server, { query: { ...four.query, EIO: "3" } }), 3);
    await four.assertAlive();
    const three = await Polling3.connect(server);
    assertError(await request(server, { query: { ...three.query, EIO: "4" } }), 3);
    await three.post(`42["message",1]`);
    assert.deepEqual(await three.packets(1), [`42["message-back",1]`]);
  });
});

describe("Engine.IO v3 payloads", { concurrency: 8 }, () => {
  const server = Fixture.shared({ ALLOW_EIO3: true });

  it("lengths count UTF-16 units", async () => {
    const session = await Polling3.connect(server);
    assert.equal(packet("€😀"), "3:€😀");
    await session.post(`42["message","€"]`, `42["message","😀"]`);
    assert.deepEqual(await session.packets(2), [`42["message-back","€"]`, `42["message-back","😀"]`]);
  });

  it("a packet of length zero is skipped", async () => {
    const session = await Polling3.connect(server);
    assert.equal((await session.send(`0:${packet(`42["message",1]`)}`)).body, "ok");
    assert.deepEqual(await session.packets(1), [`42["message-back",1]`]);
  });

  for (const body of ["", "x", ":", "1", "1:", "3:40", "2:4", "-1:4", "a:4", "1:60", "2:x1", "1:9", "40"]) {
    it(`the body ${JSON.stringify(body)} is a parse error`, async () => {
      const session = await Polling3.connect(server);
      assert.equal((await session.send(body)).body, "ok");
      assert.equal(await server.disconnectReason(session.sid), "parse error");
      await session.assertGone();
    });
  }

  it("binary in a binary payload, both ways", async () => {
    const session = await Polling3.connect(server);
    const body = Buffer.concat([
      binaryPacket(0, `451-["message","€",${placeholder}]`),
      binaryPacket(1, [4, 1, 2, 3, 4]),
    ]);
    const posted = await session.send(body, { "content-type": "application/octet-stream" });
    assert.deepEqual([posted.status, posted.body], [200, "ok"]);
    const packets = [];
    while (packets.length < 2) {
      const { headers, body, bytes } = await session.get().response;
      if (headers["content-type"] === "application/octet-stream") packets.push(...decodeBinary(bytes));
      else packets.push(...decode(body));
    }
    assert.deepEqual(packets, [`451-["message-back","€",${placeholder}]`, Buffer.from([4, 1, 2, 3, 4])]);
  });

  it("binary in a text payload is base64 with the type", async () => {
    const session = await Polling3.connect(server, { b64: "1" });
    await session.post(`451-["message",${placeholder}]`, "b4AQIDBA==");
    assert.deepEqual(await session.packets(2), [`451-["message-back",${placeholder}]`, "b4AQIDBA=="]);
  });

  it("binary over websocket has the type in its first byte", async () => {
    const ws = await Ws3.connect(server);
    ws.send(`451-["message",${placeholder}]`, Buffer.from([4, 1, 2, 3]));
    assert.equal(await ws.next(), `451-["message-back",${placeholder}]`);
    assert.deepEqual(await ws.next(), Buffer.from([4, 1, 2, 3]));
  });

  it("binary over websocket to a client that asked for b64", async () => {
    const ws = await Ws3.connect(server, { b64: "1" });
    ws.send(`451-["message",${placeholder}]`, "b4AQIDBA==");
    assert.equal(await ws.next(), `451-["message-back",${placeholder}]`);
    assert.equal(await ws.next(), "b4AQIDBA==");
  });
});

describe("Engine.IO v3 heartbeat", { concurrency: 8 }, () => {
  const server = Fixture.shared({ ALLOW_EIO3: true, PING_INTERVAL: 500, PING_TIMEOUT: 700 });

  it("the client pings, the server answers and never pings", async () => {
    const ws = await Ws3.connect(server);
    for (let i = 0; i < 3; i++) {
      ws.send("2");
      assert.equal(await ws.next(), "3");
      await delay(250);
    }
    ws.send("2probe");
    assert.equal(await ws.next(), "3");
    assert.deepEqual(ws.frames, []);
  });

  it("over polling too", async () => {
    const session = await Polling3.connect(server);
    await session.post("2");
    assert.deepEqual(await session.packets(1), ["3"]);
  });

  it("silence of interval and timeout together ends the session", async () => {
    const start = Date.now();
    const ws = await Ws3.connect(server);
    await ws.assertClosed(1005);
    assert.ok(Date.now() - start >= 1198);
    assert.equal(await server.disconnectReason(ws.sid), "ping timeout");
  });

  it("a pong of the client kills the session", async () => {
    const ws = await Ws3.connect(server);
    ws.send("3");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(ws.sid), "transport error");
  });
});

describe("Engine.IO v3 upgrade and close", { concurrency: 8 }, () => {
  const server = Fixture.shared({ ALLOW_EIO3: true });

  it("the upgrade, with a noop for the pending poll", async () => {
    const session = await Polling3.connect(server);
    const pending = session.get();
    const ws = new Ws3(server, { EIO: "3", transport: "websocket", sid: session.sid });
    await ws.opened;
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    assert.equal((await pending.response).body, "1:6");
    ws.send("5", `42["message",1]`);
    assert.equal(await ws.next(), `42["message-back",1]`);
    ws.send("2");
    assert.equal(await ws.next(), "3");
  });

  it("close by the client: the pending poll returns a noop", async () => {
    const session = await Polling3.connect(server);
    const pending = session.get();
    await delay(50);
    await session.post("1");
    assert.equal((await pending.response).body, "1:6");
    assert.equal(await server.disconnectReason(session.sid), "transport close");
  });

  it("close by the server without a pending poll: noop and close with the next one", async () => {
    const session = await Polling3.connect(server);
    await session.post("40");
    assert.deepEqual(await session.packets(2), ["6", "1"]);
    await session.assertGone();
  });
});

describe("Socket.IO protocol v4", { concurrency: 8 }, () => {
  const server = Fixture.shared({ ALLOW_EIO3: true });

  it("CONNECT to a namespace is answered without a payload", async () => {
    const ws = await Ws3.connect(server);
    ws.send("40/quiet,");
    assert.equal(await ws.next(), "40/quiet,");
    ws.send(`42/quiet,0["whoami"]`);
    const answer = await ws.next();
    assert.equal(JSON.parse(answer.slice(answer.indexOf("[")))[0].id, `/quiet#${ws.sid}`);
  });

  it("the query of a namespace is its auth data", async () => {
    const ws = await Ws3.connect(server);
    ws.send("40/custom?token=abc&a=1,");
    assert.equal(await ws.next(), "40/custom,");
    assert.equal(await ws.next(), `42/custom,["auth",{"token":"abc","a":"1"}]`);
    ws.send(`42/custom?token=abc&a=1,["message",1]`);
    assert.equal(await ws.next(), `42/custom,["message-back",1]`);
  });

  for (const [sent, refused] of [
    ["40/auth,", `44/auth,{"code":401,"hint":"bring a token"}`],
    ["40/auth?token=plain,", `44/auth,"plain refusal"`],
    ["40/nowhere,", `44/nowhere,{"message":"Invalid namespace"}`],
  ]) {
    it(`${sent} is refused`, async () => {
      const ws = await Ws3.connect(server);
      ws.send(sent);
      assert.equal(await ws.next(), refused);
      await ws.assertAlive("/");
    });
  }

  it("CONNECT to the main namespace is fatal", async () => {
    const ws = await Ws3.connect(server);
    ws.send("40");
    await ws.assertClosed(1005);
    assert.equal(await server.disconnectReason(ws.sid), "forced close");
  });

  it("DISCONNECT from a namespace", async () => {
    const ws = await Ws3.connect(server);
    ws.send("40/quiet,");
    await ws.next();
    ws.send("41/quiet,");
    assert.equal(await server.disconnectReason(`/quiet#${ws.sid}`), "client namespace disconnect");
    await ws.assertAlive("/");
  });
});

describe("Engine.IO v3 not allowed", () => {
  it("is the default", async (t) => {
    const server = await Fixture.own(t);
    assertError(await request(server, { query: { EIO: "3", transport: "polling" } }), 5);
  });
});
