// REFERENCE 1.9, RFC 7692: compressed websockets.
"use strict";

const assert = require("node:assert/strict");
const { describe, it } = require("node:test");
const zlib = require("node:zlib");
const { Clients, next } = require("../../support/client-suite");
const v4 = require("../../support/dialects")("v4");
const { Fixture } = require("../../support/fixture");
const { frame, tcp, upgradeRequest } = require("../../support/raw");

const NAME = "permessage-deflate";
const query = { EIO: 4, transport: "websocket" };

// The answer to a request with these offers: its status and the parameters that were agreed on, sorted.
async function answer(server, offers) {
  const headers = { "Sec-WebSocket-Extensions": offers };
  const { socket, ended } = tcp(server, upgradeRequest(query, { headers }));
  socket.once("data", () => socket.end());
  const response = await ended;
  const extensions = /\r\nsec-websocket-extensions: (.*)\r\n/i.exec(response)?.[1];
  return [Number(response.slice(9, 12)), extensions?.split(/; ?/).sort()];
}

describe("permessage-deflate, negotiation", { concurrency: 4 }, () => {
  for (const [option, offers, expected] of [
    [{}, NAME, []],
    [{}, `${NAME}; client_max_window_bits`, []],
    [{}, `${NAME}; client_max_window_bits=11`, ["client_max_window_bits=11"]],
    [{}, `${NAME}; server_max_window_bits=10`, ["server_max_window_bits=10"]],
    [{}, `${NAME};server_max_window_bits="10"`, ["server_max_window_bits=10"]],
    [{}, `${NAME}; server_no_context_takeover; client_no_context_takeover`, ["client_no_context_takeover", "server_no_context_takeover"]],
    [{}, `other; a=1, ${NAME}`, []],
    [{ serverNoContextTakeover: true }, NAME, ["server_no_context_takeover"]],
    [{ clientNoContextTakeover: true }, NAME, ["client_no_context_takeover"]],
    [{ serverMaxWindowBits: 9 }, NAME, ["server_max_window_bits=9"]],
    [{ serverMaxWindowBits: 9 }, `${NAME}; server_max_window_bits=12`, ["server_max_window_bits=9"]],
    [{ clientMaxWindowBits: 10 }, `${NAME}; client_max_window_bits`, ["client_max_window_bits=10"]],
    [{ clientMaxWindowBits: 10 }, `${NAME}, ${NAME}; client_max_window_bits`, ["client_max_window_bits=10"]],
  ]) {
    it(`${offers} ${JSON.stringify(option)}`, async (t) => {
      const server = await Fixture.own(t, { PER_MESSAGE_DEFLATE: JSON.stringify(option) });
      assert.deepEqual(await answer(server, offers), [101, [...expected, NAME].sort()]);
    });
  }

  it("an offer may be of something else, or not be wanted", async (t) => {
    const server = await Fixture.own(t, { PER_MESSAGE_DEFLATE: "true" });
    assert.deepEqual(await answer(server, "x-webkit-deflate-frame"), [101, undefined]);
    assert.deepEqual(await answer(await Fixture.own(t), NAME), [101, undefined]);
  });

  it("what cannot be read is refused", async (t) => {
    const server = await Fixture.own(t, { PER_MESSAGE_DEFLATE: "true" });
    for (const offers of ["", ",", `${NAME};`, `${NAME}; a="b`, `${NAME}; a b`]) {
      assert.deepEqual(await answer(server, offers), [400, undefined], offers);
    }
  });
});

// Counts the compressed messages of a client, which must be on a websocket: `ws` asks its extension for nothing else.
function watch(socket) {
  const deflate = socket.io.engine.transport.ws._extensions[NAME];
  const count = { received: 0, sent: 0 };
  const wrap = (name, key) => {
    const original = deflate[name];
    deflate[name] = (...args) => {
      count[key]++;
      return original.apply(deflate, args);
    };
  };
  wrap("decompress", "received");
  wrap("compress", "sent");
  return count;
}

for (const [what, option, client] of [
  ["with windows that are kept", { threshold: 1 }, { threshold: 1 }],
  ["without", { threshold: 1, serverNoContextTakeover: true, clientNoContextTakeover: true }, { threshold: 1 }],
  ["with small windows", { threshold: 1, serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, { threshold: 1 }],
]) {
  describe(`permessage-deflate, ${what}`, { concurrency: 4 }, () => {
    const server = Fixture.shared({ PER_MESSAGE_DEFLATE: JSON.stringify(option) });
    for (const transport of ["websocket", "upgrade"]) {
      const clients = new Clients(server, v4, transport);
      const connect = async () => {
        const socket = await clients.connect("/quiet", { perMessageDeflate: client });
        while (socket.io.engine.transport.name !== "websocket") await new Promise((done) => setTimeout(done, 5));
        return [socket, watch(socket)];
      };

      it(`text and binary of 100 kB, ${transport}`, async () => {
        const [socket, count] = await connect();
        const text = Array.from({ length: 10_000 }, (_, i) => ((i * i) % 9973) + 10_000).join("-").slice(0, 100_000);
        const value = { text, data: Buffer.from(text), zeros: Buffer.alloc(100_000) };
        assert.deepEqual(await socket.emitWithAck("message-with-ack", value), value);
        assert.deepEqual(count, { received: 3, sent: 3 });
      });

      it(`many small messages, ${transport}`, async () => {
        const [socket, count] = await connect();
        const heard = [];
        socket.on("message-back", (n, text) => heard.push([n, text]));
        const text = "words that come again, words that come again, words that come again";
        for (let n = 0; n < 300; n++) socket.emit("message", n, text);
        await socket.emitWithAck("message-with-ack", text);
        assert.deepEqual(heard, Array.from({ length: 300 }, (_, n) => [n, text]));
        assert.deepEqual(count, { received: 301, sent: 301 });
      });
    }

    it("a client that does not offer it", async () => {
      const socket = await new Clients(server, v4, "websocket").connect("/quiet", { perMessageDeflate: false });
      const text = "x".repeat(10_000);
      assert.equal(await socket.emitWithAck("message-with-ack", text), text);
    });

    it("a broadcast", async () => {
      const all = await Promise.all(
        Array.from({ length: 5 }, () => new Clients(server, v4, "websocket").connect("/quiet", { perMessageDeflate: client })),
      );
      const room = `deflated ${what}`;
      await Promise.all(all.map((socket) => socket.emitWithAck("join", room)));
      const counts = all.map(watch);
      const text = "to everybody ".repeat(100);
      const news = all.map((socket) => next(socket, "news"));
      await all[0].emitWithAck("send-to", { from: "namespace", to: [room] }, [text]);
      assert.deepEqual(await Promise.all(news), Array(5).fill([text]));
      assert.ok(counts.every(({ received }) => received > 0), JSON.stringify(counts));
    });
  });
}

const deflated = (data) => zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);

describe("permessage-deflate, faults", { concurrency: 4 }, () => {
  const server = Fixture.shared({ PER_MESSAGE_DEFLATE: "true", MAX_HTTP_BUFFER_SIZE: 10_000 });
  const text = deflated(Buffer.from("40/quiet,".repeat(5)));
  for (const [what, frames, code] of [
    ["a message that grows over the limit", [frame(2, deflated(Buffer.alloc(20_000)), { rsv: 4 })], 1009],
    ["what is no compressed data", [frame(1, Buffer.alloc(9, 255), { rsv: 4 })], 1007],
    ["text that is none", [frame(1, deflated(Buffer.alloc(40, 255)), { rsv: 4 })], 1007],
    ["RSV1 on a ping", [frame(9, "", { rsv: 4 })], 1002],
    ["RSV1 on a continuation", [frame(1, text.subarray(0, 3), { rsv: 4, fin: false }), frame(0, text.subarray(3), { rsv: 4 })], 1002],
    ["RSV1 in an uncompressed message", [frame(1, "4", { fin: false }), frame(0, text, { rsv: 4 })], 1002],
    ["a message amid another", [frame(1, text.subarray(0, 3), { rsv: 4, fin: false }), frame(1, "4a")], 1002],
    ["RSV2", [frame(1, text, { rsv: 6 })], 1002],
  ]) {
    it(what, async () => {
      const { socket, ended } = tcp(server, upgradeRequest(query, { headers: { "Sec-WebSocket-Extensions": NAME } }));
      await new Promise((resolve) => socket.once("data", resolve));
      socket.write(Buffer.concat(frames));
      // Answered, so that the server need not wait.
      socket.write(frame(8, [code >> 8, code & 255]));
      const close = `\x88\x02${String.fromCharCode(code >> 8, code & 255)}`;
      assert.ok((await ended).endsWith(close), what);
    });
  }

  it("a compressed message in fragments, with a ping amid them", async () => {
    const { socket, ended } = tcp(server, upgradeRequest(query, { headers: { "Sec-WebSocket-Extensions": NAME } }));
    await new Promise((resolve) => socket.once("data", resolve));
    const connect = deflated("40/quiet,");
    socket.write(frame(1, connect.subarray(0, 2), { rsv: 4, fin: false }));
    socket.write(frame(9, "?"));
    socket.write(frame(0, connect.subarray(2)));
    let heard = "";
    await new Promise((resolve) =>
      socket.on("data", (data) => {
        heard += data.toString("latin1");
        // A pong, and an answer, which may be compressed.
        if (heard.includes("\x8a\x01?") && /[\x81\xc1][^]*$/.test(heard.split("\x8a\x01?")[1])) resolve();
      }),
    );
    socket.write(frame(8, ""));
    await ended;
  });
});
