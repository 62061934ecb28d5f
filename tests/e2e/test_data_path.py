"""The data path where its two sides are out of step: answers before the request is whole, clients and providers that
are slow in turns, numbers nobody would send, connections that one worker has and another needs."""

import threading
import time

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import MEMORY, wait_until
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_body, chat_chunk, chat_events, chunk, response
from test_clients import in_flight
from test_queues import in_line

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
LARGE = [{"role": "user", "content": "z" * (8 << 20)}]


def roomy(own):
    return own(http={"body_bytes": "16MiB", "drain": "3s"})


def scripted(raw, script):
    """The provider runs `script(connection)` on each connection instead of reading requests."""

    def on_connect(connection):
        script(connection)
        return False

    raw.on_connect = on_connect


# ---- the request while its answer begins ----


def test_interim_answers_do_not_stop_a_large_body(own, raw):
    gateway, got = roomy(own), []

    def script(connection):
        request = connection.read_head()
        for _ in range(3):
            connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
            time.sleep(0.05)
        got.append(connection.read_body(request, False))
        connection.send(response(chat_body()))

    scripted(raw, script)
    answer = gateway.post(CHAT, chat(messages=LARGE), AUTH)
    assert answer.status == 200
    assert got[0].json()["messages"] == LARGE


@pytest.mark.parametrize("way", ["held", "passed through", "passed through in chunks"])
def test_a_provider_that_answers_before_the_body_gets_the_rest_of_it(own, raw, trace, way):
    gateway, got = roomy(own), []
    trace_id, fields = trace

    def script(connection):
        request = connection.read_head()
        connection.send(STREAM_HEAD + chunk(chat_chunk({"content": "already"})))
        time.sleep(0.2)
        got.append(connection.read_body(request, False))
        connection.send(b"".join(chunk(e) for e in chat_events()[1:]) + LAST_CHUNK)

    scripted(raw, script)
    if way == "held":
        data = wire.request("POST", CHAT, {**AUTH, **fields}, chat(messages=LARGE, stream=True))
    else:
        data = wire.request("POST", "/raw/v1/files", {**AUTH, **fields}, b"u" * (6 << 20), chunked=False)
        if "chunks" in way:
            head = wire.request("POST", "/raw/v1/files", {**AUTH, **fields, "Transfer-Encoding": "chunked"})
            data = head + wire.chunks(b"u" * (6 << 20), 50000)
    with gateway.connect(timeout=15.0) as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        answer = client.read_response()
        sender.join(5)
    assert answer.status == 200 and b"already" in answer.body and b"[DONE]" in answer.body
    assert len(got[0].body) > 6 << 20 or got[0].body == b"u" * (6 << 20)
    assert gateway.record(trace_id)["error"] is None


def test_a_health_check_with_a_body_is_no_way_to_smuggle_a_request(gateway, raw):
    hidden = wire.request("POST", CHAT, AUTH, chat())
    before = len(raw.requests)
    with gateway.connect() as client:
        client.send(wire.request("GET", "/healthz", {"Content-Length": str(len(hidden))}) + hidden)
        answer = client.read_response()
        assert answer.status == 200 and answer.get("connection") == "close"
        assert client.read_to_end() == b""
    assert len(raw.requests) == before


def test_an_empty_line_after_a_body_is_no_request(own, raw):
    gateway = own()
    with gateway.connect() as client:
        for _ in range(3):
            client.send(wire.request("POST", CHAT, AUTH, chat()) + b"\r\n")
            assert client.read_response().status == 200
    gateway.stop_and_check()
    gateway.judged = True
    assert [r["error"] for r in gateway.records()] == [None] * 3


def test_a_stranger_does_not_learn_which_providers_there_are(gateway):
    known, unknown = (gateway.get(f"/{name}/v1/files", {"Authorization": "Bearer nobody"}) for name in ("raw", "nix"))
    assert known.status == unknown.status == 401
    assert known.get("x-weir-provider") is None


# ---- slowness that is not the other side's fault ----


def test_a_slow_client_is_not_taken_for_a_silent_provider(start, mock, raw, trace):
    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["timeouts"] = {"idle": "2s"}
    gateway = start(settings)
    trace_id, fields = trace
    event = chat_chunk({"content": "x" * 16384})

    def handler(connection, request):
        connection.sock.settimeout(40)
        connection.send(STREAM_HEAD)
        for _ in range(700):
            connection.send(chunk(event))
        connection.send(b"".join(chunk(e) for e in chat_events()) + LAST_CHUNK)

    raw.handler = handler
    with gateway.connect(receive_buffer=4096, timeout=20.0) as client:
        client.send(wire.request("POST", CHAT, {**AUTH, **fields}, chat(stream=True)))
        answer = client.read_head()
        for _ in range(2):  # full, drained, full again
            time.sleep(3.5)
            while len(answer.body) < (3 << 20):
                client.read_chunk(answer)
        client.read_body(answer, True)
    assert answer.body.count(event) == 700 and answer.body.endswith(b"data: [DONE]\n\n")
    record = gateway.record(trace_id)
    assert record["error"] is None and record["phases"]["drain_ms"] > 3000


def test_time_spent_in_line_is_not_taken_from_the_time_to_connect(start, mock, raw, trace):
    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"].update(
        max_connections=1, queue={"wait": "60s", "size": 10}, timeouts={"connect": "2s"}
    )
    gateway = start(settings)
    trace_id, fields = trace
    gate = threading.Event()

    def handler(connection, request):
        gate.wait(15)
        connection.send(response(chat_body(), fields=[("Connection", "close")]))
        connection.close()

    raw.handler = handler
    before, results = len(raw.requests), []
    first = threading.Thread(target=lambda: results.append(gateway.post(CHAT, chat(), AUTH)))
    first.start()
    wait_until(lambda: len(raw.requests) > before, 5, "the first at the provider")
    second = threading.Thread(target=lambda: results.append(gateway.post(CHAT, chat(), {**AUTH, **fields})))
    second.start()
    in_line(gateway, 1)
    time.sleep(3.0)
    gate.set()
    first.join(30), second.join(30)
    assert [r.status for r in results] == [200, 200]
    assert gateway.record(trace_id)["phases"]["queue_ms"] > 2500


def test_a_worker_without_connections_gets_one_that_another_keeps_idle(start, mock, raw):
    """Two workers, one connection between them: whoever has it idle must give it up to the other at once."""
    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"].update(max_connections=1, queue={"wait": "20s", "size": 100})
    gateway = start(settings)
    clients = [gateway.connect(timeout=30.0) for _ in range(6)]
    begin = time.monotonic()
    for _ in range(5):
        for client in clients:
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            assert client.read_response().status == 200
    assert time.monotonic() - begin < 18, "it was not given up before the wait was over"
    for client in clients:
        client.close()


def test_workers_that_share_few_connections_all_get_their_turn(start, mock, raw):
    settings = configuration(mock.port, raw.port, workers=3)
    settings["providers"]["raw"].update(max_connections=2, queue={"wait": "25s", "size": 1000})
    gateway = start(settings)
    raw.handler = lambda c, r: (time.sleep(0.004), c.send(response(chat_body())))
    statuses, slowest = [], []

    def run():
        with gateway.connect(timeout=30.0) as client:
            for _ in range(12):
                begin = time.monotonic()
                client.send(wire.request("POST", CHAT, AUTH, chat()))
                statuses.append(client.read_response().status)
                slowest.append(time.monotonic() - begin)

    threads = [threading.Thread(target=run) for _ in range(30)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    whole = time.monotonic() - begun
    assert statuses == [200] * 360
    assert max(slowest) < max(4, whole / 2), f"one waited {max(slowest):.1f} of {whole:.1f} s"


# ---- what nobody would send ----


@pytest.mark.parametrize("counts", [(4294967295, 4294967294), (4294967295, 4294967295), (2**63, 2**63 - 1), (1, 0)])
def test_no_number_a_provider_reports_can_end_the_process(gateway, raw, trace, counts):
    trace_id, fields = trace
    output, reasoning = counts
    usage = {
        "prompt_tokens": 4294967295,
        "completion_tokens": output,
        "total_tokens": 4294967295 + output,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    events = chat_events(usage=False, done=False) + [chat_chunk(choices=[], usage=usage), b"data: [DONE]\n\n"]
    raw.handler = lambda c, r: c.send(STREAM_HEAD + b"".join(chunk(e) for e in events) + LAST_CHUNK)
    assert gateway.post(CHAT, chat(stream=True), {**AUTH, **fields}).status == 200
    assert gateway.record(trace_id)["error"] is None
    assert gateway.is_alive()


def test_a_head_of_many_hundred_kilobytes_reaches_the_provider_where_it_is_allowed(own, raw):
    gateway = own(http={"header_bytes": "1MiB"})
    large = {f"x-large-{i}": "v" * 8000 for i in range(80)}
    assert gateway.post(CHAT, chat(), {**AUTH, **large}).status == 200
    assert raw.requests[-1].get("x-large-79") == "v" * 8000


def test_an_event_too_long_to_be_held_passes_once_and_is_read_once(gateway, raw, trace):
    """The client asked for no usage, so events are held until they are whole; one that is too long is not."""
    trace_id, fields = trace
    long = chat_chunk({"content": "y" * 80000})
    events = [*chat_events(usage=False, done=False)[:2], long, long, chat_chunk(finish="stop")]
    usage = chat_chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12})

    def handler(connection, request):
        connection.send(STREAM_HEAD)
        for event in [*events, usage, b"data: [DONE]\n\n"]:
            data = chunk(event)
            at = min(60000, len(data) - 4)
            for piece in (data[:at], data[at:-4], data[-4:]):  # the whole of its JSON, then the end of the event
                connection.send(piece)
                time.sleep(0.02)
        connection.send(LAST_CHUNK)

    raw.handler = handler
    answer = gateway.post(CHAT, chat(stream=True), {**AUTH, **fields})
    assert answer.body == b"".join(events) + b"data: [DONE]\n\n"
    record = gateway.record(trace_id)
    assert (record["error"], record["input_tokens"], record["output_tokens"], record["chunks"]) == (None, 5, 7, 3)


def test_a_stream_with_a_length_that_lacks_its_terminator_does_not_look_whole(gateway, raw, trace):
    trace_id, fields = trace
    body = b"".join(chat_events(usage=False, done=False)[:-1])
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)

    begun = threading.Event()

    def handler(connection, request):
        connection.send(head + body[:400])
        begun.wait(15)
        connection.send(body[400:])

    raw.handler = handler
    asked = chat(stream=True, stream_options={"include_usage": True})
    with gateway.connect(timeout=30) as client:
        client.send(wire.request("POST", CHAT, {**AUTH, **fields}, asked))
        answer = client.read_head()
        begun.set()
        with pytest.raises(wire.Closed):
            client.read_body(answer, True)
    assert gateway.record(trace_id)["error"] == "truncated"
    raw.handler = lambda c, r: c.send(head + body)  # in one piece: nothing has gone out yet
    answer = gateway.post(CHAT, asked, AUTH)
    assert (answer.status, answer.get("x-weir-error")) == (502, "truncated")


def test_not_modified_passes_through(gateway, raw):
    raw.handler = lambda c, r: c.send(b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n")
    with gateway.connect() as client:
        for _ in range(2):
            client.send(wire.request("GET", "/raw/v1/files/1", {**AUTH, "If-None-Match": '"1"'}))
            assert client.read_response().status == 304


def test_answers_that_nobody_reads_do_not_pile_up(gateway):
    """weir's own answers as well: a client that asks and asks without reading is not read any more."""
    resident = gateway.resident_bytes()
    with gateway.connect(receive_buffer=4096, timeout=1.0) as client:
        ask = wire.request("GET", "/v1/models", AUTH) * 200
        try:
            for _ in range(2000):
                client.send(ask)
        except (TimeoutError, OSError):
            pass
        assert gateway.resident_bytes() - resident < (3 << 20) * MEMORY
        client.reset()
    wait_until(lambda: in_flight(gateway) == 0, 5, "weir_in_flight 0")
