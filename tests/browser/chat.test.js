// The demo page in headless Chromium, two windows at a time, against any server of examples/chat/PROTOCOL.md.
//
//   SERVER_CMD  starts the server on 127.0.0.1:$PORT   (default: reference-server.js)
//   ARTIFACTS   where the screenshots go               (default: artifacts/ of the repository)
//   CHROMIUM    the browser                            (default: /usr/bin/chromium)
//   README_SHOT directory for the README's screenshot  (default: not taken)
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, test } = require("node:test");
const { Person, ServerProcess, drawPicture, launch } = require("./harness.js");

const CLIENT_FILE = path.join(__dirname, "node_modules/socket.io-client/dist/socket.io.min.js");
const PAGE = path.join(__dirname, "../../examples/chat/public");

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** A server and as many windows as the test asks for, all gone afterwards; a failure leaves screenshots behind. */
function scene(name, body, env) {
  test(name, { timeout: 120_000 }, async (t) => {
    const server = await ServerProcess.start(env);
    const people = [];
    const visit = async (query = "", options) => {
      const person = await Person.visit(browser, server.url + query, options);
      people.push(person);
      return person;
    };
    const meet = (query, ...names) =>
      Promise.all(
        names.map(async (each) => {
          const person = await visit(query);
          await person.login(each);
          return person;
        }),
      );
    try {
      await body({ t, server, visit, meet });
      assert.deepEqual(people.flatMap((person) => person.faults), [], "no error in any window");
    } catch (error) {
      const slug = name.replace(/\W+/g, "-");
      for (const [at, person] of people.entries()) await person.screenshot(`failed-${slug}-${at}`).catch(() => {});
      error.message += `\nserver output:\n${server.output}`;
      throw error;
    } finally {
      for (const person of people) await person.close();
      await server.stop();
    }
  });
}

scene(
  "websockets are compressed",
  async ({ visit }) => {
    // Chromium offers it by itself, and compresses all it sends once it is agreed on.
    const answers = [];
    const prepare = async (page) => {
      const session = await page.context().newCDPSession(page);
      session.on("Network.webSocketHandshakeResponseReceived", ({ response }) => {
        const name = Object.keys(response.headers).find((each) => each.toLowerCase() === "sec-websocket-extensions");
        answers.push(response.headers[name]);
      });
      await session.send("Network.enable");
    };
    const query = "?transports=websocket";
    const ada = await visit(query, { prepare });
    const bob = await visit(query, { prepare });
    await ada.login("Ada");
    await bob.login("Bob");
    assert.equal(answers.length, 2);
    for (const answer of answers) assert.match(answer, /^permessage-deflate/);
    for (const text of ["short", "a long story, ".repeat(120).trim(), "你好 👋 ".repeat(100).trim()]) {
      await ada.say(text);
      await bob.bubble(text).waitFor();
      await bob.say(`${text} back`);
      await ada.bubble(`${text} back`).waitFor();
    }
    await ada.sendFile(await drawPicture(browser));
    await bob.page.locator('.message:not(.mine) .picture img').waitFor();
  },
  { PER_MESSAGE_DEFLATE: "1" },
);

for (const [label, query, transport] of [
  ["the default transports", "", "websocket"],
  ["polling only", "?transports=polling", "polling"],
  ["websocket only", "?transports=websocket", "websocket"],
]) {
  scene(`two people talk over ${label}`, async ({ t, visit }) => {
    const ada = await visit(query);
    const bob = await visit(query);
    // Each step builds on the one before: the first failure ends the scene.
    const step = async (name, body) => {
      let failure;
      await t.test(name, () => body().catch((error) => {
        failure = error;
        throw error;
      }));
      if (failure) throw failure;
    };

    await step("the newcomer is announced to everybody else only", async () => {
      await ada.page.getByText("2 people are connected").waitFor();
      await ada.login("Ada");
      await bob.login("Bob");
      await ada.notice("Bob has joined").waitFor();
      await ada.page.locator("#count", { hasText: "2 connected" }).waitFor();
      await bob.row("people", "Ada").waitFor();
      assert.equal(await bob.notice("has joined").count(), 0);
      assert.equal(await ada.notice("Ada has joined").count(), 0);
      assert.equal(await ada.page.locator("#people-count").textContent(), "2");
    });

    await step("the badge shows the transport", async () => {
      await ada.badge(transport).waitFor();
      await bob.badge(transport).waitFor();
      assert.equal(await ada.page.locator("#badge-text").textContent(), transport);
    });

    await step("messages go both ways, and the sender sees them acknowledged", async () => {
      const mine = await ada.say("Hello Bob, are you there? Ünïcödé 你好 👋");
      await bob.bubble("Hello Bob, are you there? Ünïcödé 你好 👋").waitFor();
      await ada.page.locator('.message.mine[data-state="sent"]').waitFor();
      assert.equal(await mine.count(), 1, "a message does not come back to its sender");
      await bob.say("I am.\nOn two lines.");
      await ada.bubble("On two lines.").waitFor();
      assert.equal(await ada.bubble("On two lines.").getAttribute("data-from"), "Bob");
    });

    await step("typing is shown while it lasts", async () => {
      await ada.type("Let me thi");
      await bob.page.locator("#typing.on", { hasText: "Ada is typing" }).waitFor();
      assert.equal(await ada.page.locator("#typing.on").count(), 0);
      await ada.page.keyboard.press("Enter");
      await bob.bubble("Let me thi").waitFor();
      await bob.page.locator("#typing:not(.on)").waitFor();
      await bob.type("x");
      await ada.page.locator("#typing.on").waitFor();
      await bob.page.keyboard.press("Backspace");
      await ada.page.locator("#typing:not(.on)").waitFor();
    });

    await step("a room is heard by its members only", async () => {
      await ada.openRoom("rust-talk");
      await bob.row("rooms", "rust-talk").getByText("join").waitFor();
      await ada.say("Nobody hears this");
      await ada.page.locator('.message.mine[data-state="sent"]').waitFor();
      await bob.row("rooms", "rust-talk").click();
      await bob.titled("rust-talk");
      await ada.notice("Bob has joined the room").waitFor();
      assert.equal(await bob.bubble("Nobody hears this").count(), 0);
      await ada.say("But this");
      await bob.bubble("But this").waitFor();
      await bob.row("rooms", "lobby").click();
      assert.equal(await bob.bubble("But this").count(), 0, "each room has its own history");
      await bob.bubble("Let me thi").waitFor();
      await ada.say("Unread for Bob");
      await bob.row("rooms", "rust-talk").locator(".unread", { hasText: "1" }).waitFor();
      await bob.row("rooms", "rust-talk").click();
      await bob.bubble("Unread for Bob").waitFor();
      assert.equal(await bob.row("rooms", "rust-talk").locator(".unread").count(), 0);
      await bob.page.getByRole("button", { name: "Leave room" }).click();
      await bob.titled("lobby");
      await ada.notice("Bob has left the room").waitFor();
      await ada.say("Not for Bob");
      await ada.page.locator('.message.mine[data-state="sent"]', { hasText: "Not for Bob" }).waitFor();
      await bob.row("rooms", "rust-talk").getByText("join").waitFor();
      assert.equal(await bob.row("rooms", "rust-talk").locator(".unread").count(), 0);
      await ada.row("rooms", "lobby").click();
    });

    await step("a private message reaches one person, and is delivered when that page says so", async () => {
      const eve = await visit(query);
      await eve.login("Eve");
      await ada.row("people", "Bob").click();
      await ada.titled("Bob");
      await ada.type("psst");
      await ada.page.keyboard.press("Enter");
      await ada.page.locator('.message.mine[data-state="delivered"]', { hasText: "psst" }).waitFor();
      await bob.row("people", "Ada").locator(".unread", { hasText: "1" }).waitFor();
      assert.equal(await bob.bubble("psst").count(), 0, "not in the lobby");
      await bob.row("people", "Ada").click();
      await bob.bubble("psst").waitFor();
      await bob.say("yes?");
      await ada.bubble("yes?").waitFor();
      assert.equal(await eve.page.locator(".unread:visible").count(), 0, "nothing for anybody else");
      await eve.close();
      for (const each of [ada, bob]) await each.row("rooms", "lobby").click();
      await ada.notice("Eve has").nth(1).waitFor();
    });

    await step("a picture arrives byte for byte", async () => {
      const picture = await drawPicture(browser);
      await ada.sendFile(picture);
      const sent = ada.page.locator(".mine .picture img");
      const received = bob.page.locator(".message:not(.mine) .picture img");
      await received.waitFor();
      await ada.page.locator('.message.mine[data-state="sent"]:has(.picture)').waitFor();
      const [a, b] = await Promise.all([pixels(sent), pixels(received)]);
      assert.deepEqual([b.width, b.height], [640, 400]);
      assert.equal(b.sum, a.sum);
      assert.equal(await received.getAttribute("alt"), "Picture: evening.png");
      await received.click();
      await bob.page.locator("#lightbox-image").waitFor();
      await bob.page.keyboard.press("Escape");
      await bob.page.locator("#lightbox-image").waitFor({ state: "hidden" });
    });

    await step("a large photograph is made smaller, a wrong file is refused", async () => {
      const large = await drawPicture(browser, { width: 1600, height: 1000, name: "large.png", noise: true });
      assert.ok(large.buffer.length > 512 * 1024);
      await bob.sendFile(large);
      await ada.page.locator('.message:not(.mine) img[alt="Picture: large.png"]').waitFor();
      await bob.page.locator('.message.mine[data-state="sent"]', { has: bob.page.locator('img[alt="Picture: large.png"]') }).waitFor();
      await bob.sendFile({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("text") });
      await bob.page.getByText("Only PNG, JPEG, GIF and WebP pictures can be sent.").waitFor();
      await bob.sendFile({ name: "broken.png", mimeType: "image/png", buffer: Buffer.from("not a picture") });
      await bob.page.getByText("This browser cannot read that picture.").waitFor();
    });

    await step("somebody who leaves is announced", async () => {
      await bob.page.getByRole("button", { name: "Leave the chat" }).click();
      await ada.notice("Bob has left").waitFor();
      await ada.row("people", "Bob").locator(".gone").waitFor();
    });

    await ada.screenshot(`talk-${transport}${query ? "-only" : ""}`);
  });
}

scene("the badge turns from polling to websocket before one's eyes", async ({ visit }) => {
  const seen = await visit("", {
    // From the first moment on, every value the badge takes.
    prepare: (page) =>
      page.addInitScript(() => {
        window.badges = [];
        document.addEventListener("DOMContentLoaded", () => {
          const badge = document.getElementById("badge");
          new MutationObserver(() => {
            if (window.badges.at(-1) !== badge.dataset.transport) window.badges.push(badge.dataset.transport);
          }).observe(badge, { attributes: true });
        });
      }),
  });
  await seen.badge("websocket").waitFor();
  assert.deepEqual((await seen.page.evaluate(() => window.badges)).filter((each) => each !== "none"), ["polling", "websocket"]);
});

scene("after a restart of the server everybody is back by themselves", async ({ server, meet }) => {
  const [ada, bob] = await meet("", "Ada", "Bob");
  await ada.openRoom("attic");
  await bob.row("rooms", "attic").click();
  await ada.notice("Bob has joined the room").waitFor();
  await server.stop();
  for (const each of [ada, bob]) {
    await each.badge("offline").waitFor();
    await each.page.getByText("The connection is lost.").waitFor();
  }
  await ada.say("Written while the server is away");
  await ada.page.locator('.message.mine[data-state="sending"]').waitFor();
  await ada.screenshot("reconnecting");
  await server.start();
  for (const each of [ada, bob]) {
    await each.badge("websocket").waitFor();
    await each.notice("Connected again").waitFor();
    assert.ok(await each.page.locator("#banner").isHidden());
  }
  await ada.page.locator('.message.mine[data-state="sent"]', { hasText: "Written while" }).waitFor();
  await ada.row("rooms", "attic").getByText("2").waitFor();
  await ada.say("Both back, in the room as well");
  await bob.bubble("Both back, in the room as well").waitFor();
});

scene("names are checked by the server", async ({ meet, visit }) => {
  const [ada] = await meet("", "Ada");
  const other = await visit();
  await other.badge("websocket").waitFor();
  await other.tryName("  aDA ");
  await other.page.getByText("Somebody here is already called Ada.").waitFor();
  await other.tryName("x".repeat(25));
  await other.page.getByText("A name has at most 24 characters.").waitFor();
  await other.tryName("   ");
  await other.page.getByText("Type a name first.").waitFor();
  assert.ok(await other.page.locator("#chat").isHidden());
  await other.tryName("x".repeat(24));
  await ada.notice(`${"x".repeat(24)} has joined`).waitFor();
});

scene("a page takes its own name back, without farewell and greeting", async ({ server, meet, visit }) => {
  const [bob] = await meet("", "Bob");
  const ada = await visit();
  await ada.login("Ada");
  await bob.notice("Ada has joined").waitFor();
  // The same tab twice is what the server sees of a page whose first connection is lost but not yet given up.
  const key = await ada.page.evaluate(() => sessionStorage.getItem("key"));
  const again = await visit("", { prepare: (page) => page.addInitScript((each) => sessionStorage.setItem("key", each), key) });
  await again.login("Ada");
  await ada.page.getByText("The server closed this connection.").waitFor();
  await again.say("Still me");
  await bob.bubble("Still me").waitFor();
  assert.equal(await bob.notice("Ada").count(), 1);
  assert.equal(await bob.page.locator("#people-count").textContent(), "2");
  assert.equal(server.url, again.page.url());
});

scene("what people write is text, never markup", async ({ meet, visit }) => {
  const evil = '<img src=x onerror=alert(1)>';
  const [ada] = await meet("", "Ada");
  const mallory = await visit();
  await mallory.login("<b>Mal</b>");
  await mallory.say(evil);
  await mallory.say("<script>alert(2)</script>");
  await ada.bubble(evil).waitFor();
  await ada.bubble("<script>alert(2)</script>").waitFor();
  await ada.notice("<b>Mal</b> has joined").waitFor();
  assert.equal(await ada.page.locator("#chat img[src='x'], #chat .messages script, #chat bdi b").count(), 0);
});

scene("too long a message stays in the field", async ({ meet }) => {
  const [ada] = await meet("", "Ada");
  await ada.say("y".repeat(2001));
  await ada.page.getByText("A message has at most 2000 characters; this one has 2001.").waitFor();
  assert.equal(await ada.page.locator(".message").count(), 0);
  await ada.say("y".repeat(2000));
  await ada.page.locator('.message.mine[data-state="sent"]').waitFor();
});

scene("the public copy of the client steps in, held to its hash", async ({ visit }) => {
  const bytes = fs.readFileSync(CLIENT_FILE);
  const hash = `sha384-${crypto.createHash("sha384").update(bytes).digest("base64")}`;
  assert.ok(fs.readFileSync(path.join(PAGE, "app.js"), "utf8").includes(hash), "the page knows the hash of this version");

  const withCopy = (body) => ({
    prepare: async (page) => {
      await page.route("**/client/socket.io.min.js", (route) => route.fulfill({ status: 404, body: "not found" }));
      await page.route("https://cdn.jsdelivr.net/**", (route) =>
        route.fulfill({ body, contentType: "text/javascript", headers: { "Access-Control-Allow-Origin": "*" } }),
      );
    },
  });
  const served = await visit("", withCopy(bytes));
  await served.login("Ada");
  const tampered = await visit("", withCopy(`${bytes} `));
  await tampered.page.getByText("The Socket.IO client could not be loaded").waitFor();
});

scene("keyboard, dark and narrow", async ({ meet, visit }) => {
  const [ada] = await meet("", "Ada");
  const phone = await visit("", { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
  await phone.screenshot("welcome-narrow");
  await phone.login("Grace");
  const night = await visit("", { colorScheme: "dark", reducedMotion: "reduce" });
  await night.badge("websocket").waitFor();
  await night.screenshot("welcome-dark");

  // Name, rooms, a message: no mouse.
  await night.page.getByLabel("Your name").focus();
  await night.page.keyboard.type("Linus");
  await night.page.keyboard.press("Enter");
  await night.titled("lobby");
  await night.page.keyboard.type("Typed without a mouse");
  await night.page.keyboard.press("Enter");
  await ada.bubble("Typed without a mouse").waitFor();
  await night.page.locator("#announce").waitFor({ state: "attached" });
  await ada.page.locator("#announce", { hasText: "Linus: Typed without a mouse" }).waitFor({ state: "attached" });

  await phone.bubble("Typed without a mouse").waitFor();
  await ada.row("people", "Grace").click();
  await ada.say("Hello, small screen");
  await phone.page.locator("#drawer-unread", { hasText: "1" }).waitFor();
  await phone.page.getByRole("button", { name: "Rooms and people" }).click();
  await phone.row("people", "Ada").locator(".unread").waitFor();
  await phone.screenshot("drawer-narrow");
  await phone.row("people", "Ada").click();
  await phone.bubble("Hello, small screen").waitFor();
  await phone.say("Hello, large one");
  await phone.page.locator('[data-state="delivered"]').waitFor();
  await phone.screenshot("private-narrow");
  await night.screenshot("talk-dark");
  for (const each of [ada, phone, night]) {
    const overflow = await each.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, "nothing sticks out sideways");
    assert.deepEqual(await unnamed(each.page), [], "every control has a name");
  }
});

scene("a lively conversation, for the README", async ({ visit }) => {
  const picture = await drawPicture(browser);
  const others = [];
  for (const name of ["Linus", "Margaret", "Katherine J."]) {
    const other = await visit("?transports=polling");
    await other.login(name);
    others.push(other);
  }
  await others[0].openRoom("kernel");
  const ada = await visit();
  await ada.login("Ada");
  const grace = await visit("", { colorScheme: "dark" });
  await grace.login("Grace Hopper");
  await ada.say("Hi all! I have just restarted the server, did you notice?");
  await grace.bubble("Hi all!").waitFor();
  await grace.say("Only the badge: reconnecting for a second, then polling, then websocket.");
  await grace.say("Everything I typed in between was sent afterwards.");
  await ada.bubble("sent afterwards").waitFor();
  await others[1].row("people", "Ada").click();
  await others[1].say("Lunch at noon?");
  await ada.say("Here is last night, straight from the camera:");
  await ada.sendFile(picture);
  await grace.page.locator(".picture img").waitFor();
  await grace.say("Beautiful. As a binary attachment, I take it?");
  await ada.bubble("binary attachment").waitFor();
  await ada.say("Byte for byte, and the tick is the server's acknowledgement.");
  await grace.bubble("Byte for byte").waitFor();
  await grace.openRoom("rust");
  await ada.row("rooms", "rust").click();
  await grace.notice("Ada has joined the room").waitFor();
  await ada.row("rooms", "lobby").click();
  await grace.say("cargo xtask demo, and you are in");
  await ada.row("rooms", "rust").locator(".unread").waitFor();
  await grace.row("rooms", "lobby").click();
  await grace.type("I want that as my");
  await ada.page.locator("#typing.on").waitFor();
  await ada.row("people", "Margaret").locator(".unread").waitFor();
  await ada.page.locator(".picture img").hover();
  await ada.badge("websocket").waitFor();
  await ada.screenshot("chat");
  await grace.screenshot("chat-dark");
  if (process.env.README_SHOT) {
    await ada.screenshot("chat", path.resolve(process.env.README_SHOT));
    await grace.screenshot("chat-dark", path.resolve(process.env.README_SHOT));
  }
});

/** Size and checksum of what an <img> really shows. */
function pixels(image) {
  return image.evaluate(async (element) => {
    await element.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: element.naturalWidth, height: element.naturalHeight });
    const context = canvas.getContext("2d");
    context.drawImage(element, 0, 0);
    let sum = 0;
    for (const byte of context.getImageData(0, 0, canvas.width, canvas.height).data) sum = (Math.imul(sum, 31) + byte) >>> 0;
    return { width: canvas.width, height: canvas.height, sum };
  });
}

/** Visible controls that a screen reader could only call "button" or "edit". */
function unnamed(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll("button, input:not([type=file]), textarea")]
      .filter((each) => each.checkVisibility() && !each.getAttribute("aria-label") && !each.labels?.length && !each.textContent.trim() && !each.querySelector("img[alt]"))
      .map((each) => each.outerHTML),
  );
}
