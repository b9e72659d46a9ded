"""The python-socketio client against the fixture: client.py URL TRANSPORT, one JSON line per check."""

import json
import sys
import threading
import traceback

import engineio.payload
import socketio

# By default this client gives up on a poll with more than 16 packets, which any server may send.
engineio.payload.Payload.max_decode_packets = 1000

URL = sys.argv[1]
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}[sys.argv[2]]
NAMESPACE = "/quiet"
TIMEOUT = 10


class Inbox:
    """Collects the events of one client."""

    def __init__(self, client, namespace):
        self.events = []
        self.changed = threading.Condition()
        client.on("*", self.receive, namespace=namespace)

    def receive(self, event, *args):
        with self.changed:
            self.events.append((event, args))
            self.changed.notify_all()

    def collect(self, event, count):
        def matching():
            return [args for name, args in self.events if name == event]

        with self.changed:
            assert self.changed.wait_for(lambda: len(matching()) >= count, TIMEOUT), f"{len(matching())} x {event}"
            return matching()


def connect(namespace=NAMESPACE, **options):
    # Handlers run one after the other in the thread that reads, so that the order of events can be seen.
    client = socketio.Client(reconnection=False, handle_sigint=False)
    client.start_background_task = start_in_order(client.start_background_task)
    inbox = Inbox(client, namespace)
    client.connect(URL, transports=TRANSPORTS, namespaces=[namespace], wait_timeout=TIMEOUT, **options)
    return client, inbox


def start_in_order(start):
    def wrapper(target, *args, **kwargs):
        if getattr(target, "__name__", "") == "_handle_event":
            return target(*args, **kwargs)
        return start(target, *args, **kwargs)

    return wrapper


def call(client, event, *args, namespace=NAMESPACE):
    return client.call(event, args, namespace=namespace, timeout=TIMEOUT)


def check_events():
    client, inbox = connect()
    client.emit("message", (1, "é€😀\u2028", None, {"a": [True, {"b": 1.5}]}), namespace=NAMESPACE)
    assert inbox.collect("message-back", 1) == [(1, "é€😀\u2028", None, {"a": [True, {"b": 1.5}]})]
    client.disconnect()


def check_binary():
    client, inbox = connect()
    value = {"bytes": bytes(range(256)), "list": [b"", b"x", {"deep": b"\x00"}]}
    client.emit("message", (value, b"end"), namespace=NAMESPACE)
    assert inbox.collect("message-back", 1) == [(value, b"end")]
    client.disconnect()


def check_acknowledgements():
    client, inbox = connect()
    assert call(client, "message-with-ack", 1) == 1
    assert list(call(client, "message-with-ack", 1, b"2")) == [1, b"2"]
    client.on("question", lambda *args: (*args, b"answer"), namespace=NAMESPACE)
    client.emit("ask", (5000, "why"), namespace=NAMESPACE)
    assert inbox.collect("answered", 1) == [(None, "why", b"answer")]
    client.disconnect()


def check_large_messages():
    client, _ = connect()
    text = "x" * 999_900
    assert call(client, "message-with-ack", text) == text
    data = bytes(range(256)) * 1200
    assert call(client, "message-with-ack", {"data": data}) == {"data": data}
    client.disconnect()


def check_bursts():
    client, inbox = connect()
    for i in range(200):
        client.emit("message", i, namespace=NAMESPACE)
    assert inbox.collect("message-back", 200) == [(i,) for i in range(200)]
    client.emit("burst", (200, 3), namespace=NAMESPACE)
    expected = [(i, bytes([i & 255])) if i % 3 == 0 else (i,) for i in range(200)]
    assert inbox.collect("burst", 200) == expected
    client.disconnect()


def check_auth():
    client, inbox = connect("/custom", auth={"token": "abc"})
    assert inbox.collect("auth", 1) == [({"token": "abc"},)]
    client.disconnect()
    client, _ = connect("/auth", auth={"token": "secret"})
    assert call(client, "whoami", namespace="/auth")["data"] == {"user": "alice"}
    client.disconnect()


def check_refusal():
    client = socketio.Client(reconnection=False, handle_sigint=False)
    refused = []
    client.on("connect_error", refused.append, namespace="/auth")
    try:
        client.connect(URL, transports=TRANSPORTS, namespaces=["/auth"], auth={"token": "x"}, wait_timeout=TIMEOUT)
        raise AssertionError("not refused")
    except socketio.exceptions.ConnectionError:
        pass
    expected = {"message": "not authorized", "data": {"code": 401, "hint": "bring a token"}}
    assert refused == [expected], refused
    client.disconnect()


def check_rooms():
    one, _ = connect()
    two, inbox = connect()
    room = f"python-{sys.argv[2]}"
    call(two, "join", room)
    call(one, "send-to", {"from": "namespace", "to": [room]}, [1, "x"])
    assert inbox.collect("news", 1) == [(1, "x")]
    one.disconnect()
    two.disconnect()


def check_disconnect_by_the_server():
    client, _ = connect()
    gone = threading.Event()
    client.on("disconnect", lambda *_: gone.set(), namespace=NAMESPACE)
    client.emit("disconnect-me", True, namespace=NAMESPACE)
    assert gone.wait(TIMEOUT)


def check_transport():
    client, _ = connect()
    expected = "polling" if sys.argv[2] == "polling" else "websocket"
    assert client.transport() == expected
    assert call(client, "whoami")["transport"] == expected
    client.disconnect()


def main():
    checks = [(name[6:], check) for name, check in globals().items() if name.startswith("check_")]
    for name, check in checks:
        try:
            check()
            print(json.dumps({"name": name}), flush=True)
        except Exception:
            print(json.dumps({"name": name, "error": traceback.format_exc()}), flush=True)


main()
