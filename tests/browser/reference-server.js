// The chat of examples/chat/PROTOCOL.md on the official Node.js server. The browser test runs against it by default, so
// that a red test against our own server is known to be the server's fault and not the page's.
//
// Deliberately absent: anything the event contract does not ask for.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { Server } = require("socket.io");

const PUBLIC = path.join(__dirname, "../../examples/chat/public");
const CLIENT = path.join(__dirname, "node_modules/socket.io-client/dist/socket.io.min.js");

const FILES = {
  "/": [path.join(PUBLIC, "index.html"), "text/html; charset=utf-8"],
  "/app.js": [path.join(PUBLIC, "app.js"), "text/javascript; charset=utf-8"],
  "/picture.js": [path.join(PUBLIC, "picture.js"), "text/javascript; charset=utf-8"],
  "/view.js": [path.join(PUBLIC, "view.js"), "text/javascript; charset=utf-8"],
  "/style.css": [path.join(PUBLIC, "style.css"), "text/css; charset=utf-8"],
  "/icon.svg": [path.join(PUBLIC, "icon.svg"), "image/svg+xml"],
  "/client/socket.io.min.js": [CLIENT, "text/javascript; charset=utf-8"],
};

const LOBBY = "lobby";
const MAX_ROOMS = 8;
const MAX_PICTURE_BYTES = 512 * 1024;
const PICTURE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const DELIVERY_TIMEOUT_MS = 5000;

const server = http.createServer((request, response) => {
  const file = FILES[new URL(request.url, "http://host").pathname];
  if (!file) {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("not found\n");
    return;
  }
  response.writeHead(200, { "Content-Type": file[1], "Cache-Control": "no-cache" }).end(fs.readFileSync(file[0]));
});
const io = new Server(server, { serveClient: false, perMessageDeflate: process.env.PER_MESSAGE_DEFLATE !== undefined });

/** Lower-case name -> { name, socket, rooms }, in order of arrival. */
const people = new Map();
let lastId = 0;

class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

io.on("connection", (socket) => {
  const count = () => io.emit("count", io.of("/").sockets.size);
  count();

  /** Registers a handler whose return value, or Refusal, is the acknowledgement. */
  const on = (event, handler) =>
    socket.on(event, async (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
      try {
        ack({ ok: true, ...(await handler(...args)) });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        ack({ ok: false, code: error.code, message: error.message });
      }
    });

  on("login", (rawName) => {
    if (socket.data.person) throw new Refusal("already_signed_in", "You are already signed in.");
    const name = checkName(rawName);
    const key = name.toLowerCase();
    const holder = people.get(key);
    if (holder && !sameTab(holder.socket, socket)) {
      throw new Refusal("name_taken", `Somebody here is already called ${holder.name}.`);
    }
    const person = { name, socket, rooms: new Set([LOBBY]) };
    if (holder) delete holder.socket.data.person;
    people.set(key, person);
    socket.data.person = person;
    socket.join(["members", `room:${LOBBY}`]);
    holder?.socket.disconnect(true);
    if (!holder) socket.to("members").emit("user joined", name);
    io.to("members").emit("rooms", rooms());
    return { name, users: [...people.values()].map((each) => each.name), rooms: rooms() };
  });

  on("join", (room) => {
    const me = signedIn(socket);
    checkRoom(room);
    if (!me.rooms.has(room)) {
      if (me.rooms.size >= MAX_ROOMS) {
        throw new Refusal("too_many_rooms", `You can be in ${MAX_ROOMS} rooms at a time. Leave one first.`);
      }
      me.rooms.add(room);
      socket.join(`room:${room}`);
      socket.to(`room:${room}`).emit("room joined", room, me.name);
      io.to("members").emit("rooms", rooms());
    }
    return { room };
  });

  on("leave", (room) => {
    const me = signedIn(socket);
    checkRoom(room);
    if (room === LOBBY) throw new Refusal("room_invalid", "Everybody stays in the lobby.");
    if (me.rooms.delete(room)) {
      socket.leave(`room:${room}`);
      io.to(`room:${room}`).emit("room left", room, me.name);
      io.to("members").emit("rooms", rooms());
    }
    return { room };
  });

  on("message", (target, rawText) => {
    const me = signedIn(socket);
    const to = resolve(me, target);
    const text = checkText(rawText);
    return deliver(to, "message", { ...stamp(me, to), text });
  });

  on("picture", (target, picture) => {
    const me = signedIn(socket);
    const to = resolve(me, target);
    const { name, type, data } = checkPicture(picture);
    return deliver(to, "picture", { ...stamp(me, to), name, type, data });
  });

  socket.on("typing", (target, typing) => {
    try {
      const me = signedIn(socket);
      if (typeof typing !== "boolean") return;
      const to = resolve(me, target);
      socket.to(to.room ?? to.socket.id).volatile.emit("typing", to.target, me.name, typing);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  });

  async function deliver(to, event, payload) {
    const answer = { id: payload.id, at: payload.at, delivered: false };
    if (to.room) {
      socket.to(to.room).emit(event, payload);
    } else {
      try {
        await to.socket.timeout(DELIVERY_TIMEOUT_MS).emitWithAck(event, payload);
        answer.delivered = true;
      } catch {
        // Not acknowledged in time: sent, but nobody knows whether it arrived.
      }
    }
    return answer;
  }

  socket.on("disconnect", (reason) => {
    count();
    const person = socket.data.person;
    if (!person) return;
    people.delete(person.name.toLowerCase());
    io.to("members").emit("user left", person.name, reason);
    io.to("members").emit("rooms", rooms());
  });
});

function rooms() {
  const members = new Map([[LOBBY, 0]]);
  for (const person of people.values()) {
    for (const room of person.rooms) members.set(room, (members.get(room) ?? 0) + 1);
  }
  const others = [...members.keys()].filter((name) => name !== LOBBY).sort();
  return [LOBBY, ...others].map((name) => ({ name, members: members.get(name) }));
}

function stamp(me, to) {
  return { id: ++lastId, at: Date.now(), from: me.name, target: to.target };
}

function sameTab(a, b) {
  const key = a.handshake.auth.key;
  return typeof key === "string" && key !== "" && [...key].length <= 64 && key === b.handshake.auth.key;
}

function signedIn(socket) {
  if (!socket.data.person) throw new Refusal("not_signed_in", "Pick a name first.");
  return socket.data.person;
}

function badRequest() {
  return new Refusal("bad_request", "The server did not understand that.");
}

function checkName(raw) {
  if (typeof raw !== "string") throw badRequest();
  const name = raw.trim();
  const length = [...name].length;
  if (length < 1 || length > 24 || /\p{Cc}/u.test(name)) {
    throw new Refusal("name_invalid", "A name has 1 to 24 characters.");
  }
  return name;
}

function checkRoom(room) {
  if (typeof room !== "string") throw badRequest();
  if (!/^[a-z0-9][a-z0-9-]{0,23}$/.test(room)) {
    throw new Refusal("room_invalid", "A room name has 1 to 24 letters a–z, digits and dashes.");
  }
}

function checkText(raw) {
  if (typeof raw !== "string") throw badRequest();
  const text = raw.trim();
  if (text === "") throw new Refusal("text_empty", "There is nothing to send.");
  if ([...text].length > 2000) throw new Refusal("text_too_long", "A message has at most 2000 characters.");
  return text;
}

function checkPicture(picture) {
  const { name, type, data } = picture ?? {};
  if (typeof name !== "string" || [...name].length > 100 || !Buffer.isBuffer(data)) throw badRequest();
  if (!PICTURE_TYPES.includes(type)) throw new Refusal("picture_type", "Only PNG, JPEG, GIF and WebP pictures can be sent.");
  if (data.length < 1 || data.length > MAX_PICTURE_BYTES) {
    throw new Refusal("picture_size", "A picture can have at most 512 KB.");
  }
  return { name, type, data };
}

/** Where a target's messages go: the target as the server spells it, and { room } or { socket }. */
function resolve(me, target) {
  const keys = target && typeof target === "object" ? Object.keys(target) : [];
  if (keys.length !== 1 || typeof target[keys[0]] !== "string") throw badRequest();
  if (keys[0] === "room") {
    if (!me.rooms.has(target.room)) throw new Refusal("not_in_room", `You are not in #${target.room}.`);
    return { target: { room: target.room }, room: `room:${target.room}` };
  }
  if (keys[0] !== "user") throw badRequest();
  const person = people.get(target.user.toLowerCase());
  if (!person || person === me) throw new Refusal("user_unknown", `${target.user} is not here.`);
  return { target: { user: person.name }, socket: person.socket };
}

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => console.log("ready"));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
