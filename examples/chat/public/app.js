// The chat: what is known, what is sent, what arrives. The events are those of PROTOCOL.md; every element is view.js's.
//
// History lives here only, one list per room and per person, until the page is closed.

import { PictureError, preparePicture } from "./picture.js";
import * as view from "./view.js";

const CLIENT = [
  { src: "/client/socket.io.min.js" },
  {
    src: "https://cdn.jsdelivr.net/npm/socket.io-client@4.8.4/dist/socket.io.min.js",
    integrity: "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1",
    crossOrigin: "anonymous",
  },
];
const LOBBY = "lobby";
const MAX_TEXT = 2000;
const MAX_NAME = 24;
const ROOM_NAME = /^[a-z0-9][a-z0-9-]{0,23}$/;
const ACK_TIMEOUT_MS = 20_000; // above the 5 s the server itself waits for a private message
const PICTURE_ACK_TIMEOUT_MS = 60_000;
const TYPING_REPEAT_MS = 2_000;
const TYPING_IDLE_MS = 3_000;
const TYPING_EXPIRES_MS = 5_000; // longer than the repeat: a "stopped typing" that is lost clears itself

const state = {
  me: null, // my name, from the first successful login on
  online: false, // signed in on the present connection
  users: new Set(),
  rooms: new Map(), // room name -> members
  joined: new Set([LOBBY]),
  conversations: new Map(), // "#room" or "@name" -> conversation
  current: null,
  outbox: [], // written while offline; the library's own buffer would be sent before the login
};

let socket;

main();

async function main() {
  view.setBadge("none", "connecting");
  bindView();
  try {
    await loadClient(CLIENT);
  } catch {
    view.setBadge("none", "no client");
    view.loginError("The Socket.IO client could not be loaded, neither from this server nor from the public CDN.");
    return;
  }
  connect();
}

async function loadClient([first, ...others]) {
  try {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.onload = resolve;
      script.onerror = () => {
        script.remove();
        reject(new Error(`${first.src} did not load`));
      };
      document.head.append(Object.assign(script, first));
    });
  } catch (error) {
    if (others.length === 0) throw error;
    await loadClient(others);
  }
}

// ---------------------------------------------------------------- connection

function connect() {
  socket = io({
    auth: { key: tabKey() },
    reconnectionDelayMax: 3000,
    ...wantedTransports(),
  });

  // Of the connection, not of the namespace on it: the upgrade may be over before the namespace is joined.
  socket.io.on("open", () => {
    const { engine } = socket.io;
    showTransport(engine.transport.name);
    engine.on("upgrade", (transport) => showTransport(transport.name));
  });
  socket.on("connect", () => {
    if (state.me) resume();
  });
  socket.on("disconnect", (reason) => {
    state.online = false;
    clearTyping();
    if (reason === "io client disconnect") return;
    const closedByServer = reason === "io server disconnect";
    view.setBadge("offline", closedByServer ? "disconnected" : "reconnecting");
    if (!state.me) return;
    view.setOnline(false);
    refreshLists();
    view.showBanner(
      closedByServer
        ? "The server closed this connection. Your name may be in use in another window."
        : "The connection is lost. Reconnecting…",
      closedByServer ? () => socket.connect() : null,
    );
  });
  socket.on("connect_error", () => {
    view.setBadge("offline", "reconnecting");
    view.setConnected(null);
  });
  socket.io.on("reconnect_attempt", (attempt) => {
    view.setBadge("offline", "reconnecting");
    if (state.me) {
      view.showBanner(`The connection is lost. Reconnecting, attempt ${attempt}… What you write is sent afterwards.`);
    }
  });

  for (const [event, handler] of Object.entries(INCOMING)) socket.on(event, handler);
}

function showTransport(name) {
  view.setBadge(name, name);
}

function wantedTransports() {
  const wanted = new URLSearchParams(location.search).get("transports");
  const transports = (wanted ?? "").split(",").filter((name) => ["polling", "websocket"].includes(name));
  return transports.length > 0 ? { transports } : {};
}

/** Lets this tab take its name back while the server still waits for the lost connection. */
function tabKey() {
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  try {
    const key = sessionStorage.getItem("key") ?? fresh();
    sessionStorage.setItem("key", key);
    return key;
  } catch {
    return fresh(); // storage is switched off
  }
}

/** Resolves to the answer; a missing one becomes an answer that says so. */
function ask(timeout, event, ...args) {
  return new Promise((resolve) => {
    socket.timeout(timeout).emit(event, ...args, (error, answer) => {
      resolve(error ? { ok: false, code: "no_answer", message: "The server did not answer." } : answer);
    });
  });
}

// ---------------------------------------------------------------- signing in

async function login(name) {
  const length = [...name].length;
  if (length < 1 || length > MAX_NAME) {
    view.loginError(length < 1 ? "Type a name first." : `A name has at most ${MAX_NAME} characters.`);
    return;
  }
  if (!socket?.connected) {
    view.loginError("Not connected yet. One moment, then try again.");
    return;
  }
  const answer = await ask(ACK_TIMEOUT_MS, "login", name);
  if (!answer.ok) {
    view.loginError(answer.message);
    return;
  }
  state.me = answer.name;
  remember(answer.name);
  take(answer);
  goOnline();
  view.showChat(state.me);
  open(conversationOf({ room: LOBBY }));
}

function take({ users, rooms }) {
  state.users = new Set(users);
  setRooms(rooms);
}

function goOnline() {
  state.online = true;
  view.setOnline(true);
  refreshLists();
}

/** After a reconnection the server knows nothing of us any more: first the name, then the rooms, then what has waited. */
async function resume() {
  const answer = await ask(ACK_TIMEOUT_MS, "login", state.me);
  if (!answer.ok) {
    if (!socket.connected) return; // the next connection tries again
    view.showBanner(answer.message, () => location.reload());
    return;
  }
  take(answer);
  for (const room of [...state.joined].filter((room) => room !== LOBBY)) {
    const joined = await ask(ACK_TIMEOUT_MS, "join", room);
    if (!socket.connected) return;
    if (!joined.ok) state.joined.delete(room);
  }
  goOnline();
  view.hideBanner();
  view.addNotice(state.current, "Connected again");
  for (const job of state.outbox.splice(0)) transmit(job);
}

/** Says goodbye, and starts afresh when the goodbye is out: a reload would cut it off. */
function leaveChat() {
  const { engine } = socket.io;
  if (!socket.connected) {
    location.reload();
    return;
  }
  engine.once("close", () => location.reload());
  socket.disconnect();
}

function remember(name) {
  try {
    localStorage.setItem("name", name);
  } catch {
    // storage is switched off: the name is typed again next time
  }
}

// ---------------------------------------------------------------- what arrives

const INCOMING = {
  count(connected) {
    view.setConnected(connected);
  },

  "user joined"(name) {
    if (state.users.has(name)) return;
    state.users.add(name);
    refreshLists();
    notice(conversationOf({ room: LOBBY }), name, "has joined");
    const between = state.conversations.get(`@${name}`);
    if (between) notice(between, name, "is back");
  },

  "user left"(name, reason) {
    state.users.delete(name);
    for (const conversation of state.conversations.values()) view.stopTyping(conversation, name);
    refreshLists();
    const words = reason === "ping timeout" ? "has lost the connection" : "has left";
    notice(conversationOf({ room: LOBBY }), name, words);
    const between = state.conversations.get(`@${name}`);
    if (between) notice(between, name, words);
  },

  rooms(rooms) {
    setRooms(rooms);
    refreshLists();
  },

  "room joined"(room, name) {
    notice(conversationOf({ room }), name, "has joined the room");
  },

  "room left"(room, name) {
    notice(conversationOf({ room }), name, "has left the room");
  },

  message(message, acknowledge) {
    acknowledge?.();
    received(message, view.addMessage);
  },

  picture(picture, acknowledge) {
    acknowledge?.();
    received(picture, view.addPicture);
  },

  typing(target, from, on) {
    setTyping(target.user ? { user: from } : target, from, on);
  },
};

function received(message, add) {
  const conversation = conversationOf(message.target.user ? { user: message.from } : message.target);
  view.stopTyping(conversation, message.from);
  conversation.used = true;
  add(conversation, { ...message, mine: false });
  const seen = conversation === state.current && !document.hidden;
  if (!seen) conversation.unread += 1;
  view.announce(conversation === state.current ? null : conversation.title, message.from, message.text ?? "sent a picture");
  refreshLists();
}

function notice(conversation, name, words) {
  view.addNotice(conversation, words, name);
}

function setRooms(rooms) {
  state.rooms = new Map(rooms.map(({ name, members }) => [name, members]));
}

function setTyping(target, from, on) {
  const conversation = on ? conversationOf(target) : state.conversations.get(keyOf(target));
  if (on) view.startTyping(conversation, from, TYPING_EXPIRES_MS);
  else if (conversation) view.stopTyping(conversation, from);
}

function clearTyping() {
  for (const conversation of state.conversations.values()) view.stopTyping(conversation);
  typing.target = null;
  typing.repeatAt = 0;
}

// ---------------------------------------------------------------- conversations

function keyOf(target) {
  return target.room === undefined ? `@${target.user}` : `#${target.room}`;
}

function conversationOf(target) {
  const key = keyOf(target);
  let conversation = state.conversations.get(key);
  if (!conversation) {
    conversation = { key, target, title: target.room === undefined ? target.user : key, unread: 0, draft: "", used: false };
    state.conversations.set(key, conversation);
    view.addConversation(conversation);
  }
  return conversation;
}

function open(conversation) {
  stopTyping();
  if (state.current) state.current.draft = view.draft();
  state.current = conversation;
  conversation.unread = 0;
  view.showConversation(conversation);
  refreshLists();
}

async function joinRoom(rawName) {
  const room = rawName.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
  if (!ROOM_NAME.test(room)) {
    return "A room name has 1 to 24 letters a–z, digits and dashes.";
  }
  if (!state.joined.has(room)) {
    if (!state.online) return "Not connected at the moment.";
    const answer = await ask(ACK_TIMEOUT_MS, "join", room);
    if (!answer.ok) return answer.message;
    state.joined.add(room);
  }
  open(conversationOf({ room }));
  return null;
}

async function leaveRoom(conversation) {
  const { room } = conversation.target;
  const answer = await ask(ACK_TIMEOUT_MS, "leave", room);
  if (!answer.ok) {
    view.composeNote(answer.message);
    return;
  }
  state.joined.delete(room);
  if (state.current === conversation) open(conversationOf({ room: LOBBY }));
  state.conversations.delete(conversation.key);
  view.removeConversation(conversation);
  refreshLists();
}

function refreshLists() {
  if (!state.me) return;
  const unread = [...state.conversations.values()].reduce((sum, each) => sum + each.unread, 0);
  const entry = (key) => state.conversations.get(key);

  const roomNames = new Set([LOBBY, ...state.rooms.keys(), ...state.joined]);
  view.renderRooms(
    [...roomNames].map((room) => ({
      room,
      members: state.rooms.get(room) ?? 0,
      joined: state.joined.has(room),
      unread: entry(`#${room}`)?.unread ?? 0,
      current: state.current?.key === `#${room}`,
    })),
  );

  const gone = [...state.conversations.values()]
    .filter(({ target, used }) => used && target.user !== undefined && !state.users.has(target.user))
    .map(({ target }) => target.user);
  const others = [...state.users].filter((user) => user !== state.me);
  view.renderPeople(
    [state.me, ...others, ...gone].map((user) => ({
      user,
      self: user === state.me,
      here: state.users.has(user),
      unread: entry(`@${user}`)?.unread ?? 0,
      current: state.current?.key === `@${user}`,
    })),
    state.users.size,
  );
  view.setUnread(unread);
  if (state.current) view.renderHead(state.current, describe(state.current), canLeave(state.current));
}

function describe({ target }) {
  if (!state.online) return "Waiting for the connection";
  if (target.user !== undefined) {
    return state.users.has(target.user) ? "Private: only the two of you see this" : "Not here at the moment";
  }
  const members = state.rooms.get(target.room) ?? 0;
  return members <= 1 ? "Only you are here so far" : `${members} people in this room`;
}

function canLeave({ target }) {
  return target.room !== undefined && target.room !== LOBBY;
}

// ---------------------------------------------------------------- what is sent

function sendText(text) {
  const trimmed = text.trim();
  if (!trimmed) return false;
  const length = [...trimmed].length;
  if (length > MAX_TEXT) {
    view.composeNote(`A message has at most ${MAX_TEXT} characters; this one has ${length}.`);
    return false;
  }
  stopTyping();
  const conversation = state.current;
  const item = view.addMessage(conversation, { from: state.me, at: Date.now(), text: trimmed, mine: true });
  submit({ conversation, item, timeout: ACK_TIMEOUT_MS, event: "message", args: [conversation.target, trimmed] });
  return true;
}

async function sendPicture(file) {
  const conversation = state.current;
  view.composeNote("");
  try {
    const picture = await preparePicture(file);
    const item = view.addPicture(conversation, { from: state.me, at: Date.now(), mine: true, ...picture });
    submit({ conversation, item, timeout: PICTURE_ACK_TIMEOUT_MS, event: "picture", args: [conversation.target, picture] });
  } catch (error) {
    if (!(error instanceof PictureError)) throw error;
    view.composeNote(error.message);
  }
}

function submit(job) {
  job.conversation.used = true;
  if (state.online) transmit(job);
  else state.outbox.push(job);
}

async function transmit(job) {
  job.item.sending();
  const answer = await ask(job.timeout, job.event, ...job.args);
  if (answer.ok) job.item.sent(answer);
  else job.item.failed(answer.message, () => submit(job));
}

const typing = { target: null, repeatAt: 0, idle: undefined };

function noteTyping(text) {
  if (text.trim() === "" || !state.online) {
    stopTyping();
    return;
  }
  if (performance.now() >= typing.repeatAt) {
    typing.target = state.current.target;
    typing.repeatAt = performance.now() + TYPING_REPEAT_MS;
    socket.volatile.emit("typing", typing.target, true);
  }
  clearTimeout(typing.idle);
  typing.idle = setTimeout(stopTyping, TYPING_IDLE_MS);
}

function stopTyping() {
  clearTimeout(typing.idle);
  if (typing.target && state.online) socket.volatile.emit("typing", typing.target, false);
  typing.target = null;
  typing.repeatAt = 0;
}

// ---------------------------------------------------------------- what the person does

function bindView() {
  let name = "";
  try {
    name = localStorage.getItem("name") ?? "";
  } catch {
    // storage is switched off
  }
  view.bind({
    name,
    login,
    joinRoom,
    leaveRoom: () => leaveRoom(state.current),
    openRoom: (room) => joinRoom(room),
    openUser: (user) => open(conversationOf({ user })),
    sendText,
    sendPicture,
    typing: noteTyping,
    leaveChat,
    visible() {
      if (!state.current) return;
      state.current.unread = 0;
      refreshLists();
    },
  });
}
