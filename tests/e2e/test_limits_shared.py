"""What holds for limits holds for shared ones too: the same tests, with the counts in Redis."""

import pytest
from conftest import tenants
from test_limits import *  # noqa: F403
from test_limits import KEY, OTHER_KEY

from harness.gateway import digest, wait_until


@pytest.fixture
def limited(own, redis):
    redis.call("FLUSHALL")

    def make(limits, **more):
        acme = {**tenants()["acme"], "limits": limits, **more.pop("tenant", {})}
        state = {"backend": "redis", "redis": {"url": redis.url, "timeout": "10s"}}
        gateway = own(tenants={"acme": acme, "other": {"keys": [digest(OTHER_KEY)]}}, state=state, **more)
        # until its workers have reached Redis each decides for itself
        wait_until(lambda: "\nweir_redis_up 1\n" in gateway.get("/metrics", admin=True).body.decode(), 15, "Redis")
        return gateway

    return make


def test_usage_takes_get_only_and_a_key(limited_once):
    """Of the whole fleet, here."""
    assert limited_once.get("/weir/usage").status == 401
    answer = limited_once.get("/weir/usage", KEY).json()
    assert set(answer) == {"tenant", "time", "scope", "limits", "today", "month"} and answer["scope"] == "fleet"
