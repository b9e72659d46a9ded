// How the versions of the official client differ where the common tests touch them:
// version, io      name and constructor
// options, fixture of the client and of the server that it needs
// engine           revision of Engine.IO
// refusal          event of a refused CONNECT; assertRefused(argument of that event, message, data)
// withAuth(data)   options that carry auth data
// mute(engine)     makes the client silent, and keeps it from noticing anything itself
// numbers          further numbers that survive the parser; largestText: characters that fit into one message
"use strict";

const assert = require("node:assert/strict");

// Socket.IO protocol v5: the error of a refusal has the data in it, auth data goes into the CONNECT packet.
const modern = {
  engine: 4,
  refusal: "connect_error",
  assertRefused: (err, message, data) => assert.deepEqual([err.message, err.data], [message, data]),
  withAuth: (auth) => ({ auth }),
  mute: (engine) => (engine.transport.send = () => {}),
  numbers: [1e21],
  largestText: 999_900,
};

const dialects = {
  v4: () => ({ ...modern, version: "client 4", io: require("socket.io-client").io }),

  v3: () => ({ ...modern, version: "client 3", io: require("socket.io-client-3").io }),

  msgpack: () => ({
    ...modern,
    version: "client 4 with msgpack",
    io: require("socket.io-client").io,
    options: { parser: require("socket.io-msgpack-parser") },
    fixture: { PARSER: "msgpack" },
    // Integers of more than 64 bits are garbled by notepack; over polling every packet is base64.
    numbers: [],
    largestText: 740_000,
  }),

  // Socket.IO protocol v4 over Engine.IO v3: a refusal is the data alone or else the message, auth data is the query.
  v2: () => ({
    version: "client 2",
    io: require("socket.io-client-2"),
    engine: 3,
    fixture: { ALLOW_EIO3: true },
    refusal: "error",
    assertRefused: (packet, message, data) => assert.deepEqual(packet, data ?? message),
    withAuth: (query) => ({ query }),
    // It pings by itself, and gives up by itself when there is no answer.
    mute: (engine) => {
      engine.ping = engine.setPing = () => {};
      clearTimeout(engine.pingIntervalTimer);
      clearTimeout(engine.pingTimeoutTimer);
    },
    numbers: [1e21],
    largestText: 999_900,
  }),
};

module.exports = (name) => dialects[name]();
