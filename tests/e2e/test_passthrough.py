"""Pass-through: only what the tenant's configuration allows, with the provider's key put in and nothing edited."""

import os

import pytest

from conftest import NARROW_KEY, PROVIDER_KEY, TENANT_KEY
from harness import wire
from harness.provider import response

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}


@pytest.mark.parametrize(
    "method,target",
    [("GET", "/raw/v1/files"), ("GET", "/raw/v1/files/file-1?limit=2&after=%2F"), ("DELETE", "/raw/v1/files/file-1")],
)
def test_an_allowed_path_goes_to_the_provider_with_its_key(gateway, raw, method, target):
    raw.handler = lambda c, r: c.send(response({"ok": 1}, fields=[("x-request-id", "req_p")]))
    answer = gateway.exchange(wire.request(method, target, AUTH))
    assert answer.status == 200 and answer.json() == {"ok": 1}
    sent = raw.requests[-1]
    assert sent.start == f"{method} {target.removeprefix('/raw')} HTTP/1.1"
    assert sent.all("authorization") == [f"Bearer {PROVIDER_KEY}"]
    record = gateway.record(answer)
    assert (record["operation"], record["provider"], record["error"]) == ("passthrough", "raw", None)
    assert sum(record["phases"].values()) == record["total_ms"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_passes_unread_and_unchanged(gateway, raw, chunked):
    raw.handler = lambda c, r: c.send(response({"id": "file-1"}))
    body = os.urandom(300000)
    answer = gateway.exchange(
        wire.request(
            "POST", "/raw/v1/files", {**AUTH, "Content-Type": "multipart/form-data; boundary=x"}, body, chunked=chunked
        )
    )
    assert answer.status == 200, answer.body
    assert raw.requests[-1].body == body
    assert raw.requests[-1].get("content-type") == "multipart/form-data; boundary=x"
    assert gateway.record(answer)["request_bytes"] == len(body)


@pytest.mark.parametrize(
    "key,method,target",
    [
        (TENANT_KEY, "GET", "/raw/v1/models"),
        (TENANT_KEY, "GET", "/raw/v1/fil"),
        (TENANT_KEY, "PUT", "/raw/v1/files/x"),
        (TENANT_KEY, "POST", "/openai/v1/files"),
        (TENANT_KEY, "GET", "/raw-anthropic/v1/files"),
        (TENANT_KEY, "POST", "/raw/v1/chat/completions"),
        (NARROW_KEY, "GET", "/raw/v1/files"),
        (TENANT_KEY, "GET", "/raw/v1/files/../models"),
        (TENANT_KEY, "GET", "/raw/v1/%66iles"),
        (TENANT_KEY, "GET", "/raw//v1/files"),
        (TENANT_KEY, "GET", "/RAW/v1/files"),
    ],
)
def test_everything_else_is_refused_before_the_provider(gateway, raw, key, method, target):
    before = raw.bytes_received
    answer = gateway.exchange(
        wire.request(method, target, {"Authorization": f"Bearer {key}"}, b"" if method != "GET" else None)
    )
    assert answer.status in (403, 404, 405, 400), answer.start
    assert answer.get("x-weir-error") in ("path_not_allowed", "not_found", "method_not_allowed", "bad_request")
    assert raw.bytes_received == before


def test_a_dotted_path_under_an_allowed_prefix_cannot_climb(gateway, raw):
    before = raw.bytes_received
    for target in (
        "/raw/v1/files/../../admin",
        "/raw/v1/files/..",
        "/raw/v1/files/%2e%2e/admin",
        "/raw/v1/files/./x",
        "/raw/v1/files/..%2fadmin",
        "/raw/v1/files\\..\\x",
    ):
        answer = gateway.exchange(wire.request("GET", target, AUTH))
        assert answer.status in (400, 403, 404), target
    assert raw.bytes_received == before


def test_pass_through_without_a_key_is_refused(gateway, raw):
    before = raw.bytes_received
    assert gateway.get("/raw/v1/files").status == 401
    assert gateway.get("/raw/v1/files", {"x-api-key": PROVIDER_KEY}).status == 401
    assert raw.bytes_received == before


def test_an_upload_to_a_slow_provider_is_held_back_not_buffered(gateway, raw):
    """The client's upload waits while the provider does not read."""
    import threading
    import time

    release, taken = threading.Event(), []

    def slow(connection):
        head = connection.read_head()
        connection.requests.append(head)
        release.wait(25)
        connection.read_exactly(900000)
        connection.send(response({"ok": True}))
        connection.read_head()
        return False

    raw.on_connect = slow
    body = b"z" * 900000
    with gateway.connect(timeout=40.0) as client:
        resident = gateway.resident_bytes()
        sender = threading.Thread(target=client.send, args=(wire.request("POST", "/raw/v1/files", AUTH, body),))
        sender.start()
        time.sleep(0.5)
        grown = gateway.resident_bytes() - resident
        release.set()
        assert client.read_response().status == 200
        sender.join(5)
    assert grown < 24 << 20
