"""The figures are right: each phase shows the delay that was put into it and no other does; tokens and cost are
exact."""

import json
import pathlib
import time
from decimal import Decimal

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import SANITIZED, one_of
from harness.provider import (
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    Provider,
    chat_body,
    chat_chunk,
    chat_events,
    chunk,
    response,
)

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
SLACK = 60 if SANITIZED else 30  # ms that a busy machine may add to any sleep, or be late by at its beginning
TRIES = 20  # and one may be late by more than that
USAGE = {"stream_options": {"include_usage": True}}


def about(value, wanted):
    return wanted - SLACK / 3 <= value <= wanted + SLACK


def quiet(record, *busy):
    """All phases but the named ones are short."""
    loud = {
        name: float(ms) for name, ms in record["phases"].items() if ms > SLACK and name.removesuffix("_ms") not in busy
    }
    assert not loud, loud


@one_of(TRIES)
def test_waiting_for_the_answer_is_wait(gateway, raw):
    raw.handler = lambda c, r: (time.sleep(0.15), c.send(response(chat_body())))
    record = gateway.record(gateway.post(CHAT, chat(), AUTH))
    assert about(record["phases"]["wait_ms"], 150), record["phases"]
    quiet(record, "wait")


@one_of(TRIES)
def test_a_slow_upload_is_receive(gateway, raw):
    data = wire.request("POST", CHAT, AUTH, chat())
    with gateway.connect() as client:
        client.send(data[:40])
        time.sleep(0.08)
        client.send(data[40:-20])
        time.sleep(0.08)
        client.send(data[-20:])
        answer = client.read_response()
    record = gateway.record(answer)
    assert about(record["phases"]["receive_ms"], 160), record["phases"]
    quiet(record, "receive")


@one_of(TRIES)
def test_a_stream_is_wait_until_its_first_token_then_generate(gateway, raw):
    def handler(connection, request):
        events = chat_events(("a", "b", "c", "d", "e"))
        connection.send(STREAM_HEAD + chunk(events[0]))  # the role is no token
        time.sleep(0.1)
        for event in events[1:6]:
            connection.send(chunk(event))
            time.sleep(0.04)
        connection.send(b"".join(chunk(e) for e in events[6:]) + LAST_CHUNK)

    raw.handler = handler
    with gateway.connect() as client:
        begin = time.monotonic()
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True, **USAGE)))
        answer = client.read_head()
        first = None
        while True:
            data = client.read_chunk(answer)
            if b'"a"' in data and first is None:
                first = (time.monotonic() - begin) * 1000
            if not data:
                break
        whole = (time.monotonic() - begin) * 1000
    record = gateway.record(answer)
    assert about(record["phases"]["wait_ms"], 100) and about(record["phases"]["generate_ms"], 200), record["phases"]
    quiet(record, "wait", "generate")
    assert abs(float(record["ttft_ms"]) - first) < 10 and abs(float(record["total_ms"]) - whole) < 10
    assert record["first_visible_ms"] == record["ttft_ms"]
    assert about(record["gap_max_ms"], 40)
    # five tokens came in four gaps, but the provider says three: (last - first) / (3 - 1)
    assert record["chunks"] == 5 and 75 < record["tpot_ms"] < 75 + SLACK * 2


@one_of(TRIES)
def test_hidden_text_is_a_first_token_and_visible_text_the_first_visible_one(gateway, raw):
    def handler(connection, request):
        connection.send(STREAM_HEAD + chunk(chat_chunk({"reasoning_content": "hm"})))
        time.sleep(0.1)
        connection.send(
            chunk(chat_chunk({"content": "so"})) + chunk(chat_chunk(finish="stop")) + chunk(DONE) + LAST_CHUNK
        )

    raw.handler = handler
    record = gateway.record(gateway.post(CHAT, chat(stream=True, **USAGE), AUTH))
    assert about(record["first_visible_ms"] - record["ttft_ms"], 100)


def test_a_new_connection_is_told_apart(gateway, raw, start, certificates):
    provider = Provider(certificates / "server.pem", certificates / "server.key")
    settings = configuration(1, provider.port)
    for one in settings["providers"].values():
        one["base_url"] = one["base_url"].replace("http://127.0.0.1", "https://localhost")
        one["tls"] = {"ca": str(certificates / "ca.pem")}
    own = start({**settings, "workers": 1})
    with own.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat()))
        first = own.record(client.read_response())
        client.send(wire.request("POST", CHAT, AUTH, chat()))
        second = own.record(client.read_response())
    assert first["connection_reused"] is False and second["connection_reused"] is True
    for phase in ("dns_ms", "connect_ms", "tls_ms"):
        assert first["phases"][phase] > 0 and second["phases"][phase] == 0, (phase, first["phases"])
    provider.stop()


def test_the_clients_handshake_is_told_once_and_is_outside_the_total(gateway, raw, trusting):
    with gateway.connect(tls=trusting) as client:
        records = []
        for _ in range(2):
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            records.append(gateway.record(client.read_response()))
    assert records[0]["tls_in_ms"] > 0 and records[1]["tls_in_ms"] is None
    assert gateway.record(gateway.post(CHAT, chat(), AUTH))["tls_in_ms"] is None


@one_of(TRIES)
def test_what_weir_itself_costs_is_small(gateway, raw):
    with gateway.connect() as client:
        records = []
        for _ in range(60):
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            records.append(gateway.record(client.read_response()))
    overhead = sorted(float(r["overhead_ms"]) for r in records)[30]
    cpu = sorted(float(r["cpu_ms"]) for r in records)[30]
    assert overhead < (1 if not SANITIZED else 5) and 0 < cpu < (1 if not SANITIZED else 5), (overhead, cpu)


PRICES = json.loads(
    (pathlib.Path(__file__).parents[2] / "conf/prices.json").read_text(), parse_float=Decimal, parse_int=Decimal
)


def price(provider, model):
    return next(p for p in PRICES if p["provider"] == provider and p["model"] == model)


@pytest.mark.parametrize("counts", [(1000, 200, 0), (1840, 164, 1024), (1, 1, 0), (0, 0, 0), (1234567, 7654, 1234560)])
def test_the_cost_is_exact(gateway, mock, counts):
    read, wrote, cached = counts
    answer = gateway.post(
        CHAT,
        chat("fast"),
        {**AUTH, "x-mock-input-tokens": str(read), "x-mock-tokens": str(wrote), "x-mock-cached-tokens": str(cached)},
    )
    record = gateway.record(answer)
    assert (record["input_tokens"], record["output_tokens"], record["cache_read_tokens"]) == counts
    row = price("openai", "gpt-4o-mini")
    wanted = ((read - cached) * row["input"] + cached * row["cache_read"] + wrote * row["output"]) / 1000000
    assert record["cost_usd"] == wanted


def test_anthropics_cached_tokens_are_part_of_the_input_and_cost_their_own_price(gateway, mock):
    body = {"model": "claude-opus-4-8", "max_tokens": 1000, "messages": [{"role": "user", "content": "x"}]}
    for stream in (False, True):
        answer = gateway.post(
            "/v1/messages",
            {**body, "stream": stream},
            {
                **AUTH,
                "x-mock-input-tokens": "500",
                "x-mock-tokens": "50",
                "x-mock-cached-tokens": "200",
                "x-mock-cache-write-tokens": "100",
            },
        )
        record = gateway.record(answer)
        assert (
            record["input_tokens"],
            record["output_tokens"],
            record["cache_read_tokens"],
            record["cache_write_tokens"],
        ) == (500, 50, 200, 100), stream
        row = price("anthropic", "claude-opus-4-8")
        wanted = 200 * row["input"] + 200 * row["cache_read"] + 100 * row["cache_write"] + 50 * row["output"]
        assert record["cost_usd"] == wanted / 1000000, stream


def test_a_model_without_a_price_has_no_cost(gateway, raw):
    assert gateway.record(gateway.post(CHAT, chat("raw-unpriced"), AUTH))["cost_usd"] is None


def test_absurd_usage_is_clamped_and_breaks_nothing(gateway, raw):
    for usage in (
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 1e300, "completion_tokens": "7"},
        {"prompt_tokens": 2**70, "completion_tokens": None},
        {},
        None,
        [],
        "x",
    ):
        raw.handler = lambda c, r, usage=usage: c.send(response(chat_body(usage=usage)))
        answer = gateway.post(CHAT, chat(), AUTH)
        assert answer.status == 200
        record = gateway.record(answer)
        assert record["error"] is None and record["input_tokens"] >= 0


def test_workloads_are_matched_by_path_and_model(own, raw):
    own = own(
        workloads={
            "asking": {"match": {"path": CHAT, "model": "raw-1"}},
            "other": {"match": {"path": "/v1/embeddings"}},
        }
    )
    assert own.record(own.post(CHAT, chat(), AUTH))["workload"] == "asking"
    assert own.record(own.post(CHAT, chat("raw-2"), AUTH))["workload"] is None
    named = own.post(CHAT, chat("raw-2"), {**AUTH, "x-weir-workload": "asking"})
    assert own.record(named)["workload"] == "asking"


def test_the_record_says_what_was_asked_and_by_whom(gateway, raw):
    answer = gateway.post(f"{CHAT}?a=b", chat("rawalias"), {**AUTH, "User-Agent": "agent/1"})
    record = gateway.record(answer)
    assert (record["method"], record["path"], record["client"], record["user_agent"]) == (
        "POST",
        CHAT,
        "127.0.0.1",
        "agent/1",
    )
    assert (record["replica"], record["tenant"], record["key_id"], record["tags"]) == (
        "gw-test",
        "acme",
        "main",
        {"plan": "gold"},
    )
    assert record["model"] == "raw-1", "the model is the one that answered"
    assert (record["request_bytes"], record["response_bytes"]) == (len(json.dumps(chat("rawalias"))), len(answer.body))
    assert record["in_flight"] >= 0 and record["cache"] == "off" and record["rtt_ms"]["client"] > 0


def test_weights_share_the_work(start, raw, mock):
    settings = configuration(mock.port, raw.port)
    settings["models"]["shared"] = {
        "targets": [{"provider": "raw", "model": "raw-a", "weight": 3}, {"provider": "raw", "model": "raw-b"}]
    }
    own = start(settings)
    with own.connect() as client:
        for _ in range(400):
            client.send(wire.request("POST", CHAT, AUTH, chat("shared")))
            assert client.read_response().status == 200
    seen = [r.json()["model"] for r in raw.requests[-400:]]
    assert 240 < seen.count("raw-a") < 360 and seen.count("raw-a") + seen.count("raw-b") == 400
