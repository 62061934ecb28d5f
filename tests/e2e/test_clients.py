"""Clients that leave, drip, or never read: what they cost the provider, the gateway's memory, and everybody else."""

import contextlib
import threading
import time

import pytest

from conftest import TENANT_KEY, chat
from harness import wire
from harness.gateway import MEMORY, PATIENCE, SANITIZED, one_of, wait_until
from harness.provider import STREAM_HEAD, chat_chunk, chat_events, chunk, response, chat_body

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
SOON = 0.1 if not SANITIZED else 0.3


class Watch:
    """A handler that sends what it is given, then tells when the gateway ended the connection."""

    def __init__(self, *sent):
        self.sent, self.reached, self.ended = sent, threading.Event(), threading.Event()
        self.ended_at = None

    def __call__(self, connection, request):
        for data in self.sent:
            connection.send(data)
        self.reached.set()
        if connection.wait_for_end(PATIENCE) is not None:
            self.ended_at = connection.ended_at
            self.ended.set()
        connection.close()


WAYS = {"an end": lambda c: c.close(), "a reset": lambda c: c.reset(), "half an end": lambda c: c.finish_writing()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stream", [False, True])
@one_of(5)
def test_a_client_that_leaves_while_waiting_frees_the_provider_at_once(gateway, raw, way, stream):
    trace_id, traceparent = wire.new_trace()
    fields = {"traceparent": traceparent}
    raw.handler = watch = Watch()
    client = gateway.connect()
    client.send(wire.request("POST", CHAT, {**AUTH, **fields}, chat(stream=stream)))
    assert watch.reached.wait(PATIENCE)
    time.sleep(0.05)
    left = time.monotonic()
    WAYS[way](client)
    assert watch.ended.wait(PATIENCE), "the provider's connection was kept"
    assert watch.ended_at - left < SOON
    record = gateway.record(trace_id)
    assert (record["status"], record["error"], record["error_source"]) == (499, "client_gone", "client")
    assert record["ttft_ms"] is None
    client.close()


@pytest.mark.parametrize("way", WAYS)
@one_of(5)
def test_a_client_that_leaves_inside_a_stream_frees_the_provider_and_is_counted(gateway, raw, way):
    trace_id, traceparent = wire.new_trace()
    fields = {"traceparent": traceparent}
    raw.handler = watch = Watch(STREAM_HEAD + b"".join(chunk(e) for e in chat_events(usage=False, done=False)[:-1]))
    client = gateway.connect()
    client.send(wire.request("POST", CHAT, {**AUTH, **fields}, chat(stream=True)))
    answer = client.read_head()
    while len(answer.body) < 300:
        client.read_chunk(answer)
    left = time.monotonic()
    WAYS[way](client)
    assert watch.ended.wait(PATIENCE)
    assert watch.ended_at - left < SOON
    record = gateway.record(trace_id)
    assert (record["status"], record["error"]) == (200, "client_gone")
    assert record["output_tokens"] > 0 and record["tokens_estimated"] is True and record["chunks"] == 3
    client.close()


def test_half_an_end_may_be_allowed(own, raw, trace):
    gateway = own(http={"half_close": "allow"})
    trace_id, fields = trace

    def handler(connection, request):
        time.sleep(0.2)
        connection.send(response(chat_body()))

    raw.handler = handler
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, {**AUTH, **fields}, chat()))
        client.finish_writing()
        assert client.read_response().status == 200
    assert gateway.record(trace_id)["error"] is None


def test_a_client_that_leaves_before_its_head_is_whole_costs_nothing(gateway, raw):
    before, files = raw.bytes_received, gateway.open_files()
    for end in (4, 40, 120):
        client = gateway.connect()
        client.send(wire.request("POST", CHAT, AUTH, chat())[:end])
        client.reset()
    assert raw.bytes_received == before
    wait_until(lambda: gateway.open_files() <= files, 3, "the connections' end")


def test_many_leave_at_random_moments_and_nothing_is_left_behind(gateway, raw):
    """Every offset of request and answer; afterwards descriptors and gauges are where they were."""
    raw.handler = lambda c, r: c.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()) + b"0\r\n\r\n")
    data = wire.request("POST", CHAT, AUTH, chat(stream=True))
    gateway.exchange(data)
    files = gateway.open_files()
    for i in range(300):
        client = gateway.connect()
        if i % 3 == 0:
            client.send(data[: (i * 7) % len(data)])
        else:
            client.send(data)
            if i % 3 == 1:
                client.sock.recv(1 + i % 50)
        client.reset() if i % 2 else client.close()
    assert gateway.exchange(data).status == 200
    wait_until(lambda: gateway.open_files() <= files + 8, 5, "the connections' end")
    wait_until(lambda: in_flight(gateway) == 0, 5, "weir_in_flight 0")


def in_flight(gateway):
    text = gateway.get("/metrics", admin=True).body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("weir_in_flight"))


def test_a_dripped_head_is_cut_at_its_deadline(own, raw):
    gateway = own(http={"header_time": "2s"})
    before = raw.bytes_received
    begin = time.monotonic()
    with gateway.connect(timeout=PATIENCE) as client:
        for byte in wire.request("POST", CHAT, AUTH, chat()):
            try:
                client.send(bytes([byte]))
            except OSError:
                break
            if client.is_closed_within(0.15):
                break
        took = time.monotonic() - begin
        data = client.buffer
    assert 1.8 < took < 15, took  # header_time is 2 s here; all of it would take over 30 s
    assert not data or b" 408 " in data.split(b"\r\n")[0]
    assert raw.bytes_received == before


def test_a_connection_that_says_nothing_is_ended_without_a_record(own):
    gateway = own(http={"header_time": "500ms"})
    with gateway.connect(timeout=PATIENCE) as client:
        begin = time.monotonic()
        data = client.read_to_end()
        assert 0.3 < time.monotonic() - begin < 8  # by default after 10 s
        assert data == b"" or data.startswith(b"HTTP/1.1 408")
    gateway = own(http={"keepalive": "700ms"})
    with gateway.connect(timeout=PATIENCE) as client:  # and one that has said something, then idles
        begin = time.monotonic()
        client.send(wire.request("GET", "/healthz"))
        assert client.read_response().status == 200
        assert client.read_to_end() == b""
        assert 0.4 < time.monotonic() - begin < 8  # by default after 75 s


def test_a_dripped_body_is_cut_by_its_rate(own, raw, trace):
    gateway = own(http={"body_rate": "1KiB/s", "header_time": "2s"})
    trace_id, fields = trace
    before = raw.bytes_received
    begin = time.monotonic()
    with gateway.connect(timeout=PATIENCE) as client:
        client.send(wire.request("POST", CHAT, {**AUTH, **fields, "Content-Length": "4000"}))
        for _ in range(400):
            try:
                client.send(b" ")
            except OSError:
                break
            if client.is_closed_within(0.1):
                break
        data = client.buffer
    assert time.monotonic() - begin < 30  # all of it would take 40 s
    assert data.startswith(b"HTTP/1.1 408"), data[:100]
    assert raw.bytes_received == before
    record = gateway.record(trace_id)
    assert (record["status"], record["error"]) == (408, "receive_timeout")
    assert record["phases"]["receive_ms"] > 500


def endless(total, size=16384):
    """A handler that sends `total` bytes of events as fast as they are taken, and counts what was."""
    event = chunk(chat_chunk({"content": "x" * size}))

    def handler(connection, request):
        handler.taken = 0
        connection.sock.settimeout(20)
        try:
            connection.send(STREAM_HEAD)
            while handler.taken < total:
                connection.send(event)
                handler.taken += len(event)
            connection.send(b"0\r\n\r\n")
        except OSError:
            pass
        handler.done.set()

    handler.taken, handler.done = 0, threading.Event()
    return handler


def held_back(handler, seconds):
    """Waits until nothing has been taken from it for so long; what was until then."""
    seen = [(handler.taken, time.monotonic())]

    def still():
        if handler.taken != seen[-1][0]:
            seen.append((handler.taken, time.monotonic()))
        return time.monotonic() - seen[-1][1] > seconds

    wait_until(still, 15, "the provider to be read no more")
    return handler.taken


def test_a_client_that_never_reads_holds_the_provider_back(gateway, raw, trace):
    trace_id, fields = trace
    raw.handler = handler = endless(64 << 20)
    with gateway.connect(receive_buffer=4096) as client:
        client.send(
            wire.request("POST", CHAT, {**AUTH, **fields}, chat(stream=True, stream_options={"include_usage": True}))
        )
        wait_until(lambda: handler.taken > 100000, 5, "the stream's begin")
        resident = gateway.resident_bytes()
        first = held_back(handler, 1.2)
        assert first < 16 << 20, f"{first} bytes went into a client that does not read"
        assert gateway.resident_bytes() - resident < (4 << 20) * MEMORY
        client.reset()
    assert handler.done.wait(PATIENCE)
    record = gateway.record(trace_id)
    assert record["error"] == "client_gone" and record["phases"]["drain_ms"] > 500


def test_a_slow_reader_gets_everything_and_its_slowness_is_told(gateway, raw, trace):
    trace_id, fields = trace
    raw.handler = handler = endless(6 << 20)
    with gateway.connect(receive_buffer=65536, timeout=20.0) as client:
        client.send(
            wire.request("POST", CHAT, {**AUTH, **fields}, chat(stream=True, stream_options={"include_usage": True}))
        )
        answer = client.read_head()
        held_back(handler, 1.0)
        with contextlib.suppress(wire.Closed):
            client.read_body(answer, True)
    # the stream has no terminator: that is told in an event at its end, after every byte that came
    event = chat_chunk({"content": "x" * 16384})
    assert answer.body.startswith(event * 300)
    record = gateway.record(trace_id)
    assert record["phases"]["drain_ms"] > 100


def test_many_clients_that_do_not_read_stay_within_memory(own, raw):
    gateway = own()
    raw.handler = lambda c, r: endless(64 << 20)(c, r)
    base, clients = gateway.resident_bytes(), []
    count = 40
    for _ in range(count):
        client = gateway.connect(receive_buffer=4096)
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        clients.append(client)
    wait_until(lambda: in_flight(gateway) == count, 10, "all of them")
    time.sleep(1.5)
    grown = gateway.resident_bytes() - base
    assert grown < count * (1 << 20) * MEMORY, f"{grown >> 20} MiB for {count} clients"
    assert gateway.get("/healthz").status == 200
    for client in clients:
        client.reset()
    wait_until(lambda: in_flight(gateway) == 0, 8, "weir_in_flight 0")


def seconds_of_thirty(gateway):
    begin = time.monotonic()
    for _ in range(30):
        assert gateway.post(CHAT, chat(), AUTH).status == 200
    return time.monotonic() - begin


def test_others_are_served_while_some_are_slow(gateway, raw):
    slow = endless(64 << 20)

    def handler(connection, request):
        if request.json().get("stream"):
            slow(connection, request)
        else:
            connection.send(response(chat_body()))

    raw.handler = handler
    alone = seconds_of_thirty(gateway)
    stuck = []
    for _ in range(10):
        client = gateway.connect(receive_buffer=4096)
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        stuck.append(client)
    wait_until(lambda: in_flight(gateway) == 10, 5, "all of them")
    held_back(slow, 0.5)  # until then this process is busy with sending
    with_them = min(seconds_of_thirty(gateway) for _ in range(4))
    assert with_them < 5 * alone + 1, (with_them, alone)
    for client in stuck:
        client.reset()


def test_more_pipelined_bytes_than_are_kept_wait_in_the_socket(gateway, raw):
    """A client that pipelines without reading is held back, not buffered without end, and loses nothing."""
    raw.handler = lambda c, r: (time.sleep(0.3 if len(c.requests) == 1 else 0), c.send(response(chat_body())))
    one = wire.request("POST", CHAT, AUTH, chat(messages=[{"role": "user", "content": "y" * 3000}]))
    count = 30
    with gateway.connect(timeout=20.0) as client:
        sender = threading.Thread(target=client.send, args=(one * count,))
        sender.start()
        for _ in range(count):
            assert client.read_response().status == 200
        sender.join(5)
