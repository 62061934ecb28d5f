"""Live numbers: what happens now, for the operator by any key, for a tenant its own models alone."""

import json
import time

import pytest

from conftest import NARROW_KEY, PROVIDER_KEY, TENANT_KEY, chat
from harness import wire
from harness.gateway import wait_until
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_events, chunk

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
NARROW = {"Authorization": f"Bearer {NARROW_KEY}"}
CHAT = "/v1/chat/completions"

ROW = """requests rps in_flight queued errors refused abandoned ttft_ms first_visible_ms tpot_ms total_ms overhead_ms
input_tokens output_tokens cache_read_tokens reasoning_tokens prompt_cache_share response_cache_share
output_tokens_per_s cost_usd waste_usd usd_per_h""".split()


def live(gateway, query=""):
    answer = gateway.get(f"/api/live{query}", admin=True)
    assert answer.status == 200 and answer.get("content-type") == "application/json", answer.body
    return answer.json()


def row(answer, **keys):
    found = [r for r in answer["rows"] if all(r.get(k) == v for k, v in keys.items())]
    assert len(found) <= 1
    return found[0] if found else None


def refused_health(answer):
    return row(answer, provider=None, model=None)["health"]


def test_it_shows_what_was_asked_of_each_model_within_two_seconds(own, raw):
    gateway = own()
    raw.handler = lambda c, r: (
        time.sleep(0.05),
        c.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()) + LAST_CHUNK),
    )
    body = {**chat("raw-live", stream=True), "stream_options": {"include_usage": True}}
    for _ in range(3):
        assert gateway.post(CHAT, body, AUTH).status == 200
    gateway.post(CHAT, chat("nobody-serves-it"), AUTH)
    answer = wait_until(
        lambda: (a := live(gateway))["total"]["requests"] == 4
        and a["total"]["in_flight"] == 0
        and a["loop_lag_ms"]["n"] > 0
        and a,
        5,
        "four requests among the live numbers",
    )
    found = row(answer, provider="raw", model="raw-live")
    assert list(found) == ["provider", "model", "health", *ROW]
    assert (found["requests"], found["errors"], found["refused"], found["in_flight"]) == (3, 0, 0, 0)
    assert (found["input_tokens"], found["output_tokens"]) == (33, 9)
    assert found["health"] in ("up", None) and refused_health(answer) is None  # null: nothing is known of it
    assert found["rps"] > 0 and found["ttft_ms"]["n"] == 3 and 50 <= found["ttft_ms"]["p50"] < 20000
    assert found["ttft_ms"]["p50"] <= found["ttft_ms"]["p95"] <= found["ttft_ms"]["p99"] <= found["ttft_ms"]["max"]
    assert found["cost_usd"] == 0 and found["usd_per_h"] == 0  # no known price
    refused = row(answer, provider=None, model=None)
    assert (refused["requests"], refused["refused"]) == (1, 1)
    assert list(answer) == (
        "time window_s scope replicas missing_replicas by rows other total loop_lag_ms redis_up dropped".split()
    )
    assert (answer["window_s"], answer["scope"], answer["replicas"]) == (60, "replica", ["gw-test"])
    assert answer["loop_lag_ms"]["n"] > 0 and answer["redis_up"] is None and answer["other"] is None
    assert answer["dropped"] == {"records": 0, "spans": 0}


def test_what_is_in_flight_is_seen_while_it_is(own, raw):
    gateway = own()
    raw.handler = lambda c, r: c.wait_for_end(20)
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat("raw-slow")))
        wait_until(
            lambda: (found := row(live(gateway), model="raw-slow")) and found["in_flight"] == 1, 5, "one in flight"
        )
    wait_until(lambda: live(gateway)["total"]["in_flight"] == 0, 5, "none in flight")
    assert row(live(gateway), model="raw-slow")["abandoned"] == 1


def test_by_filters_and_windows(own, raw):
    gateway = own()
    for key, model in ((AUTH, "raw-1"), (AUTH, "raw-2"), (AUTH, "raw-2")):
        gateway.post(CHAT, chat(model), key)
    gateway.post(CHAT, chat("fast"), NARROW)
    wait_until(lambda: live(gateway)["total"]["requests"] == 4, 5, "four requests")
    answer = live(gateway, "?by=tenant&window=15m")
    assert all(r["health"] is None for r in answer["rows"])  # no single target
    assert answer["by"] == ["tenant"] and answer["window_s"] == 900
    assert [(r["tenant"], r["requests"]) for r in answer["rows"]] == [("acme", 3), ("narrow", 1)]
    answer = live(gateway, "?by=model,tenant&tenant=acme&model=raw-2")
    assert [(r["tenant"], r["model"], r["requests"]) for r in answer["rows"]] == [("acme", "raw-2", 2)]
    assert live(gateway, "?tenant=acme&tenant=narrow&by=")["total"]["requests"] == 4
    assert live(gateway, "?tenant=no%20body")["rows"] == []


@pytest.mark.parametrize(
    "query, field",
    [
        ("window=5s", "window"),
        ("window=16m", "window"),
        ("window=", "window"),
        ("by=session", "by"),
        ("stream=yes", "stream"),
        ("colour=red", "colour"),
        ("by=%ff", "query"),
        ("&".join(["tenant=a"] * 40), "tenant"),
    ],
)
def test_what_is_not_understood_is_said(gateway, query, field):
    answer = gateway.get(f"/api/live?{query}", admin=True)
    assert answer.status == 400 and answer.json()["error"]["code"] == "bad_query", answer.body
    assert answer.json()["error"]["field"] == field


def test_as_a_stream_it_tells_each_second_and_ends_with_its_reader(own, raw):
    gateway = own()
    with wire.connect(gateway.admin_port) as client:
        client.send(wire.request("GET", "/api/live?stream=1&by=model", host=f"127.0.0.1:{gateway.admin_port}"))
        head = client.read_head()
        assert head.status == 200 and head.get("content-type") == "text/event-stream"
        first = json.loads(client.read_until(b"\n\n").removeprefix(b"data: "))
        assert first["total"]["requests"] == 0
        gateway.post(CHAT, chat("raw-streamed"), AUTH)

        def seen():
            event = json.loads(client.read_until(b"\n\n").removeprefix(b"data: "))
            return row(event, model="raw-streamed")

        wait_until(seen, 6, "the request in an event")
        client.send(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")  # nothing is answered on a stream
        assert client.read_until(b"\n\n").startswith(b"data: ")
    assert live(gateway)["total"]["requests"] == 1


def test_streams_are_bounded(own):
    gateway = own()
    clients = [wire.connect(gateway.admin_port) for _ in range(33)]
    try:
        for client in clients:
            client.send(wire.request("GET", "/api/live?stream=1", host=f"127.0.0.1:{gateway.admin_port}"))
        statuses = [client.read_head().status for client in clients]
        assert sorted(statuses) == [200] * 32 + [429]
        clients[statuses.index(200)].close()

        def again():
            with wire.connect(gateway.admin_port) as one:
                one.send(wire.request("GET", "/api/live?stream=1", host=f"127.0.0.1:{gateway.admin_port}"))
                return one.read_head().status == 200

        wait_until(again, 5, "room for one more")
    finally:
        for client in clients:
            client.close()


def test_a_tenant_sees_its_own_models_alone(own, raw):
    gateway = own()
    gateway.post(CHAT, chat("raw-secret"), AUTH)
    gateway.post(CHAT, chat("fast"), NARROW)

    def answer(key, query=""):
        got = gateway.get(f"/weir/live{query}", key)
        assert got.status == 200, got.body
        return got.json()

    wait_until(lambda: answer(AUTH)["total"]["requests"] == 1, 5, "the tenant's request")
    wait_until(lambda: answer(NARROW)["total"]["requests"] == 1, 5, "the other's request")
    mine = answer(AUTH)
    assert list(mine) == "time window_s scope by rows other total".split() and mine["by"] == ["model"]
    assert [list(r) for r in mine["rows"]] == [["model", *ROW]] and mine["rows"][0]["model"] == "raw-secret"
    assert [r["model"] for r in answer(NARROW, "?window=5m")["rows"]] == ["gpt-4o-mini"]
    assert "secret" not in json.dumps(answer(NARROW, "?window=5m&tenant=acme&by=tenant"))
    for got in (answer(AUTH), live(gateway)):
        assert TENANT_KEY not in json.dumps(got) and PROVIDER_KEY not in json.dumps(got)


def test_a_tenants_own_question_is_no_traffic_and_needs_its_key(own, raw):
    gateway = own()
    assert gateway.get("/weir/live").status == 401
    assert gateway.get("/weir/live", {"Authorization": "Bearer sk-weir-nobody"}).status == 401
    assert gateway.get("/weir/live?window=1s", AUTH).status == 400
    assert gateway.post("/weir/live", {}, AUTH).status == 405
    for _ in range(3):
        assert gateway.get("/weir/live", AUTH).status == 200
    assert wait_until(lambda: [r for r in gateway.records() if r["path"] == "/weir/live" and r["status"] == 200], 5)
    gateway.post(CHAT, chat("raw-1"), AUTH)
    wait_until(lambda: row(live(gateway), model="raw-1"), 5, "a real request")
    assert sum(r["requests"] for r in live(gateway)["rows"] if r["model"]) == 1
    assert live(gateway, "?tenant=acme")["total"]["refused"] == 0
