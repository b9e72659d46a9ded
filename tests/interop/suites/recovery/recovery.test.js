// REFERENCE 4.8: connection state recovery.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { ask, collect, next, overEachTransport, upgraded } = require("../../support/client-suite");
const { Fixture, delay } = require("../../support/fixture");
const { Polling, Ws } = require("../../support/raw");
const v4 = require("../../support/dialects")("v4");

const OPTIONS = { RECOVERY: 5000 };

async function open(server, connect = "40/quiet,") {
  const ws = await Ws.open(server);
  ws.sid = JSON.parse((await ws.next()).slice(1)).sid;
  ws.send(connect);
  return ws;
}

async function join(server) {
  const ws = await open(server);
  const answer = await ws.next();
  Object.assign(ws, { connected: JSON.parse(answer.slice("40/quiet,".length)) });
  return ws;
}

const args = (packet) => JSON.parse(packet.slice("42/quiet,".length));
const recover = (pid, offset) => `40/quiet,${JSON.stringify({ pid, offset })}`;
const sendTo = (target, ...values) => `42/quiet,0["send-to",${JSON.stringify(target)},${JSON.stringify(values)}]`;

describe("recovery on the wire", { concurrency: 8 }, () => {
  const server = Fixture.shared(OPTIONS);

  it("the answer to CONNECT has a sid and a pid, different ones", async () => {
    const { connected, sid } = await join(server);
    assert.deepEqual(Object.keys(connected), ["sid", "pid"]);
    assert.equal(new Set([connected.sid, connected.pid, sid]).size, 3);
    assert.match(connected.pid, /^[A-Za-z0-9_-]{20}$/);
  });

  it("every event carries an offset as its last argument, a string that is new each time", async () => {
    const ws = await join(server);
    ws.send(`42/quiet,["message",1,"x"]`, `42/quiet,["burst",3,0]`);
    const offsets = new Set();
    for (let i = 0; i < 4; i++) {
      const offset = args(await ws.next()).at(-1);
      assert.equal(typeof offset, "string");
      offsets.add(offset);
    }
    assert.equal(offsets.size, 4);
  });

  it("behind the placeholders of a binary event", async () => {
    const ws = await join(server);
    ws.send(`451-/quiet,["message",{"_placeholder":true,"num":0}]`, Buffer.from([1]));
    const packet = await ws.next();
    assert.match(packet, /^451-\/quiet,\["message-back",\{"_placeholder":true,"num":0\},"[^"]+"\]$/);
    assert.deepEqual(await ws.next(), Buffer.from([1]));
  });

  it("volatile events, and events that want an acknowledgement, carry none", async () => {
    const ws = await join(server);
    await delay(20);
    ws.send(`42/quiet,["message-volatile",1]`);
    assert.equal(await ws.next(), `42/quiet,["message-back",1]`);
    ws.send(`42/quiet,["ask",1000,"x"]`);
    assert.match(await ws.next(), /^42\/quiet,\d+\["question","x"\]$/);
  });

  it("the missed events come first, then CONNECT with the old sid and pid", async () => {
    const ws = await join(server);
    const other = await join(server);
    ws.send(`42/quiet,9["join","missed"]`);
    await ws.next();
    ws.send(`42/quiet,["message","offset"]`);
    const offset = args(await ws.next()).at(-1);
    ws.socket.terminate();
    assert.equal(await server.disconnectReason(ws.connected.sid), "transport close");
    other.send(sendTo({ from: "namespace", to: ["missed"] }, 1), sendTo({ from: "namespace", to: ["elsewhere"] }, 2));
    other.send(sendTo({ from: "namespace", except: ["missed"], to: ["missed"] }, 3));
    other.send(sendTo({ from: "namespace", to: ["missed"], volatile: true }, 4));
    other.send(sendTo({ from: "namespace", to: [ws.connected.sid] }, 5));
    for (let i = 0; i < 5; i++) assert.equal(await other.next(), "43/quiet,0[]");

    const again = await open(server, recover(ws.connected.pid, offset));
    assert.deepEqual(args(await again.next()).slice(0, 2), ["news", 1]);
    assert.deepEqual(args(await again.next()).slice(0, 2), ["news", 5]);
    assert.deepEqual(await again.next(), `40/quiet,${JSON.stringify(ws.connected)}`);
    again.send(`42/quiet,1["join",[]]`);
    assert.equal(await again.next(), `43/quiet,1[${JSON.stringify([ws.connected.sid, "missed"].sort())}]`);
  });

  for (const [what, change] of [
    ["an unknown pid", ({ offset }) => recover("x".repeat(20), offset)],
    ["an unknown offset", ({ pid }) => recover(pid, "unknown")],
    ["a pid that is no string", ({ offset }) => recover(1, offset)],
    ["an offset that is no string", ({ pid }) => recover(pid, 1)],
    ["__proto__", ({ offset }) => recover("__proto__", offset)],
  ]) {
    it(`${what} gives a new session`, async () => {
      const ws = await join(server);
      ws.send(`42/quiet,["message",1]`);
      const offset = args(await ws.next()).at(-1);
      ws.socket.terminate();
      await server.disconnectReason(ws.connected.sid);
      const again = await open(server, change({ pid: ws.connected.pid, offset }));
      const connected = JSON.parse((await again.next()).slice("40/quiet,".length));
      assert.notEqual(connected.sid, ws.connected.sid);
      assert.notEqual(connected.pid, ws.connected.pid);
    });
  }

  // The reference gives a new session. Going on where the client joined is allowed: then everything it may have missed
  // comes again, before the old sid and pid.
  it("no offset gives a new session, or all events since the client joined", async () => {
    const ws = await join(server);
    ws.send(`42/quiet,["message",1]`);
    const event = await ws.next();
    ws.socket.terminate();
    await server.disconnectReason(ws.connected.sid);
    const again = await open(server, recover(ws.connected.pid));
    const first = await again.next();
    if (first.startsWith("40/quiet,")) {
      assert.ok(!first.includes(ws.connected.sid));
    } else {
      assert.equal(first, event);
      assert.equal(await again.next(), `40/quiet,${JSON.stringify(ws.connected)}`);
    }
  });

  it("a session that was left on purpose is not kept", async () => {
    const ws = await join(server);
    ws.send(`42/quiet,["message",1]`);
    const offset = args(await ws.next()).at(-1);
    ws.send("41/quiet,");
    await server.disconnectReason(ws.connected.sid);
    const again = await open(server, recover(ws.connected.pid, offset));
    assert.ok(!(await again.next()).includes(ws.connected.sid));
  });
});

describe("recovery and time", { concurrency: 8 }, () => {
  it("a session is forgotten after the maximal duration", async (t) => {
    const server = await Fixture.own(t, { RECOVERY: 200 });
    const ws = await join(server);
    ws.send(`42/quiet,["message",1]`);
    const offset = args(await ws.next()).at(-1);
    ws.socket.terminate();
    await server.disconnectReason(ws.connected.sid);
    await delay(300);
    const again = await open(server, recover(ws.connected.pid, offset));
    assert.ok(!(await again.next()).includes(ws.connected.sid));
  });

  it("after a heartbeat timeout", async (t) => {
    const server = await Fixture.own(t, { ...OPTIONS, PING_INTERVAL: 500, PING_TIMEOUT: 1000 });
    const session = await Polling.open(server);
    await session.post("40/quiet,");
    const connected = JSON.parse((await session.packets(1))[0].slice("40/quiet,".length));
    await session.post(`42/quiet,["message",1]`);
    const offset = args((await session.packets(1))[0]).at(-1);
    assert.equal(await server.disconnectReason(connected.sid), "ping timeout");
    const again = await open(server, recover(connected.pid, offset));
    assert.equal(await again.next(), `40/quiet,${JSON.stringify(connected)}`);
  });
});

overEachTransport(
  v4,
  "recovery",
  (clients, transport, server) => {
    const options = { reconnection: true, reconnectionDelay: 150, reconnectionDelayMax: 200, randomizationFactor: 0 };

    async function cut(socket) {
      const { id } = socket;
      socket.io.engine.close();
      await server.disconnectReason(id);
    }

    it("a client is recovered with its rooms, its data and what it missed, again and again", async () => {
      const socket = await clients.connect("/quiet", options);
      const other = await clients.connect();
      if (transport === "upgrade") await upgraded(socket);
      assert.equal(socket.recovered, false);
      const room = `recover-${transport}`;
      await ask(socket, "join", room);
      await ask(socket, "set-data", { name: "kept" });
      socket.emit("message", "first");
      await next(socket, "message-back");
      const { id } = socket;
      for (let round = 0; round < 3; round++) {
        const news = collect(socket, "news", 2);
        const back = next(socket, "connect");
        await cut(socket);
        await ask(other, "send-to", { from: "namespace", to: [room] }, [round, Buffer.from([round])]);
        await ask(other, "send-to", { from: "namespace", to: [id] }, [round, "to the id"]);
        await back;
        assert.equal(socket.recovered, true);
        assert.equal(socket.id, id);
        assert.deepEqual((await news).map((values) => values.slice(0, 2)), [
          [round, Buffer.from([round])],
          [round, "to the id"],
        ]);
        const [who] = await ask(socket, "whoami");
        assert.deepEqual([who.id, who.recovered, who.data], [id, true, { name: "kept" }]);
      }
    });

    it("a new client is not recovered", async () => {
      const socket = await clients.connect("/quiet", options);
      const [who] = await ask(socket, "whoami");
      assert.deepEqual([socket.recovered, who.recovered], [false, false]);
    });
  },
  OPTIONS,
);
