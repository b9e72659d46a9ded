// What the browser test stands on: one server process, one Chromium, people who use the page as a person would.
// Knows the page's labels; knows nothing of events or packets.
"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { chromium } = require("playwright-core");

const ARTIFACTS = path.resolve(process.env.ARTIFACTS ?? path.join(__dirname, "../../artifacts"));
const SERVER_CMD = process.env.SERVER_CMD ?? `exec "${process.execPath}" "${path.join(__dirname, "reference-server.js")}"`;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const START_TIMEOUT_MS = 30_000;

/** A server on a port of its own, which it keeps over restarts. `SERVER_CMD` gets the port in PORT. */
class ServerProcess {
  static async start(env) {
    const server = new ServerProcess(await freePort(), env);
    await server.start();
    return server;
  }

  constructor(port, env) {
    this.port = port;
    this.env = env;
    this.url = `http://127.0.0.1:${port}/`;
  }

  async start() {
    this.output = "";
    // A process group of its own: SERVER_CMD runs in a shell, and stopping has to reach what the shell started.
    this.child = spawn(SERVER_CMD, {
      shell: true,
      detached: true,
      env: { ...process.env, ...this.env, PORT: String(this.port) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.gone = new Promise((resolve) => this.child.once("exit", resolve));
    let exited = false;
    this.gone.then(() => (exited = true));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (data) => (this.output += data));

    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.answers())) {
      if (exited || Date.now() > deadline) {
        await this.stop();
        throw new Error(`the server did not start: ${SERVER_CMD}\n${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async answers() {
    try {
      return (await fetch(this.url)).ok;
    } catch {
      return false;
    }
  }

  /** Without a farewell: the pages have to notice by themselves. */
  async stop() {
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // already gone
    }
    await this.gone;
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function launch() {
  return chromium.launch({
    executablePath: CHROMIUM, // with a new, empty profile each time
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** One person: a window of their own, with nothing shared with the others. */
class Person {
  static async visit(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const person = new Person(context, page);
    await options.prepare?.(page);
    await page.goto(url);
    return person;
  }

  constructor(context, page) {
    this.context = context;
    this.page = page;
    this.faults = [];
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && /Content Security Policy|Uncaught/.test(message.text())) this.faults.push(message.text());
    });
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
  }

  async login(name) {
    this.name = name;
    await this.badge("polling").or(this.badge("websocket")).waitFor();
    await this.tryName(name);
    await this.page.locator("#chat").waitFor();
  }

  async tryName(name) {
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Join the chat" }).click();
  }

  badge(transport) {
    return this.page.locator(`#badge[data-transport="${transport}"]`);
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
    return this.bubble(text);
  }

  async type(text) {
    await this.page.getByLabel("Message", { exact: true }).pressSequentially(text, { delay: 20 });
  }

  bubble(text) {
    return this.page.locator(".message", { hasText: text });
  }

  notice(text) {
    return this.page.locator(".notice", { hasText: text });
  }

  row(list, name) {
    return this.page.locator(`#${list} button[data-${list === "rooms" ? "room" : "user"}="${name}"]`);
  }

  async openRoom(name) {
    await this.page.getByRole("button", { name: "Open a room" }).click();
    await this.page.getByLabel("Room name").fill(name);
    await this.page.keyboard.press("Enter");
    await this.titled(name);
  }

  titled(name) {
    return this.page.locator("#title bdi", { hasText: new RegExp(`^${name}$`) }).waitFor();
  }

  sendFile(file) {
    return this.page.locator("#picture").setInputFiles(file);
  }

  async screenshot(name, directory = ARTIFACTS) {
    fs.mkdirSync(directory, { recursive: true });
    await this.page.screenshot({ path: path.join(directory, `${name}.png`), animations: "disabled" });
  }

  close() {
    return this.context.close();
  }
}

/** A PNG with something to look at, drawn by the browser: `{ name, mimeType, buffer }`. */
async function drawPicture(browser, { width = 640, height = 400, name = "evening.png", noise = false } = {}) {
  const page = await browser.newPage();
  const base64 = await page.evaluate(drawEvening, { width, height, noise });
  await page.close();
  return { name, mimeType: "image/png", buffer: Buffer.from(base64, "base64") };
}

/** Runs in the page. With `noise` the file is too large to be sent as it is. */
function drawEvening({ width, height, noise }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  const sky = context.createLinearGradient(0, 0, 0, height);
  [[0, "#27335f"], [0.4, "#8a4f7d"], [0.62, "#e8835a"], [0.75, "#f7c777"]].forEach((stop) => sky.addColorStop(...stop));
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#fff1cf";
  context.beginPath();
  context.arc(width * 0.66, height * 0.55, height * 0.085, 0, 7);
  context.fill();
  const ridges = [["#a65a6a", 0.62, 0.07, 2.1], ["#6f4165", 0.7, 0.08, 3.4], ["#41305a", 0.8, 0.07, 4.6], ["#221d3d", 0.9, 0.05, 6.2]];
  ridges.forEach(([colour, base, swing, pace], at) => {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += 2) {
      const t = (x / width) * Math.PI * pace + at * 1.7;
      context.lineTo(x, height * (base - swing * (Math.sin(t) * 0.6 + Math.sin(t * 2.3) * 0.3 + Math.abs(Math.sin(t * 0.9)) * 0.5)));
    }
    context.lineTo(width, height);
    context.fill();
  });
  if (noise) {
    const image = context.getImageData(0, 0, width, height);
    for (let at = 0; at < image.data.length; at += 1) if (at % 4 !== 3) image.data[at] += Math.random() * 24;
    context.putImageData(image, 0, 0);
  }
  return canvas.toDataURL("image/png").split(",")[1];
}

module.exports = { ARTIFACTS, CHROMIUM, Person, ServerProcess, drawPicture, launch };
