"""Live numbers of replicas that share a Redis: each answers for all, and says who is missing."""

import time

import pytest

from conftest import NARROW_KEY, TENANT_KEY, chat
from harness import redis, wire
from harness.gateway import wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
NARROW = {"Authorization": f"Bearer {NARROW_KEY}"}
CHAT = "/v1/chat/completions"


@pytest.fixture
def server(tmp_path):
    server = redis.Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def fleet(server, own):
    """fleet(n): so many replicas with the server between them."""

    def make(count, url=None, first=0):
        state = {"backend": "redis", "redis": {"url": url or server.url, "timeout": "10s"}}
        return [own(state=state, instance={"name": f"gw-{first + i}"}) for i in range(count)]

    return make


def live(gateway, query="?by=model&window=15m"):
    answer = gateway.get("/api/live" + query, admin=True)
    assert answer.status == 200, answer.body
    return answer.json()


def until(gateway, condition, what, seconds=30):
    seen = []

    def met():
        seen.append(live(gateway))
        return condition(seen[-1]) and seen[-1]

    try:
        return wait_until(met, seconds, what)
    except AssertionError as error:
        last = {k: v for k, v in seen[-1].items() if k not in ("rows", "other")}
        raise AssertionError(f"{error}: {last}") from None


def test_each_replica_answers_for_all(fleet, raw):
    gateways = fleet(3)
    names = {"gw-0", "gw-1", "gw-2"}
    for gateway in gateways:
        until(gateway, lambda a: a["scope"] == "fleet" and set(a["replicas"]) == names, "all replicas to be known")
    for i, gateway in enumerate(gateways):
        for _ in range(i + 1):
            assert gateway.post(CHAT, chat("raw-fleet", stream=True), AUTH).status == 200
    gateways[2].post(CHAT, chat("fast"), NARROW)
    answers = [until(g, lambda a: a["total"]["requests"] == 7, "the requests of all") for g in gateways]
    for i, answer in enumerate(answers):
        found = next(r for r in answer["rows"] if r["model"] == "raw-fleet")
        assert found["requests"] == 6 and found["ttft_ms"]["n"] == 6 and found["input_tokens"] == 66
        assert answer["replicas"][0] == f"gw-{i}" and answer["missing_replicas"] == [] and answer["redis_up"] is True
    # a tenant's own, wherever it asks, and no other's
    for gateway in gateways:
        own = gateway.get("/weir/live", AUTH).json()
        assert (own["scope"], own["total"]["requests"], [r["model"] for r in own["rows"]]) == ("fleet", 6, ["raw-fleet"])
        assert "replicas" not in own


def test_what_is_in_flight_anywhere_is_seen_everywhere_and_only_while_it_is(fleet, raw):
    one, two = fleet(2)
    until(one, lambda a: len(a["replicas"]) == 2, "the other replica")
    raw.handler = lambda c, r: c.wait_for_end(30)
    with two.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat("raw-slow")))
        until(one, lambda a: a["total"]["in_flight"] == 1, "the other's request in flight")
    until(one, lambda a: a["total"]["in_flight"] == 0 and a["total"]["abandoned"] == 1, "its end")


def test_a_replica_that_is_gone_is_named_and_its_numbers_stay(fleet, raw):
    one, two = fleet(2)
    until(one, lambda a: len(a["replicas"]) == 2, "the other replica")
    two.post(CHAT, chat("raw-1"), AUTH)
    until(one, lambda a: a["total"]["requests"] == 1, "the other's request")
    two.stop_and_check()
    two.judged = True
    answer = until(one, lambda a: a["missing_replicas"] == ["gw-1"], "the missing replica to be named")
    assert (answer["replicas"], answer["scope"], answer["total"]["requests"]) == (["gw-0"], "fleet", 1)
    fleet(1, first=1)  # it comes back, under its name
    answer = until(one, lambda a: a["replicas"] == ["gw-0", "gw-1"], "it to be back")
    assert answer["missing_replicas"] == []


def test_without_redis_each_answers_for_itself_and_says_so(fleet, server, raw):
    one, two = fleet(2)
    until(one, lambda a: len(a["replicas"]) == 2, "the other replica")
    server.kill()
    one.post(CHAT, chat("raw-1"), AUTH)

    def is_alone(a):
        return a["missing_replicas"] == ["gw-1"] and a["redis_up"] is False and a["total"]["requests"] == 1

    until(one, is_alone, "the other to be missing")
    until(one, lambda a: a["scope"] == "replica", "to answer for itself alone")
    took = []
    for _ in range(5):
        begin = time.monotonic()
        live(one)
        took.append(time.monotonic() - begin)
    assert min(took) < 0.2, "nothing waits for Redis"
    server.restart()
    two.post(CHAT, chat("raw-1"), AUTH)
    answer = until(one, lambda a: a["replicas"] == ["gw-0", "gw-1"] and a["total"]["requests"] == 2, "both again")
    assert answer["scope"] == "fleet" and answer["missing_replicas"] == []


def test_what_others_wrote_there_breaks_nothing(fleet, server, raw):
    (one,) = fleet(1)
    until(one, lambda a: a["scope"] == "fleet", "Redis to be asked")
    now = str(int(time.time()))
    stranger = "00000000000000ff"
    for value in (f"{now} x", "nonsense", f"{now}", f"99999999999999999999 y", "-5 z"):
        server.call("HSET", "weir:{live}replicas", stranger, value)
        server.call("HSET", "weir:{live}replicas", "not a number", value)
        for second in range(128):
            server.call("HSET", "weir:{" + stranger + "}live", str(second), value + "\nbroken:1:2\n")
        before = live(one)["time"]
        until(one, lambda a: a["time"] > before, "another second", seconds=10)
    answer = until(one, lambda a: a["scope"] == "fleet", "an answer for all")
    assert answer["total"]["requests"] == 0, answer


def test_every_key_has_an_end(fleet, server, raw):
    (one,) = fleet(1)
    until(one, lambda a: a["scope"] == "fleet", "Redis to be asked")

    def keys():
        return [k for k in server.keys() if k.endswith(b"}live") or k.endswith(b"{live}replicas")]

    wait_until(lambda: len(keys()) == 2, 10, "the keys of live numbers")
    for key in keys():
        wait_until(lambda: 0 < server.call("TTL", key) <= 86400, 10, f"an end of {key}")
