"""Ceilings: connections, a provider's slots and its line, buffers; and thousands of requests that leave nothing
behind."""

import select
import socket
import threading
import time

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import MEMORY, PATIENCE, wait_until
from harness.provider import STREAM_HEAD, LAST_CHUNK, chat_body, chat_events, chunk, response
from test_clients import in_flight
from test_queues import in_line

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"


def gated(gate):
    def handler(connection, request):
        gate.wait(30)
        connection.send(response(chat_body()))

    return handler


def narrow(start, mock, raw, queue, slots=1):
    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"].update(max_connections=slots, queue=queue)
    return start(settings)


def ask(gateway, results, **fields):
    def run():
        results.append(gateway.post(CHAT, chat(), {**AUTH, **fields}, timeout=50))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_full_provider_makes_one_wait_and_refuses_what_the_line_does_not_hold(start, mock, raw):
    gateway = narrow(start, mock, raw, {"wait": "60s", "size": 1})
    gate, results = threading.Event(), []
    raw.handler = gated(gate)
    before = len(raw.requests)
    threads = [ask(gateway, results)]
    wait_until(lambda: len(raw.requests) == before + 1, 5, "the first at the provider")
    threads.append(ask(gateway, results))
    in_line(gateway, 1)
    time.sleep(0.15)
    refused = gateway.post(CHAT, chat(), AUTH)
    assert (refused.status, refused.get("x-weir-error")) == (503, "queue_full")
    assert int(refused.get("retry-after")) >= 0
    assert len(raw.requests) == before + 1
    gate.set()
    for thread in threads:
        thread.join(50)
    assert [r.status for r in results] == [200, 200]
    waited = max(gateway.record(r)["phases"]["queue_ms"] for r in results)
    assert waited > 100


def test_waiting_for_a_provider_ends_in_time(start, mock, raw):
    gateway = narrow(start, mock, raw, {"wait": "200ms", "size": 10})
    gate, results = threading.Event(), []
    raw.handler = gated(gate)
    before = len(raw.requests)
    thread = ask(gateway, results)
    wait_until(lambda: len(raw.requests) == before + 1, 5, "the first at the provider")
    late = gateway.post(CHAT, chat(), AUTH)
    assert (late.status, late.get("x-weir-error")) == (503, "queue_timeout")
    assert 190 < gateway.record(late)["phases"]["queue_ms"] < 20000  # the other one is there for 30 s
    gate.set()
    thread.join(50)
    assert results[0].status == 200


def test_a_client_that_leaves_the_line_makes_room(start, mock, raw):
    gateway = narrow(start, mock, raw, {"wait": "60s", "size": 1})
    gate, results = threading.Event(), []
    raw.handler = gated(gate)
    before = len(raw.requests)
    thread = ask(gateway, results)
    wait_until(lambda: len(raw.requests) == before + 1, 5, "the first at the provider")
    trace_id, traceparent = wire.new_trace()
    leaver = gateway.connect()
    leaver.send(wire.request("POST", CHAT, {**AUTH, "traceparent": traceparent}, chat()))
    in_line(gateway, 1)
    leaver.reset()
    assert gateway.record(trace_id)["error"] == "client_gone"
    in_line(gateway, 0)
    other = ask(gateway, results)
    in_line(gateway, 1)
    gate.set()
    thread.join(50)
    other.join(50)
    assert [r.status for r in results] == [200, 200]
    assert len(raw.requests) == before + 2


def test_many_share_few_connections_and_all_are_served(start, mock, raw):
    gateway = narrow(start, mock, raw, {"wait": "60s", "size": 1000}, slots=3)
    busy, most, lock = [0], [0], threading.Lock()

    def handler(connection, request):
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.005)
        with lock:
            busy[0] -= 1
        connection.send(response(chat_body()))

    raw.handler = handler
    results = []
    threads = [ask(gateway, results) for _ in range(60)]
    for thread in threads:
        thread.join(50)
    assert [r.status for r in results] == [200] * 60
    assert most[0] <= 3


def test_more_connections_than_allowed_are_refused_and_the_others_go_on(own, raw):
    gateway = own(http={"max_connections": 6})
    wait_until(lambda: metric(gateway, "weir_client_connections") == 0, 5, "the end of those that asked for readiness")
    kept = [gateway.connect() for _ in range(6)]
    for client in kept:
        client.send(wire.request("POST", CHAT, AUTH, chat()))
        assert client.read_response().status == 200
    try:
        with gateway.connect(timeout=1.5) as extra:
            extra.send(wire.request("POST", CHAT, AUTH, chat()))
            assert extra.read_response().status == 503
    except (OSError, wire.Closed):
        pass  # not accepted, or ended: as good
    for client in kept:
        client.send(wire.request("POST", CHAT, AUTH, chat()))
        assert client.read_response().status == 200
        client.close()
    wait_until(lambda: answers(gateway), 8, "room for a new connection")


def metric(gateway, name):
    text = gateway.get("/metrics", admin=True).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))


def answers(gateway):
    try:
        return gateway.exchange(wire.request("POST", CHAT, AUTH, chat()), 2.0).status == 200
    except (OSError, wire.Closed):
        return False


def test_bodies_together_stay_within_the_budget(own, raw):
    gateway = own(http={"body_bytes": "4MiB", "buffered_bytes": "6MiB", "header_time": "40s"})
    clients = []
    for _ in range(4):
        client = gateway.connect(timeout=8.0)
        client.send(wire.request("POST", CHAT, {**AUTH, "Content-Length": str(3 << 20)}) + b'{"model":"raw-1","x":"')
        clients.append(client)
    senders = []
    for client in clients:
        thread = threading.Thread(target=lambda c=client: quietly(c, b"y" * ((2 << 20) + 900000)))
        thread.start()
        senders.append(thread)
    socks = [client.sock for client in clients]
    answered, _, _ = select.select(socks, [], [], PATIENCE)
    statuses = []
    for client in clients:
        client.sock.settimeout(PATIENCE if client.sock in answered else 0.3)
        try:
            statuses.append(client.read_head().status)
        except (OSError, wire.Closed):
            pass
    assert statuses and set(statuses) == {503}, statuses
    for client in clients:
        client.reset()
    for thread in senders:
        thread.join(50)
    wait_until(lambda: answers(gateway), 5, "the budget's return")


def quietly(client, data):
    try:
        client.send(data)
    except OSError:
        pass


def test_a_provider_that_takes_no_connection_times_out(start, mock):
    """A listener whose queue is full drops the first packet of a handshake, as a firewall does."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    settings = configuration(mock.port, listener.getsockname()[1])
    settings["providers"]["raw"]["timeouts"] = {"connect": "300ms"}
    gateway = start(settings)
    answer = gateway.post(CHAT, chat(), AUTH)
    assert (answer.status, answer.get("x-weir-error")) == (504, "connect_timeout")
    assert 280 < gateway.record(answer)["phases"]["connect_ms"] < 4000  # by default 5 s
    for one in [*fillers, listener]:
        one.close()


def test_a_name_that_does_not_resolve_is_a_502_and_holds_up_nobody(start, mock, raw):
    settings = configuration(mock.port, raw.port)
    settings["providers"]["lost"] = {
        "dialect": "openai",
        "base_url": "http://nobody.invalid/v1",
        "api_key": "sk-x",
        "models": ["lost-*"],
        "timeouts": {"connect": "8s"},
    }
    gateway = start(settings)
    results = []
    thread = threading.Thread(target=lambda: results.append(gateway.post(CHAT, chat("lost-1"), AUTH, timeout=20)))
    thread.start()
    begin = time.monotonic()
    for _ in range(10):
        assert gateway.post(CHAT, chat(), AUTH).status == 200
    assert time.monotonic() - begin < 7, "they waited for the look-up"
    thread.join(50)
    assert results[0].status in (502, 504)
    assert results[0].get("x-weir-error") in ("dns_failed", "connect_timeout")
    assert gateway.record(results[0])["phases"]["dns_ms"] > 0


def test_thousands_of_requests_leave_neither_memory_nor_descriptors_behind(own, raw):
    gateway = own()
    raw.handler = lambda c, r: c.send(
        STREAM_HEAD + b"".join(chunk(e) for e in chat_events()) + LAST_CHUNK
        if r.json().get("stream")
        else response(chat_body())
    )
    plain = wire.request("POST", CHAT, AUTH, chat(messages=[{"role": "user", "content": "m" * 5000}]))
    stream = wire.request("POST", CHAT, AUTH, chat(stream=True))

    def run(count):
        with gateway.connect() as client:
            for i in range(count):
                client.send(stream if i % 2 else plain)
                assert client.read_response().status == 200

    def round_of_four(count):
        threads = [threading.Thread(target=run, args=(count,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

    round_of_four(300)
    resident, files = gateway.resident_bytes(), gateway.open_files()
    round_of_four(700)
    grown = gateway.resident_bytes() - resident
    assert grown < (2 << 20) * MEMORY, f"{grown >> 10} KiB more after 2800 requests"
    wait_until(lambda: gateway.open_files() <= files + 8, 5, "the descriptors' end")
    wait_until(lambda: in_flight(gateway) == 0, 5, "weir_in_flight 0")
    wait_until(lambda: len(gateway.records()) == 4000, 5, "a record for each request")
