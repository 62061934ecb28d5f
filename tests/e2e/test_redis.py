"""The gateway and a real Redis: connecting, logging in, what it says and shows of trouble, and coming back."""

import pathlib
import re
import time

import pytest
from conftest import TENANT_KEY, chat, tenants

from harness import redis
from harness.gateway import wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}


@pytest.fixture
def server(tmp_path):
    """server(*directives, **more): a Redis of the test's own."""
    started = []

    def make(*directives, **more):
        started.append(redis.Redis(tmp_path, *directives, **more))
        return started[-1]

    yield make
    for one in started:
        one.stop()


def state(url, **more):
    """With time enough: an answer that a busy machine keeps longer than usual would be trouble to talk of."""
    return {"backend": "redis", "redis": {"url": url, "timeout": "10s", **more}}


def metric(gateway, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", gateway.get("/metrics", admin=True).body.decode(), re.M)
    return float(found[1]) if found else None


def wait_up(gateway, up=True):
    wait_until(lambda: metric(gateway, "weir_redis_up") == up, 15, f"weir_redis_up {int(up)}")


def lines(gateway, word="redis: "):
    return [line for line in gateway.said().splitlines() if word in line]


def test_without_redis_there_are_no_samples_of_it(gateway):
    assert metric(gateway, "weir_redis_up") is None


CLIENTS = 4  # two workers, who tells it what was used, the admin port


def test_every_worker_connects_and_says_so(own, server):
    r = server()
    gateway = own(state=state(r.url))
    wait_up(gateway)
    wait_until(lambda: metric(gateway, "weir_redis_connects_total") == CLIENTS, 5, "all of its connections")
    assert not lines(gateway), lines(gateway)
    assert all(key.startswith(b"weir:") for key in r.keys())


def test_it_starts_without_redis_and_connects_when_it_is_there(own, server):
    r = server()
    r.kill()
    gateway = own(state=state(r.url))
    wait_until(lambda: lines(gateway), 10, "a line of trouble")
    assert metric(gateway, "weir_redis_up") == 0
    r.start()
    wait_up(gateway)
    wait_until(lambda: len(lines(gateway)) == 2, 5, "a line that it is back")
    assert "cannot be reached: Connection refused" in lines(gateway)[0]
    assert "answers again" in lines(gateway)[1]


def test_killed_and_started_again_empty(own, server):
    r = server()
    gateway = own(state=state(r.url))
    wait_up(gateway)
    r.kill()
    wait_up(gateway, False)
    r.start()
    wait_up(gateway)
    wait_until(lambda: metric(gateway, "weir_redis_connects_total") == 2 * CLIENTS, 5, "all of its connections")
    wait_until(lambda: len(lines(gateway)) == 2, 5, "one line of trouble, one that it is back")


ROOT = pathlib.Path(__file__).parents[2]


def documented_rights():
    return re.search(r"^ACL SETUSER weir (.*)$", (ROOT / "docs/redis.md").read_text(), re.M)[1].split()


def test_the_documented_rights_are_those_that_scripts_need():
    """When this fails after a script was added: put its commands into the ACL line of docs/redis.md."""
    used = set()
    for script in (ROOT / "lua").glob("*.lua"):
        used |= {name.lower() for name in re.findall(r"redis\.p?call\('([A-Za-z]+)'", script.read_text())}
    rights = {right[1:] for right in documented_rights() if right.startswith("+")}
    own = {"auth", "ping", "select", "eval", "evalsha", "asking", "cluster|slots"}
    assert used | own <= rights, f"not in docs/redis.md: {used - rights}"


def test_password_and_user_with_the_least_rights(own, server):
    r = server()
    rights = [right.replace("PASSWORD", "s3cr#t@/:") for right in documented_rights()]
    r.call("ACL", "SETUSER", "weir", *rights)
    gateway = own(state=state(f"redis://weir:s3cr%23t%40%2F%3A@127.0.0.1:{r.port}/0"))
    wait_up(gateway)
    assert not lines(gateway), lines(gateway)


def test_a_wrong_password_is_said_once_and_never_shown(own, server):
    r = server(password="right")
    gateway = own(state=state(f"redis://:CANARYwrongSecret@127.0.0.1:{r.port}/0"))
    wait_until(lambda: lines(gateway), 10, "a line of trouble")
    assert "refuses AUTH: WRONGPASS" in lines(gateway)[0]
    assert metric(gateway, "weir_redis_up") == 0
    r.call("CONFIG", "SET", "requirepass", "CANARYwrongSecret")
    wait_up(gateway)
    assert "CANARY" not in gateway.said()


def test_a_missing_right_is_said(own, server):
    r = server()
    r.call("ACL", "SETUSER", "weir", "reset", "on", ">p", "~weir:*", "-@all", "+evalsha")
    gateway = own(state=state(f"redis://weir:p@127.0.0.1:{r.port}/0"))
    wait_until(lambda: lines(gateway), 10, "a line of trouble")
    assert "refuses EVAL: NOPERM" in lines(gateway)[0]


def test_tls_is_verified(own, server, certificates):
    r = server(tls=certificates)
    url = f"rediss://127.0.0.1:{r.tls_port}/0"
    gateway = own(state=state(url, tls={"ca": str(certificates / "ca.pem")}))
    wait_up(gateway)
    untrusting = own(state=state(url))
    wait_until(lambda: lines(untrusting), 10, "a line of trouble")
    assert "certificate" in lines(untrusting)[0]
    assert metric(untrusting, "weir_redis_up") == 0


def test_a_name_is_resolved(own, server):
    r = server()
    gateway = own(state=state(f"redis://localhost:{r.port}/0"))
    wait_up(gateway)


def test_a_server_that_is_still_loading(own, server):
    """It takes connections and refuses everything until its data is read: nobody waits, and then it is used."""
    r = server()
    r.call("DEBUG", "POPULATE", 8000)
    r.call("SAVE")
    r.kill()
    slowly = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"]
    r.start(False, "--dbfilename", "dump.rdb", *slowly)

    def loading():
        try:
            return b"loading:1" in r.call("INFO", "persistence")
        except OSError:
            return False

    wait_until(loading, 10, "a Redis that takes connections while it loads")
    acme = {**tenants()["acme"], "limits": {"requests_per_minute": 100}}
    gateway = own(tenants={"acme": acme}, state=state(r.url))
    wait_until(lambda: any("LOADING" in line for line in lines(gateway)), 10, "a line of trouble")
    begin = time.monotonic()
    for _ in range(20):
        assert gateway.post("/v1/chat/completions", chat("gpt-4o-mini"), AUTH).status == 200
    assert time.monotonic() - begin < 10, "one that waited for Redis would have waited as long as that"
    assert gateway.get("/weir/usage", AUTH).json()["scope"] == "replica"
    assert b"loading:1" in r.call("INFO", "persistence"), "it was loading all the time"
    assert "weir_limit_decided_alone_total 20\n" in gateway.get("/metrics", admin=True).body.decode()
    r.call("CONFIG", "SET", "key-load-delay", 0)
    wait_up(gateway)

    def told():
        answer = gateway.get("/weir/usage", AUTH).json()
        return answer["scope"] == "fleet" and answer["limits"][0]["used"] == 20

    wait_until(told, 10, "what was let in, told")


def test_a_server_that_is_no_redis(own, mock):
    gateway = own(state=state(f"redis://127.0.0.1:{mock.port}/0"))
    wait_until(lambda: lines(gateway), 10, "a line of trouble")
    assert metric(gateway, "weir_redis_up") == 0
