"""Limits in a Redis Cluster whose slots move, whose nodes end, and which speaks TLS: real nodes, real gateways."""

import threading
import time

import pytest
from conftest import chat, tenants
from test_limits_redis import ask, hammer, metrics_of, usage

from harness import redis as redis_server
from harness.gateway import wait_until

KEY_OF_LIMITS = "weir:{acme}limit"


@pytest.fixture
def cluster(tmp_path):
    """cluster(**more): a cluster of the test's own, which outlives its gateways."""
    started = []

    def make(**more):
        started.append(redis_server.Cluster(tmp_path, 3, **more))
        return started[-1]

    yield make
    for one in started:
        one.stop()


@pytest.fixture
def fleet(cluster, own):
    """fleet(cluster, limits, replicas, …): gateways that share it, and have reached it."""

    def make(cluster, limits, replicas=2, **state):
        settings = {"backend": "redis", "redis": {"url": cluster.url, "timeout": "10s", **state}}
        acme = {**tenants()["acme"], "limits": limits}
        gateways = [own(tenants={"acme": acme}, state=settings) for _ in range(replicas)]
        for gateway in gateways:
            wait_until(lambda: "\nweir_redis_up 1\n" in metrics_of(gateway), 15, "Redis")
        return gateways

    return make


def during(load, trouble):
    """Does it again and again while there is load; what the load gave."""
    result = []
    thread = threading.Thread(target=lambda: result.extend(load()))
    thread.start()
    while thread.is_alive():
        trouble()
    thread.join()
    return result


def test_a_slot_that_moves_under_load_lets_in_exactly_the_limit(cluster, fleet):
    nodes = cluster()
    slot = nodes.nodes[0].call("CLUSTER", "KEYSLOT", KEY_OF_LIMITS)
    allowed = 400
    gateways = fleet(nodes, {"requests_per_minute": allowed, "concurrent_requests": 100})
    moves = []

    def move():
        nodes.move(slot, next(n for n in nodes.nodes if n is not nodes.owner(slot)))
        moves.append(slot)
        time.sleep(0.01)

    statuses = during(lambda: hammer(gateways, 600), move)
    assert len(moves) >= 3
    assert sorted(statuses) == [200] * allowed + [429] * (1200 - allowed)
    for gateway in gateways:
        assert "weir_limit_decided_alone_total 0\n" in metrics_of(gateway), "MOVED and ASK are no trouble"
        assert usage(gateway)[("requests_per_minute", None)]["used"] == allowed
    wait_until(lambda: usage(gateways[0])[("concurrent_requests", None)]["used"] == 0, 10, "the settlement")


def test_a_replica_that_takes_over_goes_on_with_what_was_counted(cluster, fleet):
    nodes = cluster()
    slot = nodes.nodes[0].call("CLUSTER", "KEYSLOT", KEY_OF_LIMITS)
    master = nodes.owner(slot)
    replica = nodes.add_replica(master)
    gateways = fleet(nodes, {"requests_per_minute": 100000, "usd_per_day": 100}, timeout="100ms")
    assert set(hammer(gateways, 40)) == {200}
    before = 80  # or more: one whose answer was late may be counted twice
    wait_until(lambda: usage(gateways[0])[("requests_per_minute", None)]["used"] >= before, 10, "all of them to be told")
    assert master.call("WAIT", 1, 5000) >= 0
    taken_over = threading.Event()

    def take_over():
        if not taken_over.is_set():
            master.kill()
            replica.call("CLUSTER", "FAILOVER", "TAKEOVER")
            taken_over.set()
        time.sleep(0.01)

    assert set(during(lambda: hammer(gateways, 400), take_over)) == {200}, "nobody is refused, nobody hangs"
    for gateway in gateways:
        # what was let in meanwhile is told; only what the old master had not passed on yet is lost
        wait_until(lambda: usage(gateway)[("requests_per_minute", None)]["used"] > before + 600, 40, "all that came since")


def test_tls_to_every_node(cluster, fleet, certificates):
    nodes = cluster(tls=certificates)
    slot = nodes.nodes[0].call("CLUSTER", "KEYSLOT", KEY_OF_LIMITS)
    if nodes.owner(slot) is nodes.nodes[0]:  # where the URL points
        nodes.move(slot, nodes.nodes[2])
    first, second = fleet(nodes, {"requests_per_minute": 4}, tls={"ca": str(certificates / "ca.pem")})
    assert [ask(g, chat("gpt-4o-mini")).status for g in (first, second) * 3] == [200] * 4 + [429] * 2
    owner = nodes.owner(slot)
    assert owner.call("EXISTS", KEY_OF_LIMITS) == 1
    clients = [line for line in owner.call("CLIENT", "LIST").decode().splitlines() if "cmd=eval" in line]
    assert clients and all(f"laddr=127.0.0.1:{owner.tls_port} " in line for line in clients), "none in the clear"
