// What every version of the official client must be able to do, over every transport. A suite calls these functions with
// the dialect of its client, see dialects.js.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const { Fixture, delay } = require("./fixture");
const { timed } = require("./raw");

const TRANSPORTS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};
const CONCURRENCY = { concurrency: 6 };

// The arguments of the next such event.
function next(socket, event, timeout) {
  return timed(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), event, timeout);
}

// The arguments of the next `count` such events.
function collect(socket, event, count, timeout = 10_000) {
  const all = [];
  const done = new Promise((resolve) => {
    socket.on(event, function listener(...args) {
      all.push(args);
      if (all.length < count) return;
      socket.off(event, listener);
      resolve(all);
    });
  });
  return timed(done, `${count} × ${event}`, timeout).catch((err) => {
    throw new Error(`${err.message}, got ${all.length}`);
  });
}

// The arguments of the acknowledgement.
function ask(socket, event, ...args) {
  return timed(new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer))), `ack of ${event}`, 10_000);
}

const transportOf = (socket) => socket.io.engine.transport.name;

async function upgraded(socket) {
  for (let i = 0; transportOf(socket) !== "websocket"; i++) {
    assert.ok(i < 500, "no upgrade to websocket");
    await delay(10);
  }
}

class Clients {
  constructor(server, dialect, transport) {
    this.server = server;
    this.dialect = dialect;
    this.transport = transport;
  }

  open(namespace = "/quiet", options = {}) {
    const defaults = { forceNew: true, reconnection: false, ...TRANSPORTS[this.transport], ...this.dialect.options };
    const socket = this.dialect.io(this.server.url + namespace, { ...defaults, ...options });
    this.server.onFinish(() => socket.disconnect());
    return socket;
  }

  async connect(namespace, options) {
    const socket = this.open(namespace, options);
    let refuse;
    const refused = new Promise((_, reject) => {
      refuse = (err) => reject(err instanceof Error ? err : new Error(String(err)));
      socket.on("connect_error", refuse);
    });
    await timed(Promise.race([refused, new Promise((resolve) => socket.once("connect", resolve))]), "connect");
    socket.off("connect_error", refuse);
    return socket;
  }
}

function overEachTransport(dialect, what, tests, options) {
  for (const transport of dialect.transports ?? Object.keys(TRANSPORTS)) {
    describe(`${what}, ${dialect.version}, ${transport}`, CONCURRENCY, () => {
      const server = Fixture.shared({ ...dialect.fixture, ...options });
      tests(new Clients(server, dialect, transport), transport, server);
    });
  }
}

const STRINGS = {
  "one byte": "plain",
  "two and three bytes": "é € 漢字",
  astral: "😀👩‍👩‍👧 𝔘",
  "line separators": "a\u2028b\u2029c",
  controls: "\u0000\u0001\u001e\u007f\n\r\t",
  "JSON syntax": `"\\/{}[],:`,
  "right to left": "שלום עליכם",
  empty: "",
};

function events(dialect) {
  overEachTransport(dialect, "events", (clients, transport) => {
    it("no argument, one, several", async () => {
      const socket = await clients.connect();
      for (const args of [[], [1], ["a", 2, null, true, [1, [2]], { b: { c: "d" } }]]) {
        socket.emit("message", ...args);
        assert.deepEqual(await next(socket, "message-back"), args);
      }
    });

    it("numbers", async () => {
      const socket = await clients.connect();
      const numbers = [0, -1, 1.5, 1e-7, 2 ** 53, -(2 ** 31), 4294967296, 0.1, ...dialect.numbers];
      assert.deepEqual(await ask(socket, "message-with-ack", ...numbers), numbers);
    });

    for (const [name, text] of Object.entries(STRINGS)) {
      it(`text: ${name}`, async () => {
        const socket = await clients.connect();
        const args = [text, { [text]: [text] }];
        socket.emit("message", ...args);
        assert.deepEqual(await next(socket, "message-back"), args);
        assert.deepEqual(await ask(socket, "message-with-ack", ...args), args);
      });
    }

    it("binary, alone and nested", async () => {
      const socket = await clients.connect();
      const bytes = Buffer.from([0, 1, 2, 127, 128, 254, 255]);
      for (const args of [
        [bytes],
        [Buffer.alloc(0)],
        ["text", bytes, 1],
        [{ a: bytes, b: { c: [bytes, { d: Buffer.from("x") }] } }, [bytes], "end"],
      ]) {
        socket.emit("message", ...args);
        assert.deepEqual(await next(socket, "message-back"), args);
        assert.deepEqual(await ask(socket, "message-with-ack", ...args), args);
      }
    });

    it("typed arrays and array buffers arrive as bytes", async () => {
      const socket = await clients.connect();
      const view = new Uint8Array([9, 8, 7]);
      const answer = await ask(socket, "message-with-ack", view, view.buffer);
      assert.deepEqual(answer.map((bytes) => Buffer.from(bytes)), [Buffer.from(view), Buffer.from(view)]);
    });

    it("acknowledgements by the server, many at a time", async () => {
      const socket = await clients.connect();
      const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(socket, "message-with-ack", i, { i })));
      assert.deepEqual(answers, Array.from({ length: 20 }, (_, i) => [i, { i }]));
    });

    it("acknowledgements by the client", async () => {
      const socket = await clients.connect();
      socket.on("question", (a, b, answer) => answer(b, a, Buffer.from([a])));
      socket.emit("ask", 5000, 1, 2);
      assert.deepEqual(await next(socket, "answered"), [null, 2, 1, Buffer.from([1])]);
      socket.emit("ask-promise", 5000, 3, 4);
      assert.deepEqual(await next(socket, "answered"), [null, 4]);
    });

    it("an empty acknowledgement by the client", async () => {
      const socket = await clients.connect();
      socket.on("question", (answer) => answer());
      socket.emit("ask", 5000);
      assert.deepEqual(await next(socket, "answered"), [null]);
    });

    it("an acknowledgement that never comes times out at the server", async () => {
      const socket = await clients.connect();
      socket.emit("ask", 50, "anybody?");
      assert.deepEqual(await next(socket, "answered"), ["operation has timed out"]);
    });

    it("uncompressed events", async () => {
      const socket = await clients.connect();
      socket.emit("message-uncompressed", "x".repeat(5000));
      assert.deepEqual(await next(socket, "message-back"), ["x".repeat(5000)]);
      socket.compress(false).emit("message", "x".repeat(5000));
      assert.deepEqual(await next(socket, "message-back"), ["x".repeat(5000)]);
    });

    it("a text just under the limit of 1 MB", async () => {
      const socket = await clients.connect();
      const text = "x".repeat(dialect.largestText);
      const [back] = await ask(socket, "message-with-ack", text);
      assert.ok(back === text, `${back?.length} characters`);
    });

    it("a text of many wide characters", async () => {
      const socket = await clients.connect();
      const text = "€😀".repeat(100_000);
      const [back] = await ask(socket, "message-with-ack", text);
      assert.ok(back === text, `${back?.length} characters`);
    });

    it("a binary of 300 KB", async () => {
      const socket = await clients.connect();
      const bytes = Buffer.alloc(300_000, "0123456789abcdef");
      bytes[1234] = 0xff;
      const [back] = await ask(socket, "message-with-ack", { bytes });
      assert.ok(bytes.equals(back.bytes));
    });

    it("a burst of 200 events from the client, in order", async () => {
      const socket = await clients.connect();
      const received = collect(socket, "message-back", 200);
      for (let i = 0; i < 200; i++) socket.emit("message", i, `event ${i}`);
      assert.deepEqual(await received, Array.from({ length: 200 }, (_, i) => [i, `event ${i}`]));
    });

    it("a burst of 200 events from the server, in order", async () => {
      const socket = await clients.connect();
      const received = collect(socket, "burst", 200);
      socket.emit("burst", 200, 0);
      assert.deepEqual(await received, Array.from({ length: 200 }, (_, i) => [i]));
    });

    it("bursts with binaries among the events, both ways at once", async () => {
      const socket = await clients.connect();
      const item = (i, every) => (i % every === 0 ? [i, Buffer.from([i & 255])] : [i]);
      const down = collect(socket, "burst", 200);
      const back = collect(socket, "message-back", 200);
      socket.emit("burst", 200, 3);
      for (let i = 0; i < 200; i++) socket.emit("message", ...item(i, 5));
      assert.deepEqual(await down, Array.from({ length: 200 }, (_, i) => item(i, 3)));
      assert.deepEqual(await back, Array.from({ length: 200 }, (_, i) => item(i, 5)));
    });

    it("volatile events reach a client that is listening", async () => {
      const socket = await clients.connect();
      if (transport === "upgrade") await upgraded(socket);
      await delay(50);
      const received = next(socket, "message-back");
      socket.emit("message-volatile", 1);
      assert.deepEqual(await received, [1]);
    });
  });
}

function namespaces(dialect) {
  overEachTransport(dialect, "namespaces", (clients, transport) => {
    it("the handshake is visible to the server", async () => {
      const options = { query: { room: "a b&c=€" }, extraHeaders: { "X-Test": "yes" } };
      const socket = await clients.connect("/custom", options);
      const [who] = await ask(socket, "whoami");
      assert.equal(who.id, socket.id);
      const { handshake } = who;
      assert.equal(handshake.query.room, "a b&c=€");
      assert.equal(handshake.query.EIO, String(dialect.engine));
      assert.equal(handshake.query.transport, transport === "websocket" ? "websocket" : "polling");
      assert.equal(handshake.headers["x-test"], "yes");
      assert.equal(handshake.headers.host, `127.0.0.1:${clients.server.port}`);
      assert.equal(handshake.secure, false);
      assert.equal(handshake.xdomain, false);
      assert.match(handshake.address, /127\.0\.0\.1$/);
      assert.ok(handshake.url.startsWith("/socket.io/?"), handshake.url);
      assert.ok(Math.abs(Date.now() - handshake.issued) < 60_000);
      assert.ok(!Number.isNaN(Date.parse(handshake.time)), handshake.time);
    });

    it("auth data reaches the handshake", async () => {
      const socket = clients.open("/custom", dialect.withAuth({ token: "abc" }));
      const [auth] = await next(socket, "auth");
      assert.equal(auth.token, "abc");
    });

    it("a refusal carries the message and the data", async () => {
      const socket = clients.open("/auth", dialect.withAuth({ token: "wrong" }));
      const [refused] = await next(socket, dialect.refusal);
      dialect.assertRefused(refused, "not authorized", { code: 401, hint: "bring a token" });
      assert.equal(socket.connected, false);
    });

    it("a refusal without data", async () => {
      const socket = clients.open("/auth", dialect.withAuth({ token: "plain" }));
      const [refused] = await next(socket, dialect.refusal);
      dialect.assertRefused(refused, "plain refusal");
    });

    it("the right credentials are accepted", async () => {
      const socket = await clients.connect("/auth", dialect.withAuth({ token: "secret" }));
      const [who] = await ask(socket, "whoami");
      assert.deepEqual(who.data, { user: "alice" });
    });

    it("an unknown namespace is refused", async () => {
      const socket = clients.open("/nowhere");
      const [refused] = await next(socket, dialect.refusal);
      assert.equal(refused.message, "Invalid namespace");
    });

    it("several namespaces over one connection", async () => {
      const first = await clients.connect("/custom");
      const manager = first.io;
      const second = manager.socket("/quiet");
      const third = manager.socket("/slow");
      clients.server.onFinish(() => [second, third].forEach((socket) => socket.disconnect()));
      await Promise.all([second, third].map((socket) => socket.connected || next(socket, "connect")));
      assert.equal(new Set([first.id, second.id, third.id]).size, 3);
      const answers = await Promise.all([first, second, third].map((socket, i) => ask(socket, "message-with-ack", i)));
      assert.deepEqual(answers, [[0], [1], [2]]);
      second.disconnect();
      assert.deepEqual(await ask(third, "message-with-ack", "still"), ["still"]);
    });
  });
}

function rooms(dialect) {
  overEachTransport(dialect, "rooms", (clients) => {
    // Four sockets in rooms of their own test: a in x; b in x and y; c in y; d in none.
    let scene = 0;
    async function setScene() {
      const [x, y] = [`x${++scene}`, `y${scene}`];
      const sockets = await Promise.all([1, 2, 3, 4].map(() => clients.connect()));
      const [a, b, c, d] = sockets;
      await Promise.all([ask(a, "join", x), ask(b, "join", [x, y]), ask(c, "join", y)]);
      const news = { a: [], b: [], c: [], d: [] };
      [a, b, c, d].forEach((socket, i) => socket.on("news", (...args) => news["abcd"[i]].push(args)));
      // Whatever was broadcast before has arrived once everybody had an answer. `marked` are the events of this test.
      const received = async () => {
        await Promise.all(sockets.map((socket) => ask(socket, "message-with-ack")));
        return Object.fromEntries(
          Object.entries(news)
            .map(([name, all]) => [name, all.filter(([mark]) => mark === x).length])
            .filter(([, count]) => count > 0),
        );
      };
      return { a, b, c, d, x, y, received, news };
    }

    for (const [what, target, expected] of [
      ["to a room", ({ x }) => ({ from: "namespace", to: [x] }), { a: 1, b: 1 }],
      ["to two rooms: one copy each", ({ x, y }) => ({ from: "namespace", to: [x, y] }), { a: 1, b: 1, c: 1 }],
      ["to a room, without the sender", ({ x }) => ({ from: "socket", to: [x] }), { b: 1 }],
      ["except a room", ({ x, y }) => ({ from: "namespace", to: [x], except: [y] }), { a: 1 }],
      ["except a socket", ({ x, y, c }) => ({ from: "namespace", to: [x, y], except: [c.id] }), { a: 1, b: 1 }],
      ["to one socket by its id", ({ d }) => ({ from: "namespace", to: [d.id] }), { d: 1 }],
      ["to a room and a socket", ({ x, a, d }) => ({ from: "namespace", to: [x, d.id, a.id] }), { a: 1, b: 1, d: 1 }],
      ["to an unknown room", () => ({ from: "namespace", to: ["nobody"] }), {}],
      ["broadcast to all", () => ({ from: "namespace" }), { a: 1, b: 1, c: 1, d: 1 }],
      ["broadcast to all but the sender", () => ({ from: "socket" }), { b: 1, c: 1, d: 1 }],
      ["broadcast except a room", ({ y }) => ({ from: "socket", except: [y] }), { d: 1 }],
    ]) {
      it(what, async () => {
        const scene = await setScene();
        await ask(scene.a, "send-to", target(scene), [scene.x]);
        assert.deepEqual(await scene.received(), expected);
      });
    }

    it("a broadcast with binaries", async () => {
      const { a, b, x, received, news } = await setScene();
      const value = { bytes: Buffer.from([1, 2, 3]), more: [Buffer.from([4])] };
      await ask(a, "send-to", { from: "namespace", to: [x] }, [x, value]);
      assert.deepEqual(await received(), { a: 1, b: 1 });
      for (const name of ["a", "b"]) assert.deepEqual(news[name].find(([mark]) => mark === x), [x, value]);
      assert.ok(b.connected);
    });

    it("join and leave", async () => {
      const { a, x, received } = await setScene();
      assert.deepEqual(await ask(a, "leave", x), [[a.id]]);
      await ask(a, "send-to", { from: "namespace", to: [x] }, [x]);
      assert.deepEqual(await received(), { b: 1 });
      assert.deepEqual(await ask(a, "join", [x, "z", "z"]), [[a.id, x, "z"].sort()]);
      await ask(a, "send-to", { from: "namespace", to: [x] }, [x]);
      assert.deepEqual(await received(), { a: 1, b: 2 });
    });

    it("a socket that went away is in no room", async () => {
      const { a, b, x } = await setScene();
      const { id } = b;
      b.disconnect();
      await clients.server.disconnectReason(id);
      a.on("question", (answer) => answer("a"));
      const [err, answers] = await ask(a, "ask-all", { from: "namespace", to: [x], timeout: 2000 }, []);
      assert.deepEqual([err, answers], [null, ["a"]]);
    });

    it("rooms of one namespace do not reach into another", async () => {
      const { a, x, received } = await setScene();
      const stranger = await clients.connect("/custom");
      await ask(stranger, "join", x);
      let heard = 0;
      stranger.on("news", ([mark]) => mark === x && heard++);
      await ask(a, "send-to", { from: "namespace", to: [x] }, [x]);
      assert.deepEqual(await received(), { a: 1, b: 1 });
      await ask(stranger, "message-with-ack");
      assert.equal(heard, 0);
    });

    it("a broadcast with acknowledgements collects one answer per socket", async () => {
      const { a, b, c, x, y } = await setScene();
      for (const [i, socket] of [a, b, c].entries()) socket.on("question", (n, answer) => answer(n + i, "ignored"));
      const [err, answers] = await ask(a, "ask-all", { from: "namespace", to: [x, y], timeout: 5000 }, [10]);
      assert.equal(err, null);
      assert.deepEqual(answers.sort(), [10, 11, 12]);
    });

    it("a broadcast with acknowledgements and nobody to answer", async () => {
      const { a } = await setScene();
      assert.deepEqual(await ask(a, "ask-all", { from: "namespace", to: ["nobody"], timeout: 5000 }, []), [null, []]);
    });

    it("a broadcast whose acknowledgements do not all come in time", async () => {
      const { a, b, x } = await setScene();
      b.on("question", (answer) => answer("b"));
      const [err, answers] = await ask(a, "ask-all", { from: "namespace", to: [x], timeout: 800 }, []);
      assert.deepEqual([err, answers], ["operation has timed out", ["b"]]);
    });
  });
}

function lifecycle(dialect) {
  overEachTransport(dialect, "lifecycle", (clients, transport, server) => {
    it("the transport is the chosen one", async () => {
      const socket = await clients.connect();
      if (transport === "upgrade") await upgraded(socket);
      assert.equal(transportOf(socket), transport === "polling" ? "polling" : "websocket");
      const [who] = await ask(socket, "whoami");
      assert.equal(who.transport, transportOf(socket));
    });

    it("disconnect by the client", async () => {
      const socket = await clients.connect();
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.disconnect();
      assert.equal((await gone)[0], "io client disconnect");
      assert.equal(await server.disconnectReason(id), "client namespace disconnect");
    });

    it("the engine closed by the client", async () => {
      const socket = await clients.connect();
      if (transport === "upgrade") await upgraded(socket);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.io.engine.close();
      assert.equal((await gone)[0], "forced close");
      assert.equal(await server.disconnectReason(id), "transport close");
    });

    for (const close of [false, true]) {
      it(`disconnect(${close}) by the server`, async () => {
        const socket = await clients.connect();
        const { id } = socket;
        socket.emit("disconnect-me", close);
        assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
        assert.equal(await server.disconnectReason(id), "server namespace disconnect");
      });
    }

    it("what was emitted before the disconnect arrives", async () => {
      const socket = await clients.connect();
      const received = collect(socket, "burst", 20);
      socket.emit("burst", 20, 4);
      socket.emit("disconnect-me", true);
      await received;
      if (socket.connected) await next(socket, "disconnect");
    });

    it("connecting again after a disconnect gives a new id", async () => {
      const socket = await clients.connect();
      const { id } = socket;
      const { engine } = socket.io;
      socket.disconnect();
      await server.disconnectReason(id);
      // Older clients mistake the end of the old engine for that of the new one.
      while (engine.readyState !== "closed") await delay(5);
      socket.connect();
      await next(socket, "connect");
      assert.notEqual(socket.id, id);
      assert.deepEqual(await ask(socket, "message-with-ack", "again"), ["again"]);
    });

    it("a reconnect after the server was restarted", async (t) => {
      const own = await Fixture.own(t, dialect.fixture);
      const options = { reconnection: true, reconnectionDelay: 30, reconnectionDelayMax: 100 };
      const socket = await new Clients(own, dialect, transport).connect("/quiet", options);
      if (transport === "upgrade") await upgraded(socket);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      await own.kill();
      const [reason] = await gone;
      assert.ok(["transport close", "transport error"].includes(reason), reason);
      // What is emitted in between is sent once, afterwards.
      const back = [];
      socket.on("message-back", (value) => back.push(value));
      socket.emit("message", "between");
      await own.restart();
      if (!socket.connected) await next(socket, "connect");
      assert.notEqual(socket.id, id);
      assert.deepEqual(await ask(socket, "message-with-ack", "after"), ["after"]);
      assert.deepEqual(back, ["between"]);
    });

    it("a heartbeat keeps an idle connection, and its absence ends it at the server", async (t) => {
      const own = await Fixture.own(t, { ...dialect.fixture, PING_INTERVAL: 300, PING_TIMEOUT: 1500 });
      const socket = await new Clients(own, dialect, transport).connect();
      let gone;
      socket.on("disconnect", (reason) => (gone = reason));
      await delay(1000);
      assert.equal(gone, undefined);
      assert.deepEqual(await ask(socket, "message-with-ack", 1), [1]);
      // The original forgets the timeout of a revision 3 session when it is upgraded. Nobody should depend on that.
      if (dialect.engine === 3 && transport === "upgrade") return;
      const { id } = socket;
      // A client that falls silent: the server is the one to notice.
      dialect.mute(socket.io.engine);
      assert.equal(await own.disconnectReason(id), "ping timeout");
    });
  });

  it(`the server shuts down, ${dialect.version}`, async (t) => {
    const own = await Fixture.own(t, dialect.fixture);
    const sockets = await Promise.all(
      Object.keys(TRANSPORTS).map((transport) => new Clients(own, dialect, transport).connect()),
    );
    await upgraded(sockets[2]);
    await delay(50);
    const ids = sockets.map(({ id }) => id);
    const gone = Promise.all(sockets.map((socket) => next(socket, "disconnect")));
    await own.close();
    for (const [reason] of await gone) assert.equal(reason, "transport close");
    for (const id of ids) assert.equal(await own.disconnectReason(id), "server shutting down");
  });
}

function upgrade(dialect) {
  describe(`upgrade under load, ${dialect.version}`, { concurrency: 2 }, () => {
    const server = Fixture.shared(dialect.fixture);
    const clients = new Clients(server, dialect, "upgrade");

    for (let round = 0; round < 6; round++) {
      it(`nothing is lost, doubled or reordered (${round})`, async () => {
        // The upgrade begins with the connection, so the load does as well.
        const socket = clients.open();
        const numbers = Array.from({ length: 400 }, (_, i) => i);
        const down = collect(socket, "burst", 400);
        const back = collect(socket, "message-back", 400);
        const acks = numbers.filter((i) => i % 20 === 0).map((i) => i);
        const answers = [];
        for (const i of numbers) {
          if (i % 50 === 0) socket.emit("burst", 50, 7);
          if (i % 20 === 0) answers.push(ask(socket, "message-with-ack", i));
          if (i % 9 === 0) socket.emit("message", i, Buffer.from([i & 255]));
          else socket.emit("message", i);
          // Spread over the time of the upgrade, a little differently in every round.
          if (i % (10 + round) === 0) await delay(3);
        }
        assert.deepEqual((await down).map(([i]) => i), numbers.map((i) => i % 50));
        assert.deepEqual((await back).map(([i]) => i), numbers);
        assert.deepEqual((await Promise.all(answers)).flat(), acks);
        await upgraded(socket);
        assert.deepEqual(await ask(socket, "message-with-ack", "done"), ["done"]);
      });
    }

    it("many clients at once", async () => {
      const sockets = await Promise.all(Array.from({ length: 20 }, () => clients.connect()));
      const received = sockets.map((socket) => collect(socket, "burst", 50));
      for (const socket of sockets) socket.emit("burst", 50, 0);
      for (const all of await Promise.all(received)) assert.deepEqual(all.map(([i]) => i), Array.from({ length: 50 }, (_, i) => i));
      await Promise.all(sockets.map(upgraded));
    });
  });
}

module.exports = { Clients, ask, collect, events, lifecycle, namespaces, next, overEachTransport, rooms, upgrade, upgraded };
