"""Waiting for a tenant's limit instead of being refused: in order, over all workers, and never longer than allowed."""

import copy
import threading
import time

from conftest import NARROW_KEY, TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import digest, wait_until
from harness.provider import chat_body, response

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"


def settings_of(mock, raw, queue, limits=None):
    settings = configuration(mock.port, raw.port)
    settings["tenants"]["acme"].update(queue=queue, limits=limits or {"concurrent_requests": 1})
    return settings


class Gate:
    """A provider that answers one request at a time, when it is told to."""

    def __init__(self, raw):
        self.permits, self.raw, self.before = threading.Semaphore(0), raw, len(raw.requests)
        raw.handler = self.answer

    def answer(self, connection, request):
        self.permits.acquire(timeout=40)
        connection.send(response(chat_body()))

    def open(self, count=1):
        for _ in range(count):
            self.permits.release()

    def arrived(self, count):
        wait_until(lambda: len(self.raw.requests) - self.before >= count, 10, f"{count} requests at the provider")

    def order(self):
        return [r.json().get("user") for r in self.raw.requests[self.before :]]


def ask(gateway, results, user="", key=TENANT_KEY, model="raw-1"):
    def run():
        answer = gateway.post(CHAT, chat(model=model, user=user), {"Authorization": f"Bearer {key}"}, timeout=50)
        results.append((user, answer))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def queued(gateway):
    """How many wait, as the metrics have it."""
    text = gateway.get("/metrics", admin=True).body.decode()
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("weir_queued "))


def in_line(gateway, count):
    """Waits until so many wait. (A request counts as in flight before it has taken its place in the line.)"""
    wait_until(lambda: queued(gateway) == count, 5, f"{count} in line")


def queued_live(gateway):
    return gateway.get("/weir/live", list(AUTH.items())).json()["total"]["queued"]


# ---- how it ends otherwise ----


def test_who_does_not_fit_into_the_line(start, mock, raw):
    gateway = start(settings_of(mock, raw, {"wait": "60s", "size": 1}))
    gate, results = Gate(raw), []
    threads = [ask(gateway, results)]
    gate.arrived(1)
    threads.append(ask(gateway, results, "waits"))
    in_line(gateway, 1)
    full = gateway.post(CHAT, chat(), AUTH)
    assert (full.status, full.get("x-weir-error"), full.get("x-weir-error-source")) == (503, "queue_full", "gateway")
    assert int(full.get("retry-after")) >= 1
    assert "acme" in full.json()["error"]["message"]
    assert len(raw.requests) == gate.before + 1
    gate.open(2)
    for thread in threads:
        thread.join(50)
    assert [r.status for _, r in results] == [200, 200]


def test_who_waits_too_long(start, mock, raw):
    gateway = start(settings_of(mock, raw, {"wait": "400ms", "size": 1}))
    gate, results = Gate(raw), []
    first = ask(gateway, results)
    gate.arrived(1)
    late = gateway.post(CHAT, chat(), AUTH)
    assert (late.status, late.get("x-weir-error")) == (503, "queue_timeout")
    assert int(late.get("retry-after")) >= 1
    assert "concurrent_requests 1" in late.json()["error"]["message"]
    record = gateway.record(late)
    assert 390 < record["phases"]["queue_ms"] < 15000 and record["attempts"] == 0
    assert record["overhead_ms"] >= record["phases"]["queue_ms"]
    gate.open()
    first.join(50)
    assert [r.status for _, r in results] == [200]
    assert len(raw.requests) == gate.before + 1


def test_a_client_that_leaves_makes_room_at_once(start, mock, raw):
    gateway = start(settings_of(mock, raw, {"wait": "60s", "size": 1}))
    gate, results = Gate(raw), []
    ask(gateway, results)
    gate.arrived(1)
    trace_id, traceparent = wire.new_trace()
    leaver = gateway.connect()
    leaver.send(wire.request("POST", CHAT, {**AUTH, "traceparent": traceparent}, chat()))
    wait_until(lambda: queued(gateway) == 1, 5, "one in line")
    wait_until(lambda: queued_live(gateway) == 1, 5, "the tenant's own view of it")
    leaver.reset()
    assert gateway.record(trace_id)["error"] == "client_gone"
    in_line(gateway, 0)
    ask(gateway, results, "second")
    in_line(gateway, 1)
    gate.open(2)
    wait_until(lambda: len(results) == 2, 10, "both answers")
    assert [r.status for _, r in results] == [200, 200]
    assert len(raw.requests) == gate.before + 2


def test_what_would_take_longer_than_the_wait_is_a_429(start, mock, raw):
    gateway = start(settings_of(mock, raw, {"wait": "5s", "size": 10}, {"requests_per_minute": 2}))
    for _ in range(2):
        assert gateway.post(CHAT, chat(), AUTH).status == 200
    refused = gateway.post(CHAT, chat(), AUTH)
    assert (refused.status, refused.get("x-weir-limit")) == (429, "requests_per_minute")
    assert gateway.record(refused)["phases"]["queue_ms"] == 0


def test_those_in_line_when_the_gateway_ends_are_told(start, mock, raw):
    gateway = start({**settings_of(mock, raw, {"wait": "60s", "size": 10}), "http": {"drain": "500ms"}})
    gate, results = Gate(raw), []
    threads = [ask(gateway, results)]
    gate.arrived(1)
    threads += [ask(gateway, results) for _ in range(3)]
    in_line(gateway, 3)
    gateway.stop_and_check()
    gateway.judged = True
    gate.open(4)
    for thread in threads:
        thread.join(50)
    assert [r.get("x-weir-error") for _, r in results] == ["draining"] * 4


def test_a_key_that_is_revoked_while_it_waits_gets_nothing(start, mock, raw):
    gateway = start(settings_of(mock, raw, {"wait": "60s", "size": 10}))
    gate, results = Gate(raw), []
    first = ask(gateway, results, "first")
    gate.arrived(1)
    ask(gateway, results, "second")
    in_line(gateway, 1)
    settings = copy.deepcopy(gateway.configuration)
    settings["tenants"]["acme"]["keys"] = [digest("sk-weir-another")]
    assert "reloaded in" in gateway.reload(settings)
    gate.open(2)
    first.join(50)
    wait_until(lambda: len(results) == 2, 10, "both answers")
    assert {user: r.get("x-weir-error") for user, r in results} == {"first": None, "second": "unknown_key"}
    assert gate.order() == ["first"]


# ---- who goes next ----


def test_first_come_first_served_over_all_workers(start, mock, raw):
    gateway = start({**settings_of(mock, raw, {"wait": "60s", "size": 100}), "workers": 4})
    gate, results = Gate(raw), []
    threads = [ask(gateway, results, "0")]
    gate.arrived(1)
    for i in range(1, 12):
        threads.append(ask(gateway, results, str(i)))
        in_line(gateway, i)
    gate.open(12)
    for thread in threads:
        thread.join(50)
    assert gate.order() == [str(i) for i in range(12)]
    assert [r.status for _, r in results] == [200] * 12
    assert b'weir_limit_refusals_total{tenant="acme"' not in gateway.get("/metrics", admin=True).body


def test_many_at_once_all_get_their_turn(start, mock, raw):
    gateway = start({**settings_of(mock, raw, {"wait": "60s", "size": 200}, {"concurrent_requests": 3}), "workers": 4})
    busy, most, lock, results = [0], [0], threading.Lock(), []

    def handler(connection, request):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.005)
        with lock:
            busy[0] -= 1
        connection.send(response(chat_body()))

    raw.handler = handler
    threads = [ask(gateway, results, str(i)) for i in range(80)]
    for thread in threads:
        thread.join(50)
    assert [r.status for _, r in results] == [200] * 80
    assert most[0] <= 3
    wait_until(lambda: queued(gateway) == 0, 5, "the gauge's fall")


def test_a_tenant_with_many_waiting_does_not_keep_another_from_a_full_provider(start, mock, raw):
    settings = configuration(mock.port, raw.port)
    settings["tenants"]["narrow"]["models"] = ["raw-*"]
    settings["providers"]["raw"].update(max_connections=1, queue={"wait": "60s", "size": 100})
    gateway = start({**settings, "workers": 1})
    gate, results = Gate(raw), []
    threads = [ask(gateway, results, "a0")]
    gate.arrived(1)
    for i in range(1, 6):
        threads.append(ask(gateway, results, f"a{i}"))
        in_line(gateway, i)
    threads.append(ask(gateway, results, "n0", NARROW_KEY))
    in_line(gateway, 6)
    gate.open(7)
    for thread in threads:
        thread.join(50)
    assert [r.status for _, r in results] == [200] * 7
    order = gate.order()
    assert order.index("n0") <= 2, order
    assert [u for u in order if u != "n0"] == [f"a{i}" for i in range(6)]
