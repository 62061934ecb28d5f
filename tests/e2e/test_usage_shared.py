"""Usage over several replicas that share a Redis: told once, whatever becomes of Redis meanwhile; any of them answers
for all."""

import pathlib
import random
import re
import threading
import time

import pytest
from conftest import NARROW_KEY, TENANT_KEY, chat
from harness import redis, wire
from harness.gateway import wait_until
from harness.load import Load
from test_usage import AUTH, CHAT, NARROW, api, every, mine

LUA = pathlib.Path(__file__).parents[2] / "lua"
pytestmark = pytest.mark.usefixtures("one_day")
KINDS = ("kept", "kept", "stream", "fresh")


class Servers:
    """Redis servers of a test's own, and proxies in front of them. They outlive the gateways of tests that name the
    fixture before `fleet`: a gateway that ends tells Redis what it has counted last."""

    def __init__(self, directory):
        self.directory, self.started = directory, []

    def __call__(self, *directives, **more):
        self.started.append(redis.Redis(self.directory, *directives, **more))
        return self.started[-1]

    def proxy(self, server):
        self.started.append(redis.Proxy(server.port))
        return self.started[-1]


@pytest.fixture
def server(tmp_path):
    servers = Servers(tmp_path)
    yield servers
    for one in reversed(servers.started):
        one.stop()


@pytest.fixture
def cluster(tmp_path):
    cluster = redis.Cluster(tmp_path)
    yield cluster
    cluster.stop()


@pytest.fixture
def fleet(own):
    """fleet(url, n): replicas that share this Redis."""

    def make(url, n=3, **more):
        state = {"backend": "redis", "redis": {"url": url, "timeout": "200ms", **more}}
        return [own(state=state, instance={"name": f"gw-{i}"}) for i in range(n)]

    return make


def total(gateway, query="from=-2h", scope="fleet"):
    """Requests by tenant, as this replica says; None while it cannot answer for all."""
    answer = api(gateway, query + "&by=tenant&limit=500")
    if answer["scope"] != scope:
        return None
    sums = {}
    for row in answer["rows"]:
        sums[row["tenant"]] = sums.get(row["tenant"], 0) + row["requests"]
    return sums


def expect(gateways, sums, query="from=-2h", seconds=40):
    """All of them come to say so, and nothing more."""
    said = {}

    def agree():
        for gateway in gateways:
            said[gateway.port] = total(gateway, query)
        return all(each == sums for each in said.values())

    try:
        wait_until(agree, seconds, f"{sums} from all")
    except AssertionError as error:
        raise AssertionError(f"{error}; said: {said}") from None


def of_fleet(gateway, query):
    """All rows, as of all replicas: a Redis that a busy machine keeps waiting is answered without."""
    return wait_until(lambda: every(gateway, query, "fleet"), 20, "an answer for all")


def seen(gateways):
    """What the access logs hold, by tenant."""
    sums = {}
    for gateway in gateways:
        for record in gateway.records():
            if record["path"] == CHAT:
                sums[record["tenant"]] = sums.get(record["tenant"], 0) + 1
    return sums


def under_load(gateways, trouble, model="gpt-4o-mini", pause=0.02):
    """Load on all of them while something is done to Redis; returns how many answers clients got."""
    loads = [Load(g.port, TENANT_KEY, model, KINDS, pause) for g in gateways]
    try:
        trouble()
    finally:
        ended = [load.stop() for load in loads]
    assert not [f for _, failures in ended for f in failures][:3]
    return sum(good for good, _ in ended)


def test_any_replica_answers_for_all(server, fleet):
    gateways = fleet(server().url)
    for i, gateway in enumerate(gateways):
        for _ in range(i + 1):
            assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
        assert gateway.post(CHAT, chat("fast", stream=True), NARROW).status == 200
        assert gateway.post(CHAT, chat("gpt-4o-mini")).status == 401  # of no tenant
    for step in ("", "&step=1m", "&step=1h", "&step=1d"):
        expect(gateways, {"acme": 6, "narrow": 3, None: 3}, "from=-2h" + step)
    rows = of_fleet(gateways[0], "from=-1h&tenant=acme&by=tenant,provider,model")
    records = [r for g in gateways for r in g.records() if r["tenant"] == "acme"]
    assert len(rows) == 1 and rows[0]["provider"] == "openai" and rows[0]["model"] == "gpt-4o-mini"
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"):
        assert rows[0][name] == sum(r[name] for r in records), name
    assert rows[0]["total_ms"]["n"] == 6
    slowest = max(float(r["total_ms"]) for r in records)
    assert slowest <= rows[0]["total_ms"]["max"] <= slowest * 1.023


def test_a_tenant_sees_its_use_of_all_replicas(server, fleet):
    r = server()
    gateways = fleet(r.url)
    for gateway in gateways:
        for _ in range(4):
            assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    for gateway in gateways:


        def whole():
            answer = mine(gateway)
            return answer["scope"] == "fleet" and answer["today"]["requests"] == 12 and answer

        answer = wait_until(whole, 10, "all of it")
        assert answer["today"]["since"].endswith("T00:00:00.000000Z")
        assert answer["month"]["since"].endswith("-01T00:00:00.000000Z") and answer["month"]["requests"] == 12
        tokens = sum(r["output_tokens"] for g in gateways for r in g.records() if r["path"] == CHAT)
        assert answer["month"]["output_tokens"] == tokens
        assert mine(gateway, NARROW)["today"]["requests"] == 0
    r.kill()
    wait_until(lambda: mine(gateways[0])["scope"] == "replica", 10, "its own")
    assert mine(gateways[0])["today"]["requests"] == 4
    r.start()
    wait_until(lambda: mine(gateways[1])["today"]["requests"] == 12, 40, "all of it again")


def test_a_client_that_leaves_while_redis_is_asked(server, fleet):
    r = server()
    (gateway,) = fleet(r.url, 1, timeout="2s")
    wait_until(lambda: mine(gateway)["scope"] == "fleet", 10, "Redis")
    r.freeze()
    for _ in range(3):
        with gateway.connect() as client:
            client.send(wire.request("GET", "/weir/usage", AUTH))
    r.thaw()
    wait_until(lambda: mine(gateway)["scope"] == "fleet", 10, "Redis again")


def test_one_that_ended_is_still_counted(server, fleet):
    """What its last second counted is told before it ends."""
    gateways = fleet(server().url, 2)
    for gateway in gateways:
        for _ in range(5):
            assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    gateways[0].stop_and_check()
    gateways[0].judged = True
    expect(gateways[1:], {"acme": 10})


@pytest.mark.parametrize("trouble", ["killed", "frozen", "cut", "slow", "flushed"])
def test_nothing_is_lost_or_doubled(server, fleet, raw, trouble):
    """The provider, the clients, the access logs and every replica agree on how many there were."""
    r = server()
    proxy = server.proxy(r)
    gateways = fleet(proxy.url)
    before = len(raw.requests)
    stop = threading.Event()

    def hurt():
        for _ in range(2):
            stop.wait(1.3)
            if trouble == "killed":  # and what it held is gone
                r.restart()
            elif trouble == "frozen":
                r.freeze()
                stop.wait(1.5)
                r.thaw()
            elif trouble == "cut":
                proxy.cut()
            elif trouble == "slow":  # answers come when nobody waits for them any more
                proxy.delay = 0.4
                stop.wait(1.5)
                proxy.delay = 0.0
            else:
                r.call("FLUSHALL")
        stop.wait(1.0)

    good = under_load(gateways, hurt, model="raw-counted")
    assert good > 100 and len(raw.requests) - before == good
    expect(gateways, {"acme": good})
    assert seen(gateways) == {"acme": good}
    rows = of_fleet(gateways[0], "from=-2h&by=provider&step=1m")
    assert sum(row["input_tokens"] for row in rows) == 11 * good, "the provider says 11 a request"
    assert sum(row["total_ms"]["n"] for row in rows) == good


def test_a_redis_that_forgot_its_last_seconds_is_told_again(server, fleet):
    """As one that comes back from a file: older than what it had said it had."""
    r = server()
    gateways = fleet(r.url, 2)
    good = under_load(gateways, lambda: expect_some(gateways[0]))
    expect(gateways, {"acme": good})
    r.call("SAVE")
    more = under_load(gateways, lambda: expect_some(gateways[0], good))
    expect(gateways, {"acme": good + more})
    r.restart("--dbfilename", "dump.rdb")
    expect(gateways, {"acme": good + more})


def expect_some(gateway, more_than=0):
    wait_until(lambda: (total(gateway) or {}).get("acme", 0) > more_than + 20, 40, "some are told")


def test_a_redis_that_forgot_all_and_is_late_is_told_again(server, fleet):
    """What is carried out and answered too late does not hide that there was nothing before."""
    r = server()
    proxy = server.proxy(r)
    (gateway,) = fleet(proxy.url, 1)
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})
    proxy.delay = 0.4
    r.call("FLUSHALL")
    before = scripts_run(r)
    wait_until(lambda: scripts_run(r) > before, 30, "what is told to be carried out")
    time.sleep(0.3)  # by then it is too late for the answer
    proxy.delay = 0.0
    expect([gateway], {"acme": 1})


def scripts_run(r):
    counts = re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", r.call("INFO", "commandstats").decode())
    return sum(map(int, counts))


def test_without_redis_a_replica_answers_for_itself(server, fleet):
    r = server()
    gateways = fleet(r.url, 2)
    for gateway in gateways:
        assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect(gateways, {"acme": 2})
    r.kill()
    wait_until(lambda: total(gateways[0], scope="replica") == {"acme": 1}, 15, "its own")
    r.start()
    expect(gateways, {"acme": 2})


def test_a_frozen_redis_holds_up_nobody_else(server, fleet):
    r = server()
    (gateway,) = fleet(r.url, 1)
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})
    r.freeze()
    waiting = wire.connect(gateway.admin_port)
    waiting.send(wire.request("GET", "/api/usage?by=tenant", host=f"127.0.0.1:{gateway.admin_port}"))
    assert gateway.get("/metrics", admin=True).status == 200
    assert mine(gateway)["today"]["requests"] == 1
    answer = waiting.read_response()  # when its time is over
    waiting.close()
    assert answer.status == 200 and answer.json()["scope"] == "replica" and answer.json()["rows"][0]["requests"] == 1
    r.thaw()
    expect([gateway], {"acme": 1})


def test_what_others_wrote_into_its_keys_does_no_harm(server, fleet):
    r = server()
    (gateway,) = fleet(r.url, 1)
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})
    key = next(k for k in r.keys() if b"usage:minute" in k)
    good = b"0123456789abcdef:p:m:w"
    r.call("HSET", key, good, "7,1;", good + b"x", "1;1,1", b"zz", b"\xff", "", "", b"0123456789abcdef:a:b", "5")
    r.call("HSET", "weir:{usage}tenants", "=bad%zz", 1, "x", 1, "=" + "n" * 200, 1)
    wait_until(lambda: total(gateway, "from=-1h") == {"acme": 8}, 10, "what can be read is read")
    r.call("SET", next(k for k in r.keys() if b"usage:hour" in k), "not a hash")
    assert total(gateway, "from=-1h&step=1h") is None, "then it is the replica's own"
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200


def test_keys_have_the_prefix_a_tag_and_an_end(server, fleet):
    r = server()
    (gateway,) = fleet(r.url, 1, prefix="gw:")
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})
    keys = r.keys()
    assert keys and all(key.startswith(b"gw:") for key in keys), keys
    assert all(r.call("TTL", key) > 3600 for key in keys if b"usage:" in key), "those of live numbers end sooner"
    assert len([key for key in keys if key.startswith(b"gw:{acme}")]) == 5, keys


def test_a_cluster_keeps_a_tenant_in_one_place(cluster, fleet):
    gateways = fleet(cluster.url, 2)
    good = under_load(gateways, lambda: expect_some(gateways[0]))
    expect(gateways, {"acme": good}, seconds=30)


def test_the_least_rights_are_enough(server, own):
    r = server()
    rights = ["+eval", "+evalsha", "+time", "+hget", "+hset", "+hkeys", "+expire"]
    r.call("ACL", "SETUSER", "weir", "reset", "on", ">p", "~weir:*", "resetchannels", "-@all", *rights)
    gateway = own(state={"backend": "redis", "redis": {"url": f"redis://weir:p@127.0.0.1:{r.port}/0"}})
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})


def test_many_groups_are_read_page_by_page(server, fleet):
    """More than one answer of Redis holds."""
    r = server()
    (gateway,) = fleet(r.url, 1)
    assert gateway.post(CHAT, chat("gpt-4o-mini"), AUTH).status == 200
    expect([gateway], {"acme": 1})
    key = next(k for k in r.keys() if b"usage:minute" in k)
    cells = ",".join(f"{b}:1" for b in range(300, 900))
    value = f"1,0,0,0,2,3,0,0,0,5,0;;;;9,9,{cells};"
    for replica in range(20):
        fields = [w for i in range(50) for w in (f"{replica:016x}:p:m-{i}:", value)]
        r.call("HSET", key, *fields)
    wait_until(lambda: total(gateway, "from=-1h") == {"acme": 1001}, 20, "all of them")
    rows = of_fleet(gateway, "from=-1h&by=model&limit=500")
    assert sum(row["requests"] for row in rows) == 1001 and len(rows) == 51
    assert rows[-1]["total_ms"]["n"] == 20 * 600


def test_the_script_takes_nothing_twice_and_nothing_overtaken(server):
    """Any order, any number of times: what stands there is what the highest number told."""
    r = server()
    source = (LUA / "count.lua").read_text()
    keys = ["{t}a", "{t}b"]

    def tell(number, value, replica="r1"):
        words = [w for _ in keys for w in (60, 2, f"{replica}:x", value, f"{replica}:y", value)]
        return r.call("EVAL", source, len(keys), *keys, replica, number, *words)

    assert tell(5, "five") == [0, 0]
    assert tell(5, "again") == [5, 5] and r.call("HGET", keys[0], "r1:x") == b"five"
    assert tell(9, "nine") == [5, 5]
    assert tell(7, "late") == [9, 9] and r.call("HGET", keys[1], "r1:y") == b"nine"
    assert tell(1, "other", "r2") == [0, 0] and r.call("HGET", keys[0], "r1:x") == b"nine"
    r.call("DEL", keys[1])
    assert tell(10, "ten") == [9, 0], "one hash was lost, the other was not"
    assert all(0 < r.call("TTL", key) <= 60 for key in keys)
    order = [*range(11, 60)] * 2
    random.Random(7).shuffle(order)
    for number in order:
        tell(number, str(number))
    assert r.call("HMGET", keys[0], "r1:x", "r1:y", "#r1") == [b"59"] * 3


def test_the_mark_moves_only_from_where_it_is_known_to_be(server):
    r = server()
    source = (LUA / "count_mark.lua").read_text()

    def tell(known, number):
        return r.call("EVAL", source, 1, "{r1}alive", known, number, 60)

    assert tell(0, 1) == 0 and tell(1, 2) == 1
    assert tell(2, 3) == 2  # and suppose that nobody heard that answer
    assert tell(2, 4) == 3 and tell(3, 5) == 3, "it stands where an own call has left it"
    r.call("DEL", "{r1}alive")
    assert [tell(5, 6), tell(5, 7)] == [0, 0], "what is gone does not come back by itself"
    assert tell(0, 8) == 0 and tell(8, 9) == 8
    assert 0 < r.call("TTL", "{r1}alive") <= 60


def test_the_reading_script_gives_everything_once_in_pages(server):
    r = server()
    source = (LUA / "count_read.lua").read_text()
    keys = ["{t}a", "{t}none", "{t}b"]
    expected = []
    for key in (0, 2):
        for i in range(50):
            r.call("HSET", keys[key], f"f{i:03}", "v" * (i % 7))
            expected.append((key + 1, b"f%03d" % i, b"v" * (i % 7)))
        r.call("HSET", keys[key], "#replica", 5)
    for size in (1, 200, 1000, 100000):
        got, first, after = [], 0, b""
        while True:
            go_on, behind, *rest = r.call("EVAL", source, len(keys) - first, *keys[first:], size, after)
            assert len(rest) % 3 == 0 and rest
            got += [(rest[i] + first, rest[i + 1], rest[i + 2]) for i in range(0, len(rest), 3)]
            if go_on == 0:
                break
            first, after = first + go_on - 1, behind
        assert got == expected, size
