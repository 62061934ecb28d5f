"""Health, readiness, the admin port, and what /metrics counts."""

import contextlib
import re

import pytest

from conftest import TENANT_KEY, chat
from harness import wire
from harness.gateway import PATIENCE, wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("admin", [False, True])
def test_health_and_readiness_need_no_key(gateway, path, admin):
    assert gateway.get(path, admin=admin).status == 200


def test_health_checks_leave_no_record(gateway):
    gateway.records()
    before = len(gateway.seen)
    for _ in range(3):
        gateway.get("/healthz")
    answer = gateway.post("/v1/chat/completions", chat(), AUTH)
    gateway.record(answer)
    assert all(r["path"] not in ("/healthz", "/readyz") for r in gateway.seen[before:])


def samples(text):
    out = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(" # ")[0].rpartition(" ")
            out[name] = float(value)
    return out


def metrics(gateway, fields=()):
    answer = gateway.get("/metrics", fields, admin=True)
    assert answer.status == 200 and answer.get("content-type").startswith(
        ("text/plain", "application/openmetrics-text")
    )
    return answer.body.decode()


def total(all_samples, name, **labels):
    return sum(
        v
        for key, v in all_samples.items()
        if key.split("{")[0] == name and all(f'{k}="{val}"' in key for k, val in labels.items())
    )


def test_metrics_count_requests_tokens_and_phases_exactly(gateway, raw):
    labels = dict(tenant="acme", provider="raw", model="raw-counted")
    before = samples(metrics(gateway))
    for _ in range(5):
        assert gateway.post("/v1/chat/completions", chat("raw-counted"), AUTH).status == 200
        assert gateway.post("/v1/chat/completions", chat("raw-counted", stream=True), AUTH).status == 200

    def moved():
        now = samples(metrics(gateway))
        return (
            now
            if total(now, "weir_requests_total", **labels) - total(before, "weir_requests_total", **labels) == 10
            else None
        )

    wait_until(moved, 5, "10 more requests")
    after = samples(metrics(gateway))  # one page is not written in one moment

    def grown(name, **more):
        return total(after, name, **labels, **more) - total(before, name, **labels, **more)

    assert grown("weir_tokens_total", type="input") == 110
    assert grown("weir_tokens_total", type="output") == 30
    assert grown("weir_ttft_seconds_count") == 5
    assert grown("weir_total_seconds_count") == 10
    assert grown("weir_overhead_seconds_count") == 10
    assert total(after, "weir_build_info") == 1


def test_metrics_are_well_formed(gateway):
    text = metrics(gateway)
    typed = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram|summary|info|unknown)$", text, re.M))
    assert typed, text[:500]
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        assert re.fullmatch(
            r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*",?)*\})? \S+( # .*)?', line
        ), line
    seen = samples(text)
    for key, value in seen.items():  # buckets never fall, and end in the count
        if "_bucket{" in key and 'le="+Inf"' in key:
            bare = (
                key.replace('le="+Inf"', "")
                .replace(",}", "}")
                .replace("{,", "{")
                .replace("_bucket", "_count")
                .replace("{}", "")
            )
            assert seen.get(bare, value) == value, key


def test_every_metric_the_contract_names_is_there(gateway, raw):
    gateway.post("/v1/chat/completions", chat(stream=True), AUTH)
    gateway.post("/v1/chat/completions", chat("nobody-serves-it"), AUTH)

    def missing():
        text = metrics(gateway)
        return [
            name
            for name in (
                "weir_requests_total",
                "weir_tokens_total",
                "weir_cost_usd_total",
                "weir_ttft_seconds",
                "weir_first_visible_seconds",
                "weir_tpot_seconds",
                "weir_total_seconds",
                "weir_overhead_seconds",
                "weir_phase_seconds",
                "weir_in_flight",
                "weir_loop_lag_seconds",
                "weir_upstream_connections",
                "weir_records_dropped_total",
                "weir_build_info",
            )
            if name not in text
        ]

    wait_until(lambda: not missing(), 4, f"all of the metrics ({missing()})")


@pytest.mark.parametrize(
    "host, status",
    [
        *((host, 200) for host in ("localhost", "LocalHost:9347", "127.0.0.1", "127.8.9.1:1", "[::1]", "[::1]:9347")),
        *((host, 421) for host in ("127.evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "127.1")),
        *((host, 421) for host in ("[::1].evil.example", "[::2]", "[::1", "10.0.0.1", ":9347")),
    ],
)
def test_the_admin_port_on_loopback_knows_its_own_names(gateway, host, status):
    with wire.connect(gateway.admin_port) as client:
        client.send(wire.request("GET", "/api/live", host=host))
        assert client.read_response().status in ((200,) if status == 200 else (421, 400))


def test_the_admin_port_refuses_unknown_hosts_and_foreign_origins(gateway):
    with wire.connect(gateway.admin_port) as client:
        client.send(wire.request("GET", "/metrics", host="evil.example"))
        assert client.read_response().status == 421
    answer = gateway.get("/metrics", {"Origin": "http://evil.example"}, admin=True)
    assert answer.status == 403


def test_the_admin_port_needs_its_token_where_one_is_set(own):
    gateway = own()
    gateway.stop_and_check()
    gateway.judged = True
    port = wire.free_port()
    locked = own(admin={"address": f"127.0.0.1:{port}", "token": "admin-CANARY-token-0123456789"})
    locked.admin_port = port
    refused = locked.get("/metrics", admin=True)
    assert refused.status == 401 and refused.get("www-authenticate") == "Bearer"
    assert locked.get("/metrics", {"Authorization": "Bearer wrong"}, admin=True).status == 401
    assert locked.get("/metrics", {"Authorization": f"Bearer {TENANT_KEY}"}, admin=True).status == 401
    assert locked.get("/healthz", admin=True).status == 200
    for scheme in ("Bearer ", "bearer ", "BEARER  "):
        assert locked.get("/metrics", {"Authorization": f"{scheme}admin-CANARY-token-0123456789"}, admin=True).status == 200
    assert locked.get("/api/usage", admin=True).status == 401
    assert locked.get("/api/usage", {"Authorization": "Bearer admin-CANARY-token-0123456789"}, admin=True).status == 200


@pytest.mark.parametrize(
    "target", ["/healthz", "/readyz", "/metrics", "/api/live", "/api/live?stream=1", "/api/usage", "/nowhere"]
)
def test_the_answer_to_head_has_no_body_and_the_connection_goes_on(gateway, target):
    with wire.connect(gateway.admin_port) as client:
        client.send(wire.request("HEAD", target, host="localhost") + wire.request("GET", "/healthz", host="localhost"))
        head, next_one = client.read_response(to_head_request=True), client.read_response()
    assert head.status == (404 if target == "/nowhere" else 200) and int(head.get("content-length")) > 0
    assert next_one.status == 200 and next_one.json() == {"status": "ok"}


def test_connections_kept_for_later_do_not_keep_others_from_the_admin_port(own):
    gateway = own()
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(wire.connect(gateway.admin_port))
        told.send(wire.request("GET", "/api/live?stream=1", host=f"127.0.0.1:{gateway.admin_port}"))
        told.read_until(b"\n\n")
        idle = [stack.enter_context(wire.connect(gateway.admin_port)) for _ in range(255)]
        for client in (idle[0], *idle[2:]):
            client.send(wire.request("GET", "/healthz", host="localhost"))
            assert client.read_response().status == 200
        for _ in range(3):
            assert gateway.get("/metrics", admin=True).status == 200
        assert idle[1].is_closed_within(PATIENCE)  # it had asked nothing, and the stream goes on
        told.read_until(b"\n\n")
        idle[-1].send(wire.request("GET", "/healthz", host="localhost"))
        assert idle[-1].read_response().status == 200


def test_the_admin_port_serves_no_traffic_and_the_data_port_no_metrics(gateway, raw):
    before = raw.bytes_received
    with wire.connect(gateway.admin_port) as client:
        client.send(wire.request("POST", "/v1/chat/completions", AUTH, chat(), host=f"127.0.0.1:{gateway.admin_port}"))
        assert client.read_response().status in (404, 405)
    assert raw.bytes_received == before
    assert gateway.get("/metrics").status in (401, 404)
    assert gateway.get("/metrics", AUTH).status == 404


@pytest.mark.parametrize(
    "data",
    [
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\nHost: x\n\n",
        b"\x16\x03\x01\0\0",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"a" * 100000,
    ],
)
def test_the_admin_port_passes_the_same_gates(gateway, data):
    with wire.connect(gateway.admin_port, timeout=30.0) as client:
        try:
            client.send(data)
            client.finish_writing()
        except OSError:
            pass
        got = client.read_to_end()
    assert b" 200 " not in got[:20]
    assert gateway.get("/healthz", admin=True).status == 200
