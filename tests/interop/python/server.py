"""The fixture of FIXTURE.md on python-socketio's own server, as far as that has what the page asks for.

It is there for our client. Where the library lacks what a test is about (recovery, events before CONNECT), the run in
xtask/src/suites.rs leaves the test out, by name; volatile and uncompressed events are plain ones here.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
import urllib.parse

import engineio.payload
import socketio
import uvicorn

# By default this server gives up on a request with more than 16 packets, which the reference's client sends as well.
engineio.payload.Payload.max_decode_packets = 1000

# What the reference calls them. The words for connections are the same.
REASONS = {"client disconnect": "client namespace disconnect", "server disconnect": "server namespace disconnect"}


class Names(list):
    """The namespaces there are: some by name, some by expression."""

    def __contains__(self, name):
        return super().__contains__(name) or re.fullmatch(r"/dynamic-\d+", name) is not None


def option(name, convert):
    value = os.environ.get(name)
    return None if value is None else convert(value)


def seconds(value):
    return int(value) / 1000


OPTIONS = {
    "ping_interval": option("PING_INTERVAL", seconds),
    "ping_timeout": option("PING_TIMEOUT", seconds),
    "max_http_buffer_size": option("MAX_HTTP_BUFFER_SIZE", int),
    "allow_upgrades": option("ALLOW_UPGRADES", json.loads),
    "transports": option("TRANSPORTS", lambda names: names.split(",")),
    "serializer": option("PARSER", str),
    "cookie": option("COOKIE", json.loads),
}

sio = socketio.AsyncServer(
    async_mode="asgi",
    namespaces=Names(["/", "/custom", "/quiet", "/auth", "/slow"]),
    **{name: value for name, value in OPTIONS.items() if value is not None},
)
# The data of each socket, and the credentials it came with.
data, auths = {}, {}


def say(line):
    print(line if isinstance(line, str) else json.dumps(line), flush=True)


def on(event):
    return sio.on(event, namespace="*")


@on("connect")
async def connect(nsp, sid, _environ, auth):
    if nsp == "/auth":
        token = (auth or {}).get("token")
        if token == "plain":
            raise socketio.exceptions.ConnectionRefusedError("plain refusal")
        if token != "secret":
            hint = {"code": 401, "hint": "bring a token"}
            raise socketio.exceptions.ConnectionRefusedError("not authorized", hint)
        data[sid] = {"user": "alice"}
    if nsp == "/slow":
        await asyncio.sleep(0.2)
    auths[sid] = auth or {}
    if nsp in ("/", "/custom"):
        # It can be sent to once this function has returned, and CONNECT is answered.
        sio.start_background_task(greet, nsp, sid)


async def greet(nsp, sid):
    while not sio.manager.is_connected(sid, nsp):
        await asyncio.sleep(0)
    await sio.emit("auth", auths[sid], to=sid, namespace=nsp)


@on("disconnect")
def disconnect(nsp, sid, reason):
    data.pop(sid, None)
    auths.pop(sid, None)
    say({"disconnect": {"nsp": nsp, "id": sid, "reason": REASONS.get(reason, reason)}})


async def message(nsp, sid, *args):
    await sio.emit("message-back", args, to=sid, namespace=nsp)


for name in ("message", "message-uncompressed", "message-volatile"):
    sio.on(name, message, namespace="*")


@on("message-with-ack")
def message_with_ack(_nsp, _sid, *args):
    return args


@on("burst")
async def burst(nsp, sid, count, every=0):
    for i in range(count):
        args = (i, bytes([i & 255])) if every and i % every == 0 else (i,)
        await sio.emit("burst", args, to=sid, namespace=nsp)


@on("ask")
async def ask(nsp, sid, timeout, *args):
    try:
        answer = await sio.call("question", args, to=sid, namespace=nsp, timeout=timeout / 1000)
    except socketio.exceptions.TimeoutError:
        await sio.emit("answered", "operation has timed out", to=sid, namespace=nsp)
        return
    # What `call` makes of no answer, of one and of several.
    answers = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
    await sio.emit("answered", (None, *answers), to=sid, namespace=nsp)


@on("ask-promise")
async def ask_promise(nsp, sid, timeout, *args):
    answer = await sio.call("question", args, to=sid, namespace=nsp, timeout=timeout / 1000)
    first = answer[0] if isinstance(answer, tuple) else answer
    await sio.emit("answered", (None, first), to=sid, namespace=nsp)


@on("join")
async def join(nsp, sid, rooms):
    for room in [rooms] if isinstance(rooms, str) else rooms:
        await sio.enter_room(sid, room, namespace=nsp)
    return sorted(sio.rooms(sid, namespace=nsp))


@on("leave")
async def leave(nsp, sid, room):
    await sio.leave_room(sid, room, namespace=nsp)
    return sorted(sio.rooms(sid, namespace=nsp))


@on("send-to")
async def send_to(nsp, sid, target, args):
    skipped = [sid] if target["from"] == "socket" else []
    for room in target.get("except", []):
        skipped += [other for other, _ in sio.manager.get_participants(nsp, room)]
    await sio.emit("news", tuple(args), room=target.get("to"), skip_sid=skipped, namespace=nsp)


@on("set-data")
def set_data(_nsp, sid, value):
    data[sid] = value


@on("whoami")
def whoami(nsp, sid):
    scope = sio.get_environ(sid, namespace=nsp)["asgi.scope"]
    query = scope["query_string"].decode()
    return {
        "id": sid,
        "transport": sio.transport(sid, namespace=nsp),
        "recovered": False,
        "data": data.get(sid, {}),
        "handshake": {
            "headers": {name.decode().lower(): value.decode() for name, value in scope["headers"]},
            "query": dict(urllib.parse.parse_qsl(query)),
            "auth": auths.get(sid, {}),
            "url": f"{scope['path']}?{query}",
        },
    }


@on("disconnect-me")
async def disconnect_me(nsp, sid, close):
    eio_sid = sio.manager.eio_sid_from_sid(sid, nsp)
    await sio.disconnect(sid, namespace=nsp)
    if close:
        await sio.eio.disconnect(eio_sid)


def stats():
    rooms = [
        (room, members)
        for nsp in sio.manager.rooms.values()
        for room, members in nsp.items()
        if room is not None and len(members) > 0
    ]
    return {
        "engines": sum(not engine.closed for engine in sio.eio.sockets.values()),
        "sockets": sum(len(nsp.get(None, ())) for nsp in sio.manager.rooms.values()),
        "rooms": len(rooms),
    }


async def close(server, serving):
    # The words are the reference's; here there are none for it.
    REASONS["server disconnect"] = "server shutting down"
    ends = [sio.eio.disconnect(engine) for engine in list(sio.eio.sockets)]
    ends = asyncio.gather(*ends, return_exceptions=True)
    server.should_exit = True
    await serving
    await ends
    say({"closed": True})


async def obey(server, serving):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        match line.decode().strip():
            case "stats":
                say({"stats": stats()})
            case "close":
                await close(server, serving)
    # At once, as of a process that is killed.
    os._exit(0)


class Server(uvicorn.Server):
    """Signals end the process, as the page wants it; the ready line follows the start."""

    def capture_signals(self):
        return contextlib.nullcontext()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        say(f"ready {sockets[0].getsockname()[1]}")


async def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ.get("PORT", 0))))
    config = uvicorn.Config(
        socketio.ASGIApp(sio), ws="wsproto", lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    await obey(server, serving)


asyncio.run(main())
