"""What was used: a tenant's own day and month, and the whole gateway's by tenant, model, minute, hour and day."""

import datetime
import threading
from decimal import Decimal
from urllib.parse import quote

import pytest
from conftest import NARROW_KEY, TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import Gateway, wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
NARROW = {"Authorization": f"Bearer {NARROW_KEY}"}
CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.usefixtures("one_day")
ROW = (
    "requests rps in_flight queued errors refused abandoned input_tokens output_tokens cache_read_tokens "
    "reasoning_tokens prompt_cache_share response_cache_share output_tokens_per_s cost_usd waste_usd usd_per_h"
).split()
MEASURES = "ttft_ms first_visible_ms tpot_ms total_ms overhead_ms".split()


def instant(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


def mine(gateway, fields=None):
    answer = gateway.get("/weir/usage", fields or AUTH)
    assert answer.status == 200
    return answer.json()


def api(gateway, query="", status=200):
    answer = gateway.get("/api/usage" + ("?" + query if query else ""), admin=True)
    assert answer.status == status, answer.body
    return answer.json()


def every(gateway, query, scope=None):
    """All pages; None when one of them is of another scope than what is asked for."""
    rows, cursor = [], None
    while True:
        page = api(gateway, query + (f"&cursor={cursor}" if cursor else ""))
        if scope not in (None, page["scope"]):
            return None
        rows += page["rows"]
        cursor = page["next"]
        if cursor is None:
            return rows


@pytest.fixture(scope="module")
def spent(tmp_path_factory, mock, raw_provider):
    """A gateway that served nine requests, of two tenants and three models."""
    gateway = Gateway(tmp_path_factory.mktemp("spent"), configuration(mock.port, raw_provider.port))
    for fields, model, times in ((AUTH, "gpt-4o-mini", 4), (AUTH, "gpt-4o", 2), (NARROW, "fast", 3)):
        for _ in range(times):
            assert gateway.post(CHAT, chat(model), fields).status == 200
    counted(gateway, 6)
    counted(gateway, 3, NARROW)
    yield gateway
    gateway.stop_and_check()


def counted(gateway, requests, fields=None):
    wait_until(lambda: mine(gateway, fields)["today"]["requests"] == requests, 10, f"{requests} requests counted")


def test_today_and_this_month_are_what_the_records_say(own):
    gateway = own()
    answers = [gateway.post(CHAT, chat("gpt-4o-mini", stream=bool(i % 2)), AUTH) for i in range(6)]
    answers.append(gateway.post(CHAT, chat("gpt-4o-mini"), {**AUTH, "x-mock-error": "500"}))
    answers.append(gateway.post(CHAT, chat("no-such-model"), AUTH))  # refused: no provider serves it
    answers.append(gateway.post(CHAT, b"{", AUTH))  # the client's fault
    for _ in range(3):
        assert gateway.get("/v1/models", AUTH).status == 200  # answered by weir itself: no use of a model
    records = [gateway.record(a) for a in answers]
    counted(gateway, len(answers))
    seen = mine(gateway)
    assert seen["tenant"] == "acme" and seen["scope"] == "replica"
    for period in (seen["today"], seen["month"]):
        assert list(period) == ["since", *ROW]
        assert (period["errors"], period["refused"], period["abandoned"]) == (1, 1, 1)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"):
            assert period[name] == sum(r[name] for r in records), name
        assert Decimal(str(period["cost_usd"])) == sum(Decimal(str(r["cost_usd"])) for r in records)
        assert period["in_flight"] is None and period["queued"] is None and period["rps"] > 0
        assert instant(period["since"]) <= instant(seen["time"])
    assert mine(gateway, NARROW)["today"]["requests"] == 0, "another tenant's is not this one's"


def test_a_stream_that_runs_counts_when_it_ends(own):
    gateway = own()
    with gateway.connect() as client:
        fields = {**AUTH, "x-mock-ttft-ms": "60000"}
        client.send(wire.request("POST", CHAT, fields, chat("gpt-4o-mini", stream=True)))
        wait_until(lambda: "weir_in_flight 1" in gateway.get("/metrics", admin=True).body.decode(), 5, "it runs")
        assert mine(gateway)["today"]["requests"] == 0
    counted(gateway, 1)
    assert mine(gateway)["today"]["abandoned"] == 1


def test_the_whole_gateway_by_tenant_and_model(own):
    gateway = own()
    for fields, model, times in ((AUTH, "gpt-4o-mini", 3), (AUTH, "gpt-4o", 2), (NARROW, "fast", 4)):
        for _ in range(times):
            assert gateway.post(CHAT, chat(model), fields).status == 200
    assert gateway.post(CHAT, chat("gpt-4o")).status == 401  # of no tenant
    counted(gateway, 5)
    counted(gateway, 4, NARROW)
    wait_until(lambda: sum(r["requests"] for r in every(gateway, "")) == 10, 10, "all ten")
    answer = api(gateway, "from=-1h&by=tenant,model,provider")
    assert list(answer) == ["from", "to", "step_s", "scope", "since", "by", "rows", "next"]
    assert answer["by"] == ["tenant", "provider", "model"] and answer["next"] is None
    got = {(r["tenant"], r["provider"], r["model"]): r["requests"] for r in answer["rows"]}
    assert got == {
        (None, None, None): 1,
        ("acme", "openai", "gpt-4o"): 2,
        ("acme", "openai", "gpt-4o-mini"): 3,
        ("narrow", "openai", "gpt-4o-mini"): 4,
    }
    row = next(r for r in answer["rows"] if r["tenant"] == "narrow")
    assert list(row) == ["time", "tenant", "provider", "model", *ROW[:7], *MEASURES, *ROW[7:]]
    assert row["total_ms"]["n"] == 4 and 0 < row["total_ms"]["p50"] <= row["total_ms"]["max"]
    assert row["ttft_ms"] is None, "none of them was streamed"
    acme = api(gateway, "from=-1h&tenant=acme&tenant=narrow&model=gpt-4o-mini&by=tenant")["rows"]
    assert [(r["tenant"], r["requests"]) for r in acme] == [("acme", 3), ("narrow", 4)]
    assert [r["requests"] for r in api(gateway, "tenant=")["rows"]] == [1]


@pytest.mark.parametrize("step", ["1m", "5m", "1h", "1d", "90m", ""])
def test_every_step_adds_up_to_the_same(spent, step):
    answer = api(spent, "from=-2h&limit=500&by=model" + (f"&step={step}" if step else ""))
    assert sum(r["requests"] for r in answer["rows"]) == 9
    start, end = instant(answer["from"]), instant(answer["to"])
    assert start <= instant(answer["since"]) <= end
    for row in answer["rows"]:
        offset = (instant(row["time"]) - start).total_seconds()
        assert offset % answer["step_s"] == 0 and start <= instant(row["time"]) < end
    assert not step or answer["step_s"] == {"1m": 60, "5m": 300, "1h": 3600, "1d": 86400, "90m": 5400}[step]


def test_pages_go_on_where_the_last_one_ended(spent):
    whole = every(spent, "from=-1d&by=tenant,model&step=1d&limit=500")
    assert len(whole) >= 3
    for size in (1, 2):
        paged = every(spent, f"from=-1d&by=tenant,model&step=1d&limit={size}")
        assert [(r["time"], r["tenant"], r["model"], r["requests"]) for r in paged] == [
            (r["time"], r["tenant"], r["model"], r["requests"]) for r in whole
        ]


@pytest.mark.parametrize(
    "query,field",
    [
        ("from=yesterday", "from"),
        ("to=2026-02-30T00:00:00Z", "to"),
        ("from=-1h&to=-2h", "from"),
        ("from=-9999999999999d", "from"),
        ("step=90s", "step"),
        ("step=0m", "step"),
        ("by=tenant,session", "by"),
        ("limit=501", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=00", "cursor"),
        ("cursor=" + "zz" * 20, "cursor"),
        ("release=web-418", "query"),
        ("tag.plan=gold", "query"),
        ("a=%00", "query"),
        ("a=" + quote(b"\xff"), "query"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(spent, query, field):
    error = api(spent, query, 400)["error"]
    assert error["code"] == "bad_query" and error["field"] == field and error["message"].startswith(field + ": ")


def of_chats(gateway):
    return [r for r in gateway.records() if r["path"] == CHAT]


def test_nothing_is_lost_under_load(own):
    """Workers count, the recorder looks: after the last answer every request is there, once."""
    gateway = own()
    clients, each = 8, 60

    def run():
        with gateway.connect() as client:
            for i in range(each):
                client.send(wire.request("POST", CHAT, AUTH, chat("gpt-4o-mini", stream=bool(i % 2))))
                assert client.read_response().status == 200

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted(gateway, clients * each)
    rows = every(gateway, "from=-1h&by=tenant")
    assert sum(r["requests"] for r in rows) == sum(r["total_ms"]["n"] for r in rows) == clients * each
    wait_until(lambda: len(of_chats(gateway)) == clients * each, 5, "a record of each")
    records = of_chats(gateway)
    assert sum(r["output_tokens"] for r in rows) == sum(r["output_tokens"] for r in records)
