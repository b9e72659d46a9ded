// Every element of the page, and nothing of the connection. Whatever a person wrote goes in as text, never as markup.

const $ = (id) => document.getElementById(id);
const log = $("log");
const composer = $("text");

/** Connects the elements to what the chat can do; `to` is the set of functions it offers. */
export function bind(to) {
  $("name").value = to.name;
  $("name").focus();
  onSubmit("login", async () => {
    loginError("");
    const button = $("login").querySelector("button");
    button.disabled = true;
    await to.login($("name").value.trim());
    button.disabled = false;
  });

  onSubmit("room-form", async () => {
    const error = await to.joinRoom($("room-name").value);
    $("room-error").textContent = error ?? "";
    if (error !== null) return;
    toggleRoomForm(false);
    toggleDrawer(false);
  });
  $("room-new").addEventListener("click", () => toggleRoomForm($("room-form").hidden));
  $("room-form").addEventListener("keydown", (event) => event.key === "Escape" && toggleRoomForm(false));
  onPick("rooms", "room", to.openRoom);
  onPick("people", "user", to.openUser);
  $("room-leave").addEventListener("click", to.leaveRoom);
  $("me").addEventListener("click", (event) => event.target.closest("button") && to.leaveChat());

  const send = () => {
    if (!to.sendText(composer.value)) return;
    composer.value = "";
    composerChanged();
  };
  onSubmit("composer", send);
  composer.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  composer.addEventListener("input", () => {
    composeNote("");
    composerChanged();
    to.typing(composer.value);
  });
  bindPictures(to.sendPicture);

  log.addEventListener("scroll", () => {
    sticky = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    if (sticky) $("to-end").hidden = true;
  });
  $("to-end").addEventListener("click", scrollToEnd);
  $("banner-retry").addEventListener("click", () => retry?.());
  document.addEventListener("visibilitychange", () => document.hidden || to.visible());

  $("drawer-open").addEventListener("click", () => toggleDrawer(true));
  for (const id of ["drawer-close", "scrim"]) $(id).addEventListener("click", () => toggleDrawer(false));
  document.addEventListener("keydown", (event) => event.key === "Escape" && toggleDrawer(false));
  $("lightbox").addEventListener("click", () => $("lightbox").close());
}

function bindPictures(sendPicture) {
  $("attach").addEventListener("click", () => $("picture").click());
  $("picture").addEventListener("change", () => {
    const [file] = $("picture").files;
    $("picture").value = "";
    if (file) sendPicture(file);
  });
  composer.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (!file) return;
    event.preventDefault();
    sendPicture(file);
  });

  const talk = document.querySelector(".talk");
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  talk.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    $("drop").hidden = false;
  });
  talk.addEventListener("dragleave", (event) => {
    if (!talk.contains(event.relatedTarget)) $("drop").hidden = true;
  });
  talk.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    $("drop").hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) sendPicture(file);
  });
}

function onSubmit(id, action) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

function onPick(id, attribute, action) {
  $(id).addEventListener("click", (event) => {
    const row = event.target.closest("button");
    if (!row) return;
    toggleDrawer(false);
    action(row.dataset[attribute]);
  });
}

// ---------------------------------------------------------------- connection

const BADGES = {
  none: { icon: "offline", title: "Not connected" },
  offline: { icon: "offline", title: "Not connected. The client tries again by itself." },
  polling: { icon: "polling", text: "polling", title: "Transport in use: HTTP long-polling" },
  websocket: { icon: "bolt", text: "websocket", title: "Transport in use: WebSocket" },
};

/** `kind` is a transport, `offline` or `none`. */
export function setBadge(kind, text) {
  const badge = $("badge");
  if (badge.dataset.transport === kind && $("badge-text").textContent === text) return;
  const upgraded = badge.dataset.transport === "polling" && kind === "websocket";
  badge.dataset.transport = kind;
  badge.title = BADGES[kind].title;
  badge.querySelector("use").setAttribute("href", `#i-${BADGES[kind].icon}`);
  $("badge-text").textContent = BADGES[kind].text ?? text;
  badge.classList.toggle("upgraded", upgraded);
}

/** The number of connected sockets, or null when there is nobody to ask. */
export function setConnected(connected) {
  document.body.classList.toggle("connected", connected !== null);
  $("count").textContent = connected === null ? "not connected" : `${connected} connected`;
  const people = connected === 1 ? "You are the first one here" : `${connected} people are connected`;
  $("welcome-count").textContent = connected === null ? "The server cannot be reached. Trying again…" : people;
}

/** Whether this page is signed in on a live connection. */
export function setOnline(online) {
  document.body.classList.toggle("offline", !online);
  if (!online) setConnected(null);
}

let retry = null;

export function showBanner(text, action = null) {
  retry = action;
  $("banner").hidden = false;
  $("banner-text").textContent = text;
  $("banner-retry").hidden = action === null;
}

export function hideBanner() {
  $("banner").hidden = true;
}

export function loginError(text) {
  $("login-error").textContent = text;
  $("name").setAttribute("aria-invalid", String(text !== ""));
  if (text) $("name").focus();
}

/** From the welcome card to the chat. */
export function showChat(name) {
  $("welcome").hidden = true;
  $("chat").hidden = false;
  $("badge-slot").replaceWith($("badge"));
  $("me").replaceChildren(
    avatar(name),
    h("div", {}, h("strong", {}, h("bdi", {}, name)), h("small", {}, "Signed in")),
    h("button", { type: "button", class: "ghost", "aria-label": "Leave the chat", title: "Leave the chat" }, icon("leave")),
  );
}

// ---------------------------------------------------------------- lists

export function renderRooms(rooms) {
  renderList("rooms", rooms, ({ room }) => room, ({ room, members, joined, unread, current }) => ({
    data: { room },
    current,
    dim: !joined,
    label: [h("span", { class: "hash", "aria-hidden": "true" }, "#"), h("span", { class: "name" }, room)],
    end: unread > 0 ? unreadPill(unread) : h("span", { class: "tally" }, joined ? String(members) : "join"),
    title: joined ? `${members} in #${room}` : `Join #${room}, ${members} inside`,
  }));
}

export function renderPeople(people, total) {
  $("people-count").textContent = String(total);
  renderList("people", people, ({ user }) => user, ({ user, self, here, unread, current }) => ({
    data: { user },
    current,
    dim: !here,
    disabled: self,
    label: [avatar(user, here), h("span", { class: "name" }, h("bdi", {}, user))],
    end: self ? h("span", { class: "tally" }, "you") : unread > 0 ? unreadPill(unread) : icon("lock", "hint"),
    title: self ? "" : here ? `Write to ${user} privately` : `${user} is not here at the moment`,
  }));
  $("alone").hidden = people.length > 1;
}

/** Rows keep their element while they live, so that focus and transitions survive a refresh. */
function renderList(id, entries, keyOf, describe) {
  const list = $(id);
  const old = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const rows = entries.map((entry) => {
    const { data, current, dim, disabled = false, label, end, title } = describe(entry);
    const row = old.get(keyOf(entry)) ?? h("li", { "data-key": keyOf(entry) }, h("button", { type: "button" }));
    const button = row.firstElementChild;
    Object.assign(button.dataset, data);
    button.title = title;
    button.disabled = disabled;
    button.classList.toggle("dim", dim);
    if (current) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.replaceChildren(...label, end);
    return row;
  });
  if (rows.length !== list.children.length || rows.some((row, at) => list.children[at] !== row)) {
    list.replaceChildren(...rows);
  }
}

function unreadPill(unread) {
  return h("span", { class: "unread" }, String(unread), h("span", { class: "sr" }, " unread"));
}

/** All that is unread, in the window's title and on the button of the narrow layout. */
export function setUnread(unread) {
  document.title = unread > 0 ? `(${unread}) Chat` : "Chat";
  $("drawer-unread").hidden = unread === 0;
  $("drawer-unread").textContent = String(unread);
}

function toggleDrawer(open) {
  if ($("chat").classList.contains("drawer") === open) return;
  $("chat").classList.toggle("drawer", open);
  $("drawer-open").setAttribute("aria-expanded", String(open));
  $(open ? "drawer-close" : "drawer-open").focus();
}

function toggleRoomForm(open) {
  $("room-form").hidden = !open;
  $("room-new").setAttribute("aria-expanded", String(open));
  $("room-error").textContent = "";
  $("room-name").value = "";
  if (open) $("room-name").focus();
}

// ---------------------------------------------------------------- conversations

let shown = null;
let sticky = true;

const sizes = new ResizeObserver(() => sticky && scrollToEnd());
sizes.observe(log);

export function addConversation(conversation) {
  const { target, title } = conversation;
  const room = target.room !== undefined;
  conversation.typists = new Map();
  conversation.last = null;
  conversation.list = h(
    "ol",
    { class: "messages" },
    h("li", { class: "start" },
      room ? h("span", { class: "sign" }, "#") : avatar(title),
      h("strong", {}, h("bdi", {}, title)),
      h("p", {}, room
        ? "The beginning of this room. Messages live in this page only, until it is closed."
        : "The beginning of a private conversation. Nobody else receives these messages.")),
  );
}

export function removeConversation(conversation) {
  for (const item of conversation.list.children) release(item);
  stopTyping(conversation);
}

export function showConversation(conversation) {
  if (shown) {
    shown.scroll = sticky ? null : log.scrollTop;
    sizes.unobserve(shown.list);
  }
  shown = conversation;
  log.replaceChildren(conversation.list);
  sizes.observe(conversation.list);
  sticky = (conversation.scroll ?? null) === null;
  if (sticky) scrollToEnd();
  else log.scrollTop = conversation.scroll;
  $("to-end").hidden = true;
  composer.value = conversation.draft;
  composer.placeholder = `Message ${conversation.title}`;
  composeNote("");
  composerChanged();
  renderTyping();
  // On a phone the keyboard would cover what has just been opened.
  if (matchMedia("(pointer: fine)").matches) composer.focus();
  else log.focus({ preventScroll: true });
}

export function renderHead({ target, title }, subtitle, leavable) {
  const room = target.room !== undefined;
  $("title").replaceChildren(room ? h("span", { class: "hash" }, "#") : avatar(title), h("bdi", {}, room ? target.room : title));
  $("subtitle").textContent = subtitle;
  $("room-leave").hidden = !leavable;
}

export function draft() {
  return composer.value;
}

/** A line about the chat itself; `name` is who did it. */
export function addNotice(conversation, words, name = null) {
  const text = name === null ? [words] : [h("bdi", { class: "who" }, name), ` ${words}`];
  append(conversation, h("li", { class: "notice" }, h("span", {}, ...text)), false);
  conversation.last = null;
  if (name !== null && conversation === shown) announce(null, name, words);
}

/** Returns the handle by which the sender's copy shows how far it has come. */
export function addMessage(conversation, message) {
  return addBubble(conversation, message, h("span", { class: "text" }, message.text));
}

export function addPicture(conversation, picture) {
  const url = URL.createObjectURL(new Blob([picture.data], { type: picture.type }));
  const image = h("img", { src: url, alt: picture.name ? `Picture: ${picture.name}` : "Picture" });
  const button = h("button", { type: "button", class: "picture", title: "Show larger" }, image);
  image.addEventListener("error", () => button.replaceWith(h("span", { class: "text" }, "This picture cannot be shown.")));
  button.addEventListener("click", () => {
    $("lightbox-image").src = url;
    $("lightbox-image").alt = image.alt;
    $("lightbox").showModal();
  });
  return addBubble(conversation, picture, button);
}

function addBubble(conversation, { from, at, mine }, content) {
  const { last } = conversation;
  const follows = last?.from === from && at - last.at < GROUP_MS;
  const state = h("span", { class: "state" });
  const meta = h("span", { class: "meta" }, h("time", { datetime: new Date(at).toISOString() }, clock(at)), mine ? state : "");
  const row = h(
    "li",
    { class: `message${mine ? " mine" : ""}${follows ? " follows" : ""}`, "data-from": from },
    mine || follows ? "" : avatar(from),
    h("div", { class: "stack" },
      mine || follows ? "" : h("span", { class: "author" }, h("bdi", {}, from)),
      h("div", { class: "bubble" }, content, meta)),
  );
  row.style.setProperty("--hue", hue(from));
  conversation.last = { from, at };
  append(conversation, row, mine);
  return mine ? progress(row, state) : null;
}

function progress(row, state) {
  const show = (name, glyph, label) => {
    row.dataset.state = name;
    const mark = icon(glyph);
    mark.removeAttribute("aria-hidden");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", label);
    state.title = label;
    state.replaceChildren(mark);
    row.querySelector(".failure")?.remove();
  };
  const handle = {
    sending: () => show("sending", "clock", "Not yet sent"),
    sent({ delivered }) {
      if (delivered) show("delivered", "ticks", "Delivered: the other page has confirmed it");
      else show("sent", "tick", "Sent: the server has confirmed it");
    },
    failed(reason, again) {
      show("failed", "alert", "Not sent");
      const button = h("button", { type: "button" }, "Try again");
      button.addEventListener("click", again);
      row.querySelector(".stack").append(h("p", { class: "failure", role: "alert" }, `Not sent. ${reason} `, button));
    },
  };
  handle.sending();
  return handle;
}

function append(conversation, row, mine) {
  const { list } = conversation;
  const here = conversation === shown;
  list.append(row);
  while (list.children.length > MAX_ITEMS) {
    release(list.firstElementChild);
    list.firstElementChild.remove();
  }
  if (!here) return;
  if (mine || sticky) scrollToEnd();
  else if (row.classList.contains("message")) $("to-end").hidden = false;
}

function release(item) {
  const image = item.querySelector(".picture img");
  if (image) URL.revokeObjectURL(image.src);
}

function scrollToEnd() {
  sticky = true;
  log.scrollTop = log.scrollHeight;
  $("to-end").hidden = true;
}

// ---------------------------------------------------------------- typing

/** Ends by itself after `expires` milliseconds, should the word that it is over be lost. */
export function startTyping(conversation, name, expires) {
  clearTimeout(conversation.typists.get(name));
  conversation.typists.set(name, setTimeout(() => stopTyping(conversation, name), expires));
  renderTyping();
}

/** Without a name: nobody types any more. */
export function stopTyping(conversation, name) {
  for (const each of name === undefined ? [...conversation.typists.keys()] : [name]) {
    clearTimeout(conversation.typists.get(each));
    conversation.typists.delete(each);
  }
  renderTyping();
}

function renderTyping() {
  const names = shown ? [...shown.typists.keys()] : [];
  $("typing").classList.toggle("on", names.length > 0);
  const who = names.slice(0, 2).flatMap((name, at) => [at > 0 ? " and " : "", h("bdi", {}, name)]);
  const words = names.length === 0 ? [] : names.length > 2 ? ["Several people are typing"] : [...who, names.length > 1 ? " are typing" : " is typing"];
  $("typing-text").replaceChildren(...words);
}

// ---------------------------------------------------------------- composer

export function composeNote(text) {
  $("compose-note").textContent = text;
}

function composerChanged() {
  composer.style.height = "auto";
  composer.style.height = `${composer.scrollHeight}px`;
  $("send").disabled = composer.value.trim() === "";
}

// ---------------------------------------------------------------- small things

/** For screen readers; `place` is null when it is the conversation on the screen. */
export function announce(place, name, words) {
  $("announce").textContent = place === null ? `${name}: ${words}` : `${name}, in ${place}: ${words}`;
}

function avatar(name, here = null) {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0] ?? "?"];
  const initials = letters.map((word) => [...word][0].toUpperCase()).join("");
  const element = h("span", { class: `avatar${here === null ? "" : here ? " here" : " gone"}`, "aria-hidden": "true" }, initials);
  element.style.setProperty("--hue", hue(name));
  return element;
}

/** The same colour for the same name in every window. */
function hue(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return String((hash * 137) % 360);
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function icon(name, extra = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${extra}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const GROUP_MS = 4 * 60 * 1000;
const MAX_ITEMS = 500; // per conversation: the page's memory is bounded
