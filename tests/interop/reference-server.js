// The fixture of FIXTURE.md on the official packages. What passes here is what "like the original" means.
"use strict";

const { createServer } = require("node:http");
const readline = require("node:readline");
const { Server } = require("socket.io");

const env = process.env;
const number = (name) => (env[name] ? Number(env[name]) : undefined);
const json = (name) => (env[name] ? JSON.parse(env[name]) : undefined);
const print = (line) => process.stdout.write(line + "\n");

const defined = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

const httpServer = createServer((_req, res) => res.writeHead(404).end());
const io = new Server(
  httpServer,
  defined({
    // The bundles are always its own: those of the same version.
    serveClient: env.SERVE_CLIENT !== undefined,
    pingInterval: number("PING_INTERVAL"),
    pingTimeout: number("PING_TIMEOUT"),
    connectTimeout: number("CONNECT_TIMEOUT"),
    upgradeTimeout: number("UPGRADE_TIMEOUT"),
    maxHttpBufferSize: number("MAX_HTTP_BUFFER_SIZE"),
    transports: env.TRANSPORTS?.split(","),
    allowUpgrades: json("ALLOW_UPGRADES"),
    allowEIO3: json("ALLOW_EIO3"),
    cors: env.CORS_ORIGIN ? { origin: json("CORS_ORIGIN"), credentials: json("CORS_CREDENTIALS") ?? false } : undefined,
    cookie: json("COOKIE"),
    perMessageDeflate: json("PER_MESSAGE_DEFLATE"),
    connectionStateRecovery: env.RECOVERY ? { maxDisconnectionDuration: number("RECOVERY") } : undefined,
    cleanupEmptyChildNamespaces: json("CLEANUP_EMPTY_CHILD_NAMESPACES"),
    parser: env.PARSER === "msgpack" ? require("socket.io-msgpack-parser") : undefined,
  }),
);

io.engine.on("connection_error", ({ code, message, context }) => {
  print(JSON.stringify({ connection_error: { code, message, name: context?.name } }));
});

// The operator a test asks for: {from: "namespace" | "socket", to, except, volatile, timeout}.
function operator(socket, { from, to, except, volatile, timeout }) {
  let target = from === "socket" ? socket.broadcast : socket.nsp.except([]);
  for (const room of to ?? []) target = target.to(room);
  for (const room of except ?? []) target = target.except(room);
  if (volatile) target = target.volatile;
  if (timeout) target = target.timeout(timeout);
  return target;
}

function onConnection(socket) {
  socket.on("disconnect", (reason) => {
    print(JSON.stringify({ disconnect: { nsp: socket.nsp.name, id: socket.id, reason } }));
  });

  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-uncompressed", (...args) => socket.compress(false).emit("message-back", ...args));
  socket.on("message-volatile", (...args) => socket.volatile.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("burst", (count, binaryEvery) => {
    for (let i = 0; i < count; i++) {
      if (binaryEvery && i % binaryEvery === 0) socket.emit("burst", i, Buffer.from([i & 255]));
      else socket.emit("burst", i);
    }
  });

  socket.on("ask", (timeout, ...args) => {
    socket.timeout(timeout).emit("question", ...args, (err, ...answers) => {
      socket.emit("answered", err ? err.message : null, ...answers);
    });
  });
  socket.on("ask-promise", async (timeout, ...args) => {
    const answer = await socket.timeout(timeout).emitWithAck("question", ...args);
    socket.emit("answered", null, answer);
  });

  socket.on("join", async (rooms, ack) => {
    await socket.join(rooms);
    ack([...socket.rooms].sort());
  });
  socket.on("leave", async (room, ack) => {
    await socket.leave(room);
    ack([...socket.rooms].sort());
  });
  socket.on("send-to", (target, args, ack) => {
    operator(socket, target).emit("news", ...args);
    ack();
  });
  socket.on("ask-all", (target, args, ack) => {
    operator(socket, target).emit("question", ...args, (err, answers) => ack(err ? err.message : null, answers));
  });
  socket.on("fetch", async (target, ack) => {
    const sockets = await operator(socket, target).fetchSockets();
    ack(sockets.map(({ id, rooms, data }) => ({ id, rooms: [...rooms].sort(), data })));
  });
  socket.on("sockets-join", (target, room, ack) => {
    operator(socket, target).socketsJoin(room);
    ack();
  });
  socket.on("sockets-leave", (target, room, ack) => {
    operator(socket, target).socketsLeave(room);
    ack();
  });
  socket.on("disconnect-sockets", (target, close) => operator(socket, target).disconnectSockets(close));
  socket.on("set-data", (data, ack) => {
    socket.data = data;
    ack();
  });

  socket.on("whoami", (ack) => {
    const { headers, query, auth, address, secure, xdomain, issued, url, time } = socket.handshake;
    ack({
      id: socket.id,
      transport: socket.conn.transport.name,
      recovered: socket.recovered,
      data: socket.data,
      handshake: { headers, query, auth, address, secure, xdomain, issued, url, time },
    });
  });
  socket.on("disconnect-me", (close) => socket.disconnect(close));
}

function onConnectionWithAuth(socket) {
  onConnection(socket);
  socket.emit("auth", socket.handshake.auth);
}

function refusal(message, data) {
  const err = new Error(message);
  if (data !== undefined) err.data = data;
  return err;
}

io.on("connection", onConnectionWithAuth);
io.of("/custom").on("connection", onConnectionWithAuth);
io.of("/quiet").on("connection", onConnection);

io.of("/auth")
  .use((socket, next) => {
    const { token } = socket.handshake.auth;
    if (token === "secret") {
      socket.data.user = "alice";
      next();
    } else if (token === "plain") {
      next(refusal("plain refusal"));
    } else {
      next(refusal("not authorized", { code: 401, hint: "bring a token" }));
    }
  })
  .on("connection", onConnection);

io.of("/slow")
  .use((_socket, next) => setTimeout(next, 200))
  .on("connection", onConnection);

io.of("/early")
  .use((socket, next) => {
    socket.emit("early", "before CONNECT");
    next();
  })
  .on("connection", onConnection);

io.of("/checked")
  .use((socket, next) => {
    socket.use(([event], done) => (event === "forbidden" ? done(refusal("forbidden event")) : done()));
    next();
  })
  .on("connection", (socket) => {
    socket.onAny((event) => socket.emit("seen", event));
    socket.on("error", (err) => socket.emit("failed", err.message));
    onConnection(socket);
    socket.on("forbidden", () => socket.emit("handled"));
  });

io.of(/^\/dynamic-\d+$/).on("connection", onConnection);

function stats() {
  const namespaces = [...io._nsps.values()];
  const total = (count) => namespaces.reduce((sum, nsp) => sum + count(nsp), 0);
  return {
    engines: io.engine.clientsCount,
    sockets: total((nsp) => nsp.sockets.size),
    rooms: total((nsp) => nsp.adapter.rooms.size),
  };
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (command) => {
    if (command === "stats") print(JSON.stringify({ stats: stats() }));
    if (command === "close") io.close(() => print(JSON.stringify({ closed: true })));
  })
  .on("close", () => process.exit());

httpServer.listen(number("PORT") ?? 0, "127.0.0.1", () => print(`ready ${httpServer.address().port}`));
