// REFERENCE 3.1–3.3, 3.5: packets, well formed and not.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture } = require("../../support/fixture");
const { Polling, RS, Ws } = require("../../support/raw");

const ph = (num) => `{"_placeholder":true,"num":${num}}`;
const bytes = (...values) => Buffer.from(values);

async function connect(server) {
  const ws = await Ws.connect(server, "/");
  assert.equal(await ws.next(), `42["auth",{}]`);
  return ws;
}

// The payload of a packet as a value: how a server writes a number or an escape is its own affair.
function parsed(frame) {
  if (typeof frame !== "string") return frame;
  const [, head, payload] = /^([^[{]*)(.*)$/s.exec(frame);
  return [head, JSON.parse(payload)];
}

async function nextFrames(ws, count) {
  const frames = [];
  while (frames.length < count) frames.push(await ws.next());
  return frames;
}

describe("events and acknowledgements", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const [sent, back] of [
    [[`42["message"]`], [`42["message-back"]`]],
    [[`42["message",1,"2",{"3":[true]}]`], [`42["message-back",1,"2",{"3":[true]}]`]],
    [[`42["message",null,true,-0.5,1e3]`], [`42["message-back",null,true,-0.5,1000]`]],
    [[`42["message",{"_placeholder":false,"num":0}]`], [`42["message-back",{"_placeholder":false,"num":0}]`]],
    [[`42["message",{"_placeholder":"true","num":0}]`], [`42["message-back",{"_placeholder":"true","num":0}]`]],
    [[`42["message","€ 😀 \u2028 \\u0000 \\" \\\\ /"]`], [`42["message-back","€ 😀 \u2028 \\u0000 \\" \\\\ /"]`]],
    [[`42["message","\\ud83d\\ude00"]`], [`42["message-back","😀"]`]],
    [[`42/,["message",1]`], [`42["message-back",1]`]],
    [[`42["message",1] `], [`42["message-back",1]`]],
    [[`42[ "message" , [ 1 , 2 ] ]`], [`42["message-back",[1,2]]`]],
    [[`420["message-with-ack"]`], ["430[]"]],
    [[`421["message-with-ack",1,{"a":"b"}]`], [`431[1,{"a":"b"}]`]],
    [[`42123456789["message-with-ack","x"]`], [`43123456789["x"]`]],
    [[`42007["message-with-ack","x"]`], [`437["x"]`]],
    [[`42["nobody-listens",1]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42[5,1]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42[1.5]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42["error",1]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42["connection",1]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42["__proto__",1]`, `42["message",1]`], [`42["message-back",1]`]],
    [[`42["constructor",1]`, `42["message",1]`], [`42["message-back",1]`]],
    [["430[1]", `42["message",1]`], [`42["message-back",1]`]],
    [["43999999[]", `42["message",1]`], [`42["message-back",1]`]],
  ]) {
    it(`${sent.join(" ")}`, async () => {
      const ws = await connect(server);
      ws.send(...sent);
      assert.deepEqual((await nextFrames(ws, back.length)).map(parsed), back.map(parsed));
    });
  }

  it("an event emitted by the server with an acknowledgement", async () => {
    const ws = await connect(server);
    ws.send(`42["ask",2000,"why",1]`);
    const question = await ws.next();
    const [, id] = /^42(\d+)\["question","why",1\]$/.exec(question) ?? assert.fail(question);
    ws.send(`43${id}["because",2]`);
    assert.equal(await ws.next(), `42["answered",null,"because",2]`);
  });

  it("an answer is used once, later ones are ignored", async () => {
    const ws = await connect(server);
    ws.send(`42["ask",2000]`);
    const [, id] = /^42(\d+)\["question"\]$/.exec(await ws.next());
    ws.send(`43${id}[1]`, `43${id}[2]`);
    assert.equal(await ws.next(), `42["answered",null,1]`);
    await ws.assertAlive("/");
  });

  it("an answer that comes too late is ignored", async () => {
    const ws = await connect(server);
    ws.send(`42["ask",50]`);
    const [, id] = /^42(\d+)\["question"\]$/.exec(await ws.next());
    assert.equal(await ws.next(), `42["answered","operation has timed out"]`);
    ws.send(`43${id}[1]`);
    await ws.assertAlive("/");
  });

  it("a binary answer", async () => {
    const ws = await connect(server);
    ws.send(`42["ask",2000]`);
    const [, id] = /^42(\d+)\["question"\]$/.exec(await ws.next());
    ws.send(`461-${id}[${ph(0)}]`, bytes(7));
    assert.deepEqual(await nextFrames(ws, 2), [`451-["answered",null,${ph(0)}]`, bytes(7)]);
  });

  it("acknowledgement ids of the server are counted per namespace, from 0", async (t) => {
    const own = await Fixture.own(t);
    const [one, two] = [await Ws.connect(own), await Ws.connect(own)];
    for (const [ws, id] of [[one, 0], [two, 1], [one, 2]]) {
      ws.send(`42/quiet,["ask",2000]`);
      assert.equal(await ws.next(), `42/quiet,${id}["question"]`);
    }
    const other = await Ws.connect(own, "/slow");
    other.send(`42/slow,["ask",2000]`);
    assert.equal(await other.next(), `42/slow,0["question"]`);
  });

  it("events of one socket are handled in the order of arrival", async () => {
    const session = await Polling.connect(server);
    await session.post(Array.from({ length: 20 }, (_, i) => `42/quiet,["message",${i}]`).join(RS));
    const expected = Array.from({ length: 20 }, (_, i) => `42/quiet,["message-back",${i}]`);
    assert.deepEqual(await session.packets(20), expected);
  });
});

describe("attachments", { concurrency: 8 }, () => {
  const server = Fixture.shared();
  const ten = Array.from({ length: 10 }, (_, i) => i);

  for (const [what, sent, back] of [
    ["one", [`451-["message",${ph(0)}]`, bytes(1)], [`451-["message-back",${ph(0)}]`, bytes(1)]],
    [
      "two, nested",
      [`452-["message",{"a":[${ph(0)}],"b":{"c":${ph(1)}}}]`, bytes(1), bytes(2)],
      [`452-["message-back",{"a":[${ph(0)}],"b":{"c":${ph(1)}}}]`, bytes(1), bytes(2)],
    ],
    [
      "in another order",
      [`452-["message",${ph(1)},${ph(0)}]`, bytes(1), bytes(2)],
      [`452-["message-back",${ph(0)},${ph(1)}]`, bytes(2), bytes(1)],
    ],
    [
      "referenced twice",
      [`451-["message",${ph(0)},${ph(0)}]`, bytes(5)],
      [`452-["message-back",${ph(0)},${ph(1)}]`, bytes(5), bytes(5)],
    ],
    ["never referenced", [`451-["message",1]`, bytes(5)], [`42["message-back",1]`]],
    [
      "with other keys beside num",
      [`451-["message",{"_placeholder":true,"num":0,"x":1}]`, bytes(5)],
      [`451-["message-back",${ph(0)}]`, bytes(5)],
    ],
    ["acknowledged", [`451-3["message-with-ack",${ph(0)}]`, bytes(9)], [`461-3[${ph(0)}]`, bytes(9)]],
    [
      "ten, the most by default",
      [`4510-["message",${ten.map(ph)}]`, ...ten.map((i) => bytes(i))],
      [`4510-["message-back",${ten.map(ph)}]`, ...ten.map((i) => bytes(i))],
    ],
    ["in a namespace", [`451-/,1["message-with-ack",${ph(0)}]`, bytes(9)], [`461-1[${ph(0)}]`, bytes(9)]],
  ]) {
    it(what, async () => {
      const ws = await connect(server);
      ws.send(...sent);
      assert.deepEqual((await nextFrames(ws, back.length)).map(parsed), back.map(parsed));
      await ws.assertAlive("/");
    });
  }

  it("are put together across posts", async () => {
    const session = await Polling.connect(server);
    await session.post(`452-/quiet,0["message-with-ack",${ph(0)},{"a":${ph(1)}}]`);
    await session.post("bAQID");
    await session.post("bBAU=");
    assert.deepEqual(await session.packets(3), [`462-/quiet,0[${ph(0)},{"a":${ph(1)}}]`, "bAQID", "bBAU="]);
  });

  it("a heartbeat between the parts does not matter", async () => {
    const ws = await connect(server);
    ws.send(`451-["message",${ph(0)}]`, "3", bytes(1));
    assert.deepEqual(await nextFrames(ws, 2), [`451-["message-back",${ph(0)}]`, bytes(1)]);
  });

  for (const [what, sent] of [
    ["zero declared", [`450-["message",1]`]],
    ["eleven declared", [`4511-["message",${ph(0)}]`]],
    ["very many declared", [`45999999999999999999-["message",${ph(0)}]`]],
    ["no count", [`45["message",${ph(0)}]`]],
    ["an empty count", [`45-["message",${ph(0)}]`]],
    ["a negative count", [`45-1-["message",${ph(0)}]`]],
    ["a fractional count", [`451.5-["message",${ph(0)}]`]],
    ["letters for a count", [`45x-["message",${ph(0)}]`]],
    ["binary that nobody announced", [bytes(1)]],
    ["base64 that nobody announced", ["bAQID"]],
    ["one binary too many", [`451-["nobody-listens",${ph(0)}]`, bytes(1), bytes(2)]],
    ["text while a binary is awaited", [`451-["message",${ph(0)}]`, `42["message",1]`]],
    ["an index out of range", [`451-["message",${ph(1)}]`, bytes(1)]],
    ["a negative index", [`451-["message",${ph(-1)}]`, bytes(1)]],
    ["an index that is no number", [`451-["message",${ph(`"splice"`)}]`, bytes(1)]],
    ["an index that is null", [`451-["message",${ph("null")}]`, bytes(1)]],
    ["no index", [`451-["message",{"_placeholder":true}]`, bytes(1)]],
    ["an event name that is an attachment", [`451-[${ph(0)}]`, bytes(1)]],
    ["no payload that is an array", [`451-{"a":${ph(0)}}`, bytes(1)]],
  ]) {
    it(`${what}: the connection is closed`, async () => {
      const ws = await connect(server);
      ws.send(...sent);
      await ws.assertClosed();
      assert.equal(await server.disconnectReason(ws.id), "forced close");
    });
  }
});

describe("malformed packets close the connection", { concurrency: 8 }, () => {
  const server = Fixture.shared();

  for (const packet of [
    "4", // a message without data
    "47",
    "49",
    "4x",
    "4-",
    "4 ",
    `4["message",1]`,
    `40null`,
    `40[]`,
    `40"x"`,
    `40{"a":}`,
    `40{`,
    `41{}`,
    `41[]`,
    `411{}`,
    `42{}`,
    `42{"0":"message"}`,
    `42"message"`,
    `42null`,
    `42[]`,
    `42[null]`,
    `42[true]`,
    `42[{}]`,
    `42[{"toString":"foo"}]`,
    `42[["message"]]`,
    `42["connect",1]`,
    `42["connect_error"]`,
    `42["disconnect","transport close"]`,
    `42["disconnecting"]`,
    `42["newListener","x"]`,
    `42["removeListener"]`,
    `42["message"`,
    `42["message",]`,
    `42["message"]x`,
    `42['message']`,
    `42[message]`,
    `42["message",undefined]`,
    `42["message",NaN]`,
    `42-1["message"]`,
    `42+1["message"]`,
    `421.5["message"]`,
    `42x1["message"]`,
    `42/,x["message"]`,
    `431{}`,
    `431"x"`,
    `431null`,
    `43x[]`,
  ]) {
    it(`websocket: ${packet}`, async () => {
      const ws = await connect(server);
      ws.send(packet);
      await ws.assertClosed();
      assert.equal(await server.disconnectReason(ws.id), "forced close");
    });
  }

  for (const packet of ["47", "42[]", `42["message"`, "40null", `450-["message"]`, "bAQID"]) {
    it(`polling: ${packet}`, async () => {
      const session = await Polling.connect(server);
      await session.post(packet);
      assert.equal(await session.poll(), ["6", "1"].join(RS));
      await session.assertGone();
    });
  }

  it("a packet without payload is allowed and means nothing", async () => {
    const ws = await connect(server);
    ws.send("42", "43", "431");
    await ws.assertAlive("/");
  });

  it("every namespace of the connection is told", async () => {
    const ws = await connect(server);
    ws.send("40/quiet,");
    const other = JSON.parse((await ws.next()).slice("40/quiet,".length)).sid;
    ws.send("47");
    await ws.assertClosed();
    for (const id of [ws.id, other]) assert.equal(await server.disconnectReason(id), "forced close");
  });

  it("deep nesting does no harm", async () => {
    const ws = await connect(server);
    ws.send(`42["nobody-listens",${"[".repeat(100)}${"]".repeat(100)}]`);
    await ws.assertAlive("/");
    // How deep is too deep is the server's affair; it must survive.
    ws.send(`42["nobody-listens",${"[".repeat(100_000)}${"]".repeat(100_000)}]`);
    const next = await connect(server);
    await next.assertAlive("/");
  });
});
