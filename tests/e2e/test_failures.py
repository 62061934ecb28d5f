"""Walks the table of docs/failures.md: what is promised there of each failure must hold."""

import json
import pathlib
import re
import socket
import threading
import time

import pytest

from conftest import PROVIDER_KEY, chat, configuration
from harness import wire
from harness.gateway import Gateway
from harness.provider import DONE, LAST_CHUNK, STREAM_HEAD, Provider, answer_chat, chat_body, chat_events, chunk, response

TABLE = pathlib.Path(__file__).parents[2] / "docs/failures.md"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| .* \| (\d+) \| `([a-z_]+)` \| (no|`[a-z0-9_]+`) \| `([a-z]+)` \|$", re.M)
ROWS = {name: rest for name, *rest in ROW.findall(TABLE.read_text())}
EVENTS = chat_events()
TOKEN = b"".join(chunk(e) for e in EVENTS[:2])
ERROR_EVENT = b'data: {"error":{"message":"sorry","type":"server_error"}}\n\n'


HEARD = threading.Event()  # the client has got the head and, where there is a body, something of it


def heard(seconds=15):
    """What comes then comes by itself: gateway and client have seen what came before. (A head may be kept back for as
    long as another provider may be asked.)"""
    HEARD.wait(seconds)


def held_open(connection):
    connection.wait_for_end(15)


def comments(connection):
    try:
        for _ in range(400):
            connection.send(chunk(b": still here\n\n"))
            time.sleep(0.05)
    except OSError:
        pass


def tokens_for_ever(connection):
    try:
        for _ in range(400):
            connection.send(chunk(EVENTS[1]))
            time.sleep(0.05)
    except OSError:
        pass


BODY = json.dumps(chat_body()).encode()
REFUSAL = {"error": {"message": "no", "type": "some", "code": None}}
QUOTA = {"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}
DEEDS = {  # by the model that is asked for
    "reset": lambda c: c.reset(),
    "end": lambda c: c.close(),
    "end-in-head": lambda c: (c.send(STREAM_HEAD[:30]), c.close()),
    "reset-in-head": lambda c: (c.send(STREAM_HEAD[:30]), time.sleep(0.1), c.reset()),
    "garbage": lambda c: c.send(b"\x16\x03 this is no HTTP\r\n\r\n"),
    "interim-flood": lambda c: c.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000),
    "upgrade": lambda c: c.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "redirect": lambda c: c.send(response(b"", 302, fields=[("Location", "http://127.0.0.1/elsewhere")])),
    "silence": held_open,
    "no-first-token": lambda c: (c.send(STREAM_HEAD + chunk(EVENTS[0])), comments(c)),
    "reset-after-head": lambda c: (c.send(STREAM_HEAD), heard(0.5), c.reset()),
    "end-before-token": lambda c: (c.send(STREAM_HEAD + chunk(EVENTS[0])), c.close()),
    "reset-after-token": lambda c: (c.send(STREAM_HEAD + TOKEN), heard(), c.reset()),
    "no-terminator": lambda c: (c.send(STREAM_HEAD + TOKEN), heard(), c.send(LAST_CHUNK)),
    "bad-chunk": lambda c: (c.send(STREAM_HEAD + TOKEN), heard(), c.send(b"no size\r\n")),
    "short-body": lambda c: (c.send(response(BODY)[:-20]), heard(), c.close()),
    "silence-in-stream": lambda c: (c.send(STREAM_HEAD + TOKEN), comments(c)),
    "never-ends": lambda c: (c.send(STREAM_HEAD + TOKEN), tokens_for_ever(c)),
    "error-event": lambda c: (
        c.send(STREAM_HEAD + TOKEN),
        heard(),
        c.send(chunk(ERROR_EVENT) + chunk(DONE) + LAST_CHUNK),
    ),
    "rejects": lambda c: c.send(response(REFUSAL, 400)),
    "credentials": lambda c: c.send(response(REFUSAL, 401)),
    "rate-limit": lambda c: c.send(response(REFUSAL, 429, fields=[("retry-after-ms", "1")])),
    "quota": lambda c: c.send(response(QUOTA, 429)),
    "server-error": lambda c: c.send(response(REFUSAL, 500)),
    "overloaded": lambda c: c.send(response(REFUSAL, 503)),
    "overloaded-529": lambda c: c.send(response(REFUSAL, 529)),
}
UPLOADS = ("stops-reading", "early-answer")  # decided when the connection is made
NOT_STREAMED = ("short-body", *UPLOADS)
HEAD_ONLY = ("reset-after-head", "end-before-token")


def do_the_deed(connection, request):
    deed = DEEDS.get(json.loads(request.body)["model"])
    if deed:
        deed(connection)
    else:
        answer_chat(connection, request)


def answer_early(connection):
    connection.sock.recv(1000)
    connection.send(response(REFUSAL, 413, fields=[("connection", "close")]))
    heard(2)
    connection.close()
    return False


def speak_plainly(connection):
    """As an HTTP server does that gets a TLS handshake."""
    connection.fill()
    connection.send(response(b"", 400, fields=[("connection", "close")]))
    connection.close()
    return False


def read_nothing(connection):
    time.sleep(10)
    connection.close()
    return False


@pytest.fixture(scope="module")
def full_port():
    """A port that accepts no more: its queue of connections is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    time.sleep(0.1)
    yield listener.getsockname()[1]
    for each in [listener, *waiting]:
        each.close()


@pytest.fixture(scope="module")
def closed_port():
    closed = wire.ClosedPort()
    yield closed.port
    closed.close()


@pytest.fixture(scope="module")
def providers(certificates):
    made = {name: Provider() for name in ("raw", "early", "deaf", "plain")}
    made["early"].on_connect, made["deaf"].on_connect = answer_early, read_nothing
    made["plain"].on_connect = speak_plainly
    made["deaf"].listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for name in ("expired", "wrong_host"):
        made[name] = Provider(certificates / f"{name}.pem", certificates / "server.key")
    for name in ("raw", "expired", "wrong_host"):
        made[name].handler = do_the_deed
    yield made
    for provider in made.values():
        provider.stop()


PATIENT = {"connect": "20s", "first_token": "20s", "idle": "20s", "total": "40s"}  # a busy machine is no failure
TIMEOUTS = {
    "unreachable": {"connect": "400ms"},
    "silence": {"first_token": "400ms"},
    "no-first-token": {"first_token": "400ms"},
    "silence-in-stream": {"idle": "600ms"},
    "stops-reading": {"idle": "600ms"},
    "never-ends": {"total": "3s"},
}


def provider_settings(providers, full_port, closed_port, certificates):
    tls = {"tls": {"ca": str(certificates / "ca.pem")}}

    def at(port, scheme="http", host="127.0.0.1", **more):
        url = f"{scheme}://{host}:{port}/v1"
        return {"dialect": "openai", "base_url": url, "api_key": PROVIDER_KEY, **more}

    made = {name: at(providers["raw"].port) for name in DEEDS}
    made |= {
        "good": at(providers["raw"].port),
        "unknown-name": at(80, host="nowhere.invalid"),
        "refused": at(closed_port),
        "unreachable": at(full_port),
        "tls-expired": at(providers["expired"].port, "https", **tls),
        "tls-wrong-host": at(providers["wrong_host"].port, "https", **tls),
        "tls-plain": at(providers["plain"].port, "https", **tls),
        "early-answer": at(providers["early"].port),
        "stops-reading": at(providers["deaf"].port),
    }
    for name, provider in made.items():
        provider["timeouts"] = {**PATIENT, **TIMEOUTS.get(name, {})}
    return made


@pytest.fixture(scope="module")
def walking(tmp_path_factory, mock, providers, full_port, closed_port, certificates):
    made = configuration(mock.port, providers["raw"].port)
    made["providers"] = provider_settings(providers, full_port, closed_port, certificates)
    made["http"]["body_bytes"] = "32MiB"
    made["tenants"] = {"acme": {"keys": made["tenants"]["acme"]["keys"]}}
    made["models"] = {"good": {"targets": [{"provider": "good", "model": "good"}]}}
    for name in ROWS:
        target = {"targets": [{"provider": name, "model": name}]}
        made["models"] |= {f"plain-{name}": target, f"goes-on-{name}": {**target, "fallback": ["good"]}}
    gateway = Gateway(tmp_path_factory.mktemp("failures"), made)
    yield gateway
    gateway.stop_and_check()


def ask(gateway, key, model, name):
    more = {"stream": True} if name not in NOT_STREAMED else {}
    if name in UPLOADS:
        more["user"] = "x" * 12_000_000
    trace_id, parent = wire.new_trace()
    HEARD.clear()
    with gateway.connect(timeout=30.0) as client:
        try:
            client.send(wire.request("POST", "/v1/chat/completions", {**key, "traceparent": parent}, chat(model, **more)))
            answer = client.read_head()
            if name in HEAD_ONLY or answer.get("transfer-encoding") != "chunked":
                HEARD.set()
            client.read_body(answer, True, heard=HEARD)
        except wire.Closed:
            answer.complete = False
        return answer, gateway.record(trace_id, 20)


def test_the_table_and_the_deeds_are_about_the_same_failures():
    connecting = {"unknown-name", "refused", "unreachable", "tls-expired", "tls-wrong-host", "tls-plain"}
    assert set(ROWS) == set(DEEDS) | set(UPLOADS) | connecting


@pytest.mark.parametrize("name", ROWS)
def test_a_failure_becomes_what_the_table_says(walking, key, name):
    status, error, again, phase = ROWS[name]
    answer, record = ask(walking, key, f"plain-{name}", name)
    assert (answer.status, record["status"], record["error"]) == (int(status), int(status), error)
    assert record["error_source"] == "provider" and record["attempts"] == 1
    assert record["phases"][f"{phase}_ms"] > 0
    if answer.status == 200:
        assert not answer.complete or name == "error-event"
        assert DONE not in answer.body or name == "error-event"
    elif answer.get("x-weir-error"):
        assert answer.get("x-weir-error") == error


@pytest.mark.parametrize("name", ROWS)
def test_it_is_tried_again_when_the_table_says_so(walking, key, name):
    status, error, again, _ = ROWS[name]
    answer, record = ask(walking, key, f"goes-on-{name}", name)
    if again == "no":
        assert (answer.status, record["error"], record["attempts"]) == (int(status), error, 1)
        return
    assert answer.status == 200 and answer.complete and record["error"] is None
    assert (record["provider"], record["attempts"]) == ("good", 2)
    assert record["phases"]["retry_ms"] > 0 and record["cost_usd"] is None


def test_who_cannot_be_trusted_never_sees_the_key(walking, key, providers):
    for name in ("tls-expired", "tls-wrong-host", "tls-plain"):
        ask(walking, key, f"plain-{name}", name)
    assert providers["expired"].bytes_received == providers["wrong_host"].bytes_received == 0
    heard = b"".join(c.buffer for c in providers["plain"].connections)
    assert heard and PROVIDER_KEY.encode() not in heard and b"POST" not in heard
