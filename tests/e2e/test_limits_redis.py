"""Limits that hold over all replicas: real gateways around a real Redis."""

import concurrent.futures
import json
import pathlib
import re
import time

import pytest
import test_queues
from conftest import TENANT_KEY, chat, tenants

from harness import redis as redis_server
from harness import wire
from harness.gateway import digest, wait_until

KEY = [("Authorization", f"Bearer {TENANT_KEY}")]
CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.usefixtures("one_day")  # some have limits of money by the day
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def fleet(own, redis):
    """fleet(limits, replicas=1, …): gateways that share their limits. Redis is empty, and they have all reached it."""

    def make(limits, replicas=1, url=None, tenant=None, there=True, workers=2, **state):
        if there:
            redis.call("FLUSHALL")
        acme = {**tenants()["acme"], "limits": limits, **(tenant or {})}
        settings = {"url": url or redis.url, "timeout": "10s", **state}  # for Redis too a busy machine may keep waiting
        gateways = [
            own(
                instance={"name": f"gw-{i}"},
                workers=workers,
                tenants={"acme": acme},
                state={"backend": "redis", "redis": settings},
            )
            for i in range(replicas)
        ]
        if there:
            wait_until(lambda: all(map(reached, gateways)), 15, "every worker to have reached Redis")
        return gateways

    return make


def reached(gateway):
    """Until then each worker decides for itself."""
    return "\nweir_redis_up 1\n" in metrics_of(gateway)


def ask(gateway, body=None, path=CHAT, fields=KEY):
    return gateway.post(path, json.dumps(body or chat("gpt-4o-mini", max_tokens=8)).encode(), fields)


def usage(gateway):
    """Where the fleet stands. After Redis was away, one worker may know it again before another does."""

    def told():
        answer = gateway.get("/weir/usage", KEY)
        assert answer.status == 200
        return answer.json()["scope"] == "fleet" and answer.json()

    return {(row["limit"], row["model"]): row for row in wait_until(told, 10, "Redis to be back")["limits"]}


def hammer(gateways, each, threads=4, body=None):
    """All of them at once: `each` requests a gateway; their statuses."""

    def run(gateway, count):
        statuses = []
        with gateway.connect(timeout=30) as client:
            for _ in range(count):
                client.send(wire.request("POST", CHAT, KEY, json.dumps(body or chat("gpt-4o-mini")).encode()))
                statuses.append(client.read_response().status)
        return statuses

    with concurrent.futures.ThreadPoolExecutor(len(gateways) * threads) as pool:
        runs = [pool.submit(run, g, each // threads) for g in gateways for _ in range(threads)]
        return [status for r in runs for status in r.result()]


@pytest.mark.parametrize("replicas", [1, 3, 8])
def test_exactly_as_many_as_allowed_get_in_over_all_replicas(fleet, replicas):
    allowed = 16 * replicas
    gateways = fleet({"requests_per_minute": allowed}, replicas)
    statuses = hammer(gateways, 48)
    assert sorted(statuses) == [200] * allowed + [429] * (2 * allowed)
    for gateway in gateways:
        assert usage(gateway)[("requests_per_minute", None)]["used"] == allowed


def test_what_is_reserved_is_settled_with_what_was_used(fleet):
    first, second = fleet({"tokens_per_minute": 100000, "usd_per_day": 25, "concurrent_requests": 5}, 2)
    answer = ask(first, chat("gpt-4o-mini", max_tokens=50000))
    assert answer.status == 200
    record = first.record(answer)
    assert record["limiter_ms"] > 0 and record["phases"]["admit_ms"] >= record["limiter_ms"]
    wait_until(lambda: usage(second)[("concurrent_requests", None)]["used"] == 0, 5, "the settlement")
    rows = usage(second)
    used = int(record["input_tokens"] + record["output_tokens"])
    assert rows[("tokens_per_minute", None)]["reserved"] == 0 and rows[("tokens_per_minute", None)]["used"] <= used
    assert rows[("usd_per_day", None)]["used"] == float(record["cost_usd"])
    assert rows[("usd_per_day", None)]["reserved"] == 0


@pytest.mark.parametrize("replicas,workers", [(4, 2), (3, 8)])
def test_over_time_no_minute_sees_more_than_the_limit_in_lease_mode(fleet, replicas, workers):
    """What is taken ahead is taken once: all workers of all replicas together let in no more than one would."""
    allowed = 200
    limits = {"requests_per_minute": allowed, "tokens_per_minute": 1000000}
    gateways = fleet(limits, replicas, mode="lease", workers=workers)
    statuses = []
    for _ in range(3):
        statuses += hammer(gateways, 240 // replicas, threads=workers)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= allowed

    def rest():
        statuses.append(ask(gateways[0], chat("gpt-4o-mini")).status)
        return statuses.count(200) == allowed

    wait_until(rest, 10, "what nobody used, given back")
    assert ask(gateways[1], chat("gpt-4o-mini")).status == 429


def test_in_lease_mode_most_requests_ask_nobody(fleet):
    (gateway,) = fleet({"requests_per_minute": 100000, "concurrent_requests": 1000}, mode="lease")
    assert set(hammer([gateway], 400)) == {200}
    wait_until(lambda: len(gateway.records()) >= 400, 5, "the records")
    asked = [r for r in gateway.records() if r["path"] == CHAT and r["limiter_ms"] is not None]
    assert len(asked) < 200
    row = wait_until(
        lambda: (r := usage(gateway)[("concurrent_requests", None)])["used"] == 0 and r, 5, "slots to be given back"
    )
    assert row["remaining"] == 1000
    wait_until(lambda: usage(gateway)[("requests_per_minute", None)]["used"] == 400, 5, "all of them to be told")


def test_a_replica_that_dies_has_given_back_its_slots_within_seconds(fleet):
    first, second = fleet({"concurrent_requests": 1, "usd_per_day": 100}, 2)
    with first.connect() as client:
        body = json.dumps(chat("gpt-4o-mini", stream=True, max_tokens=100)).encode()
        client.send(wire.request("POST", CHAT, [*KEY, ("x-mock-ttft-ms", "60000")], body))
        wait_until(lambda: usage(second)[("concurrent_requests", None)]["used"] == 1, 5, "the slot to be taken")
        assert ask(second).get("x-weir-limit") == "concurrent_requests"
        first.process.kill()
        first.process.wait()
        first.judged = True
        wait_until(lambda: ask(second).status == 200, 40, "the slot to be free")
    wait_until(lambda: usage(second)[("usd_per_day", None)]["reserved"] == 0, 5, "the money to be free")


def test_what_a_replica_that_dies_had_taken_ahead_comes_back(fleet):
    limits = {"requests_per_minute": 10000, "tokens_per_minute": 100000, "concurrent_requests": 400, "usd_per_day": 100}
    first, second = fleet(limits, 2, mode="lease")
    answered = 0

    def is_told():
        row = usage(second)[("requests_per_minute", None)]
        return row["used"] == answered and row["reserved"] > 0

    def some_is_held():
        """What it holds it gives back after a second: a busy machine may see that only."""
        nonlocal answered
        answered += hammer([first], 200).count(200)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            if is_told():
                return True
        return False

    wait_until(some_is_held, 30, "all that was used and what it holds, told")
    first.process.kill()
    first.process.wait()
    first.judged = True

    def is_back():
        rows = usage(second)
        held = [rows[(name, None)]["reserved"] for name in ("requests_per_minute", "tokens_per_minute", "usd_per_day")]
        return held == [0, 0, 0] and rows[("concurrent_requests", None)]["used"] == 0 and rows

    assert wait_until(is_back, 40, "what it held")[("requests_per_minute", None)]["used"] == answered


def test_a_replica_that_stops_gives_back_everything_at_once(fleet):
    first, second = fleet({"requests_per_minute": 1000, "concurrent_requests": 50}, 2, mode="lease")
    assert set(hammer([first], 40)) == {200}
    first.stop_and_check()
    first.judged = True
    rows = usage(second)
    assert rows[("concurrent_requests", None)]["used"] == 0
    assert rows[("requests_per_minute", None)]["used"] == 40 and rows[("requests_per_minute", None)]["reserved"] == 0


# ---- Redis in trouble ----


@pytest.fixture
def proxy(redis):
    """Named before `fleet` it outlives the gateways: what they have settled last they tell when they end."""
    proxy = redis_server.Proxy(redis.port)
    yield proxy
    proxy.stop()


def spent(gateways):
    return round(sum(float(r["cost_usd"]) for g in gateways for r in g.records()), 12)


@pytest.mark.parametrize("mode", ["exact", "lease"])
def test_money_is_counted_once_whatever_becomes_of_the_connection(proxy, fleet, mode):
    """Cut and held again and again under load: in the end Redis knows the money that the records tell, to the last digit."""
    gateways = fleet(
        {"usd_per_day": 1000, "tokens_per_minute": 10000000, "models": {"gpt-4o-mini": {"requests_per_minute": 100000}}},
        2, url=proxy.url, timeout="30ms", on_failure="allow", mode=mode,
    )
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(hammer, gateways, 400, 4, chat("gpt-4o-mini", max_tokens=5))
        while not load.done():
            proxy.cut()
            time.sleep(0.05)
            proxy.hold = True
            time.sleep(0.05)
            proxy.hold = False
        assert set(load.result()) == {200}
    expected = wait_until(lambda: len([1 for g in gateways for r in g.records()]) >= 800 and spent(gateways), 10, "the records")

    def settled():
        answer = gateways[0].get("/weir/usage", KEY).json()
        rows = {row["limit"]: row for row in answer["limits"]}
        money = rows["usd_per_day"]
        return answer["scope"] == "fleet" and money["reserved"] == 0 and money["used"] == expected

    wait_until(settled, 40, f"{expected} dollars in Redis")


@pytest.mark.parametrize("on_failure", ["local", "allow", "deny"])
def test_without_redis_each_replica_does_as_it_was_told(fleet, redis, on_failure):
    gateways = fleet({"requests_per_minute": 40}, 2, on_failure=on_failure)
    for gateway in gateways:
        wait_until(lambda: "weir_limit_replicas 2\n" in metrics_of(gateway), 15, "each to have heard of the other")
    redis.kill()
    try:
        statuses = [hammer([g], 60) for g in gateways]
        metrics = metrics_of(gateways[0])
    finally:
        redis.start()
    if on_failure == "deny":
        assert set(statuses[0] + statuses[1]) == {503}
    elif on_failure == "allow":
        assert set(statuses[0] + statuses[1]) == {200}
    else:
        assert [s.count(200) for s in statuses] == [20, 20], "the limit, shared out"
    for gateway in gateways:
        assert gateway.said().count("limits are decided without Redis") == 1
    assert "weir_limit_decided_alone_total 60" in metrics
    if on_failure != "deny":
        wait_until(lambda: usage(gateways[0])[("requests_per_minute", None)]["used"] >= 40, 10, "what was let in, told")


def test_it_starts_without_redis_and_decides_alone_until_it_is_there(fleet, redis):
    redis.kill()
    try:
        (gateway,) = fleet({"requests_per_minute": 3}, there=False)
        assert [ask(gateway).status for _ in range(4)] == [200] * 3 + [429]
        assert usage_scope(gateway) == "replica"
    finally:
        redis.start()
    wait_until(lambda: usage(gateway)[("requests_per_minute", None)]["used"] == 3, 10, "what was let in, told")
    assert ask(gateway).status == 429


def test_deny_is_an_error_that_says_when_to_come_back(fleet, redis):
    (gateway,) = fleet({"requests_per_minute": 40}, on_failure="deny")
    redis.kill()
    try:
        answer = ask(gateway)
    finally:
        redis.start()
    assert answer.status == 503 and answer.get("x-weir-error") == "limiter_down"
    assert int(answer.get("retry-after")) >= 1 and answer.get("x-weir-limit") is None
    assert gateway.record(answer)["error_source"] == "policy"
    wait_until(lambda: ask(gateway).status == 200, 10, "Redis to be back")


def test_a_frozen_redis_holds_nobody_up(fleet, redis):
    (gateway,) = fleet({"requests_per_minute": 100000}, timeout="50ms")

    def times(count):
        taken = []
        with gateway.connect(timeout=10) as client:
            for _ in range(count):
                begin = time.monotonic()
                client.send(wire.request("POST", CHAT, KEY, json.dumps(chat("gpt-4o-mini")).encode()))
                assert client.read_response().status == 200
                taken.append(time.monotonic() - begin)
        return sorted(taken)

    moved = []
    for again in range(6):  # a busy machine moves it too
        before = times(600)
        redis.freeze()
        try:
            frozen = times(600)
        finally:
            redis.thaw()
        assert frozen[-1] < before[-1] + 2.0, "no request hangs"
        wait_until(lambda: usage(gateway)[("requests_per_minute", None)]["used"] >= 1200, 10, "what was let in, told")
        moved.append(frozen[593] - before[593])
        if moved[-1] < 0.020:
            break
    assert min(moved) < 0.020, "the 99th percentile"


def usage_scope(gateway):
    return gateway.get("/weir/usage", KEY).json()["scope"]


def test_lost_scripts_come_back_within_the_same_question(fleet, redis):
    (gateway,) = fleet({"requests_per_minute": 5})
    assert ask(gateway).status == 200
    redis.call("SCRIPT", "FLUSH")
    assert [ask(gateway).status for _ in range(5)] == [200, 200, 200, 200, 429]
    assert "without Redis" not in gateway.said()


def test_an_empty_redis_after_a_restart_counts_anew_and_never_below_zero(fleet, redis):
    (gateway,) = fleet({"requests_per_minute": 100, "concurrent_requests": 5, "tokens_per_minute": 100000})
    with gateway.connect() as client:
        body = json.dumps(chat("gpt-4o-mini", stream=True, max_tokens=5000)).encode()
        client.send(wire.request("POST", CHAT, [*KEY, ("x-mock-ttft-ms", "60000")], body))
        wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 1, 5, "the slot to be taken")
        redis.restart()
        wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 1, 10, "what runs to be told anew")
    wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 0, 5, "the slot to be free")
    wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 5, "the tokens to be free")
    assert ask(gateway).status == 200


TROUBLES = {
    "a replica that only reads": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "no memory left": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "a key of another kind": (("SET", "weir:{acme}limit", "garbage"), ("DEL", "weir:{acme}limit")),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_error_of_redis_is_no_error_of_the_request(fleet, redis, trouble):
    (gateway,) = fleet({"requests_per_minute": 1000})
    assert ask(gateway).status == 200
    begin, end = TROUBLES[trouble]
    redis.call(*begin)
    try:
        assert {ask(gateway).status for _ in range(20)} == {200}
        assert gateway.said().count("limits are decided without Redis") == 1
    finally:
        redis.call(*end)
    wait_until(lambda: usage(gateway)[("requests_per_minute", None)]["used"] >= 20, 10, "what was let in, told")


def test_garbage_and_unasked_answers_decide_nothing(proxy, fleet):
    (gateway,) = fleet({"requests_per_minute": 1000}, url=proxy.url, timeout="100ms")
    assert ask(gateway).status == 200
    for garbage in [b"+OK\r\n", b":1\r\n", b"*6\r\n:1\r\n:0\r\n:0\r\n:0\r\n:1\r\n:1\r\n", b"\x00\xff garbage", b"*2147483647\r\n"]:
        proxy.inject(garbage)
        assert ask(gateway).status == 200
        wait_until(lambda: usage_scope(gateway) == "fleet", 10, "the connection to be back")


def documented_rights():
    rights = re.search(r"ACL SETUSER weir (.*)", (ROOT / "docs/redis.md").read_text()).group(1)
    return ["ACL", "SETUSER", "weir", "reset", *rights.replace(">PASSWORD", ">secretOfRedis42").split()]


def test_a_user_with_the_documented_rights_is_enough(fleet, redis):
    redis.call(*documented_rights())
    try:
        url = f"redis://weir:secretOfRedis42@127.0.0.1:{redis.port}/0"
        first, second = fleet({"requests_per_minute": 4}, 2, url=url)
        assert [ask(g).status for g in (first, second) * 3] == [200] * 4 + [429] * 2
        assert usage(first)[("requests_per_minute", None)]["used"] == 4
        first.stop_and_check()
        first.judged = True
        assert "secretOfRedis42" not in first.said() + second.said()
        assert not redis.call("ACL", "LOG")
    finally:
        redis.call("ACL", "DELUSER", "weir")


def test_every_key_has_the_prefix_and_an_end(fleet, redis):
    (gateway,) = fleet({"requests_per_minute": 40, "models": {"fast": {"usd_per_month": 5}}}, prefix="test-7:")
    assert ask(gateway, chat("fast")).status == 200
    wait_until(lambda: usage(gateway)[("usd_per_month", "fast")]["used"] > 0, 5, "the settlement")
    keys = redis.keys()
    assert {b"test-7:{acme}limit", b"test-7:{acme}limit:fast"} <= set(keys)
    for key in keys:
        assert key.startswith(b"test-7:") and redis.call("PTTL", key) > 0, key


def test_limits_hold_over_a_cluster(own, tmp_path_factory):
    cluster = redis_server.Cluster(tmp_path_factory.mktemp("cluster"), 3)
    try:
        names = [f"tenant-{i}" for i in range(4)]
        keys = {name: f"sk-weir-clusterTenantNumber{name}0123456789" for name in names}
        limited = {
            name: {"keys": [digest(keys[name])], "limits": {"requests_per_minute": 6, "models": {"fast": {"requests_per_minute": 3}}}}
            for name in names
        }
        for node in cluster.nodes:
            node.call(*documented_rights())
        url = cluster.url.replace("redis://", "redis://weir:secretOfRedis42@")
        state = {"backend": "redis", "redis": {"url": url, "timeout": "10s"}}
        gateways = [own(tenants=limited, state=state) for _ in range(2)]
        wait_until(lambda: all(map(reached, gateways)), 15, "every worker to have reached Redis")
        for name in names:
            fields = [("Authorization", f"Bearer {keys[name]}")]
            statuses = [ask(g, chat("fast"), fields=fields).status for g in gateways * 3]
            assert statuses == [200] * 3 + [429] * 3
            statuses = [ask(g, chat("gpt-4o-mini"), fields=fields).status for g in gateways * 2]
            assert statuses == [200] * 3 + [429]
        assert len([n for n in cluster.nodes if n.keys()]) > 1, "tenants lie on several nodes"
        assert not [entry for node in cluster.nodes for entry in node.call("ACL", "LOG")]
    finally:
        cluster.stop()


def test_who_leaves_while_redis_is_asked_has_taken_nothing(proxy, fleet):
    (gateway,) = fleet({"concurrent_requests": 1, "tokens_per_minute": 10000}, url=proxy.url, timeout="10s")
    assert ask(gateway).status == 200
    proxy.hold = True
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, KEY, json.dumps(chat("gpt-4o-mini", max_tokens=5000)).encode()))
        wait_until(lambda: "weir_in_flight 1\n" in metrics_of(gateway), 5, "the question")
    record = wait_until(lambda: next((r for r in gateway.records() if r["status"] == 499), None), 5, "the record")
    assert record["error"] == "client_gone" and record["attempts"] == 0
    assert 0 < record["limiter_ms"] <= record["phases"]["admit_ms"]
    proxy.hold = False
    wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 0, 5, "the slot to be free")
    wait_until(lambda: usage(gateway)[("tokens_per_minute", None)]["reserved"] == 0, 5, "the tokens to be free")


def metrics_of(gateway):
    return gateway.get("/metrics", admin=True).body.decode()


def test_a_slow_redis_is_waited_for_and_the_record_says_how_long(proxy, fleet):
    (gateway,) = fleet({"requests_per_minute": 100}, url=proxy.url, timeout="5s")
    proxy.delay = 0.03
    answer = ask(gateway)
    assert answer.status == 200
    record = gateway.record(answer)
    assert 30 <= record["limiter_ms"] <= record["phases"]["admit_ms"] and record["overhead_ms"] >= record["limiter_ms"]


@pytest.mark.parametrize("mode", ["exact", "lease"])
def test_a_queue_waits_for_a_slot_that_another_replica_holds(fleet, raw, mode):
    first, second = fleet({"concurrent_requests": 1}, 2, tenant={"queue": {"wait": "60s", "size": 10}}, mode=mode)
    gate, results = test_queues.Gate(raw), []
    threads = [test_queues.ask(first, results, "0")]
    gate.arrived(1)
    for i in range(1, 4):
        threads.append(test_queues.ask(second, results, str(i)))
        test_queues.in_line(second, i)
    time.sleep(0.4)  # longer than between two questions: they must go on asking
    assert gate.order() == ["0"]
    gate.open(4)
    for thread in threads:
        thread.join(50)
    assert [r.status for _, r in results] == [200] * 4
    assert gate.order() == ["0", "1", "2", "3"]
    waited = max(float(second.record(r)["phases"]["queue_ms"]) for user, r in results if user != "0")
    assert waited > 300
    wait_until(lambda: usage(first)[("concurrent_requests", None)]["used"] == 0, 5, "the settlement")


def test_a_queue_is_as_long_as_it_may_be_with_redis_too(fleet, raw):
    [gateway] = fleet({"concurrent_requests": 1}, tenant={"queue": {"wait": "60s", "size": 1}})
    gate, results = test_queues.Gate(raw), []
    threads = [test_queues.ask(gateway, results, "0")]
    gate.arrived(1)
    threads.append(test_queues.ask(gateway, results, "1"))
    test_queues.in_line(gateway, 1)
    assert ask(gateway, chat()).get("x-weir-error") == "queue_full"
    gate.open(2)
    for thread in threads:
        thread.join(50)
    assert [r.status for _, r in results] == [200, 200]
    wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 0, 5, "the settlement")


def test_a_queue_is_waited_in_as_long_as_it_may_be_with_redis_too(fleet, raw):
    [gateway] = fleet({"concurrent_requests": 1}, tenant={"queue": {"wait": "500ms", "size": 1}})
    gate, results = test_queues.Gate(raw), []
    first = test_queues.ask(gateway, results, "0")
    gate.arrived(1)
    late = ask(gateway, chat())
    assert late.get("x-weir-error") == "queue_timeout" and gateway.record(late)["phases"]["queue_ms"] > 450
    gate.open()
    first.join(50)
    assert results[0][1].status == 200
    wait_until(lambda: usage(gateway)[("concurrent_requests", None)]["used"] == 0, 5, "the settlement")
    assert b'weir_limit_refusals_total{tenant="acme"' not in gateway.get("/metrics", admin=True).body
