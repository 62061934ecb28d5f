"""What a provider can do wrong, and what the client, the record and the connection pool make of it."""

import json
import threading
import time

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import PATIENCE, one_of, wait_until
from harness.provider import (
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    Provider,
    chat_body,
    chat_chunk,
    chat_events,
    chunk,
    response,
)

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"


def send(gateway, body=None, path=CHAT, heard=None):
    """The answer as far as it came; `.complete` says whether it looked whole to a client. `heard` is set when some of its
    body has come."""
    with gateway.connect(timeout=30.0) as client:
        client.send(wire.request("POST", path, AUTH, body or chat()))
        answer = client.read_head()
        try:
            client.read_body(answer, True, heard=heard)
        except wire.Closed:
            answer.complete = False
        return answer


BODY = json.dumps(chat_body()).encode()
WHOLE = response(BODY)
POINTS = {  # what is sent, how it ends -> the errors that may be told
    "before any byte": (b"", "close", {"reset"}),
    "before any byte, by a reset": (b"", "reset", {"reset"}),
    "inside the head": (WHOLE[:30], "close", {"reset", "truncated", "bad_response"}),
    "inside the head, by a reset": (WHOLE[:30], "reset", {"reset", "truncated", "bad_response"}),
}
LATER = {
    "after the head": (WHOLE[: WHOLE.index(b"\r\n\r\n") + 4], "close"),
    "inside the body": (WHOLE[:-20], "close"),
    "inside the body, by a reset": (WHOLE[:-20], "reset"),
    "before the last chunk": (response(BODY, framing="chunked")[:-5], "close"),
    "inside a chunk": (response(BODY, framing="chunked")[:-40], "close"),
    "inside the last chunk": (response(BODY, framing="chunked")[:-2], "close"),
}


def cutting(data, end):
    def handler(connection, request):
        connection.send(data)
        if end == "reset":
            time.sleep(0.02)
            connection.reset()
        else:
            connection.close()

    return handler


@pytest.mark.parametrize("point", POINTS)
def test_a_cut_before_the_head_is_a_502(gateway, raw, point):
    data, end, errors = POINTS[point]
    raw.handler = cutting(data, end)
    answer = send(gateway)
    assert answer.status == 502 and answer.complete
    assert answer.get("x-weir-error") in errors
    record = gateway.record(answer)
    assert record["error"] == answer.get("x-weir-error") and record["status"] == 502


@pytest.mark.parametrize("point", LATER)
def test_a_cut_after_the_head_never_looks_complete(gateway, raw, point):
    data, end = LATER[point]
    raw.handler = cutting(data, end)
    answer = send(gateway)
    if answer.status == 200:
        assert not answer.complete
    else:
        assert answer.status == 502
    record = gateway.record(answer)
    assert record["error"] in ("truncated", "reset") and record["error_source"] == "provider"


EVENTS = chat_events()
CUTS = {
    "after the head": [],
    "after the first event": EVENTS[:1],
    "after a token": EVENTS[:3],
    "inside an event": EVENTS[:3] + [EVENTS[3][:20]],
    "before the terminator": EVENTS[:-1],
}


@pytest.mark.parametrize("end", ["close", "reset", "last chunk"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_broken_stream_ends_in_an_error_event_and_without_its_terminator(gateway, raw, cut, end):
    sent = CUTS[cut]

    def handler(connection, request):
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in sent))
        time.sleep(0.02)
        if end == "last chunk":
            connection.send(LAST_CHUNK)
        elif end == "reset":
            connection.reset()
        else:
            connection.close()

    raw.handler = handler
    answer = send(gateway, chat(stream=True, stream_options={"include_usage": True}))
    record = gateway.record(answer)
    assert DONE not in answer.body
    if cut == "before the terminator" and end == "last chunk":
        assert record["error"] in (None, "truncated")  # every choice finished: complete
        return
    if answer.status == 200:
        assert answer.body.startswith(b"".join(CUTS[cut])[:10])
        told = [json.loads(e) for e in wire.events(answer.body) if e.startswith(b'{"error"')]
        assert len(told) == 1 and told[0]["error"]["code"] in ("truncated", "reset"), answer.body
    else:
        assert answer.status == 502
    assert record["error"] in ("truncated", "reset")
    if len(sent) > 2:
        assert record["output_tokens"] > 0
        assert record["tokens_estimated"] is (cut != "before the terminator")  # that one had the provider's own count


def test_a_broken_stream_over_http_1_0_ends_with_a_reset_behind_its_error_event(gateway, raw):
    """There the connection's end is the only end a stream has."""
    heard = threading.Event()

    def handler(connection, request):
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in EVENTS[:3]))
        heard.wait(15)
        connection.close()

    raw.handler = handler
    data = wire.request("POST", CHAT, AUTH, chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    got = b""
    with gateway.connect() as client:
        client.send(data)
        with pytest.raises(ConnectionResetError):
            while piece := client.sock.recv(65536):
                got += piece
                if EVENTS[2] in got:
                    heard.set()
    assert EVENTS[2] in got and b'"code":"truncated"' in got and DONE not in got


def test_anthropic_breaks_with_its_own_error_event(gateway, raw):
    start = {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": "rawclaude-1",
            "stop_reason": None,
            "usage": {"input_tokens": 9, "output_tokens": 1},
        },
    }
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
    heard = threading.Event()

    def handler(connection, request):
        connection.send(
            STREAM_HEAD
            + b"".join(chunk(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode()) for e in (start, delta))
        )
        heard.wait(15)
        connection.close()

    raw.handler = handler
    answer = send(gateway, {"model": "rawclaude-1", "max_tokens": 5, "messages": [], "stream": True}, "/v1/messages", heard)
    assert b"event: error\n" in answer.body and b"message_stop" not in answer.body
    last = json.loads(wire.events(answer.body)[-1])
    assert last["type"] == "error" and last["error"]["type"] == "api_error"
    assert gateway.record(answer)["error"] in ("truncated", "reset")


def test_gemini_breaks_with_its_own_error_event(gateway, raw):
    heard = threading.Event()

    def handler(connection, request):
        event = {"candidates": [{"content": {"parts": [{"text": "Hel"}], "role": "model"}, "index": 0}]}
        connection.send(STREAM_HEAD + chunk(b"data: " + json.dumps(event).encode() + b"\r\n\r\n"))
        heard.wait(15)
        connection.close()

    raw.handler = handler
    answer = send(gateway, {"contents": []}, "/v1beta/models/rawgem-1:streamGenerateContent?alt=sse", heard)
    last = json.loads(wire.events(answer.body)[-1])
    assert last["error"]["status"] == "INTERNAL" and last["error"]["code"] == 502
    assert gateway.record(answer)["error"] in ("truncated", "reset")


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n',
        b'event: error\ndata: {"error":{"message":"x"}}\n\n',
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_an_error_event_inside_a_stream_passes_as_it_is_and_counts_as_failure(gateway, raw, event, done):
    stream = b"".join(EVENTS[:3]) + event + (DONE if done else b"")
    raw.handler = lambda c, r: c.send(STREAM_HEAD + chunk(stream) + LAST_CHUNK)
    answer = send(gateway, chat(stream=True, stream_options={"include_usage": True}))
    assert answer.body.startswith(stream)
    assert gateway.record(answer)["error"] == "stream_error"


BAD_HEADS = {
    "not HTTP": b"hello\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version 2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: b\0\r\nContent-Length: 5\r\n\r\nhello",
    "a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: a\r\nContent-Length: 5\r\n\r\nhello",
    "an empty name": b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 5\r\n\r\nhello",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "a thousand fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000 + b"Content-Length: 5\r\n\r\nhello",
    "a huge field": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * (1 << 20) + b"\r\nContent-Length: 5\r\n\r\nhello",
    "a hundred interim heads": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 100 + WHOLE,
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_is_not_valid_is_a_502_and_ends_the_connection(gateway, raw, name):
    ended = threading.Event()

    def handler(connection, request):
        try:
            connection.send(BAD_HEADS[name])
        except OSError:
            pass
        if connection.wait_for_end(PATIENCE) is not None:
            ended.set()
        connection.close()

    raw.handler = handler
    answer = send(gateway)
    assert (answer.status, answer.get("x-weir-error")) == (502, "bad_response"), answer.body
    assert answer.get("set-cookie") is None
    assert ended.wait(PATIENCE), "the connection was kept"


def test_a_few_interim_heads_are_swallowed(gateway, raw):
    raw.handler = lambda c, r: c.send(
        b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3 + WHOLE
    )
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat()))
        interim = []
        answer = client.read_response(interim=interim)
    assert answer.status == 200 and answer.body == BODY and not interim


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nx",
        b"5;" + b"e" * 100000 + b"\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_bad_chunks_never_look_complete(gateway, raw, body):
    raw.handler = lambda c, r: (
        c.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked" b"\r\n\r\n" + body),
        c.wait_for_end(PATIENCE),
    )
    answer = send(gateway)
    assert answer.status == 502 or not answer.complete
    assert gateway.record(answer)["error"] in ("bad_response", "truncated")


def test_bytes_after_an_answer_are_dropped_with_the_connection(gateway, raw):
    number = []

    def handler(connection, request):
        number.append(connection.number)
        connection.send(WHOLE + (response({"poison": True}) if len(number) == 1 else b""))

    raw.handler = handler
    for _ in range(4):
        answer = send(gateway)
        assert answer.status == 200 and answer.body == BODY
    assert number[1] != number[0], "a connection with left-over bytes was used again"


def test_an_answer_out_of_turn_poisons_nobody(gateway, raw):
    """Bytes on an idle pooled connection are never the answer to the next request."""
    used = []

    def handler(connection, request):
        used.append(connection)
        connection.send(WHOLE)

    raw.handler = handler
    answer = send(gateway)
    assert answer.status == 200
    gateway.record(answer)  # from then on the connection is idle
    used[0].send(response({"poison": True}))
    wait_until(lambda: used[0].ended_at, 5, "the connection's end")
    for _ in range(4):
        assert send(gateway).body == BODY
    assert all(c is not used[0] for c in used[1:])


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_stale_pooled_connection_costs_the_client_nothing(gateway, raw, end):
    """The provider ends an idle connection just as it is used again: one replay on a fresh one, once."""
    state = {"first": True}

    def handler(connection, request):
        if connection.requests and len(connection.requests) > 1 and state["first"]:
            state["first"] = False
            connection.reset() if end == "reset" else connection.close()
            return
        connection.send(WHOLE)

    raw.handler = handler
    for _ in range(6):
        answer = send(gateway)
        assert answer.status == 200, answer.body


def test_connections_that_the_provider_closed_while_idle_are_not_used(gateway, raw):
    raw.handler = lambda c, r: (c.send(WHOLE), c.close())
    for _ in range(5):
        assert send(gateway).status == 200
        time.sleep(0.02)


def test_an_early_answer_stops_the_upload(own_files, raw):
    """A refusal while the body is still being sent is relayed, and that connection is not used again."""

    def early(connection):
        head = connection.read_head()
        connection.requests.append(head)
        connection.send(response({"error": {"message": "too much"}}, 413))
        connection.wait_for_end(PATIENCE)
        return False

    raw.on_connect = early
    with own_files.connect(timeout=10.0) as client:
        client.send(wire.request("POST", "/raw/v1/files", {**AUTH, "Content-Length": str(900000)}) + b"x" * 100000)
        answer = client.read_response()
    assert answer.status == 413 and b"too much" in answer.body


@pytest.fixture
def own_files(start, mock, raw):
    return start(configuration(mock.port, raw.port))


@pytest.fixture(scope="module")
def impatient(tmp_path_factory, mock, raw_provider):
    from harness.gateway import Gateway

    settings = configuration(mock.port, raw_provider.port)
    patient = {"connect": "20s", "first_token": "20s", "idle": "20s", "total": "40s"}  # a busy machine is no fault
    for model, hasty in {
        "silent": {"first_token": "300ms"},
        "pausing": {"idle": "300ms"},
        "endless": {"total": "4s"},
        "deaf": {"first_token": "300ms", "idle": "300ms"},
    }.items():
        timeouts = {**patient, **hasty}
        settings["providers"][model] = {**settings["providers"]["raw"], "models": [model], "timeouts": timeouts}
    gateway = Gateway(tmp_path_factory.mktemp("impatient"), settings)
    yield gateway
    gateway.stop_and_check()


def test_silence_before_the_first_token_times_out(impatient, raw):
    raw.handler = lambda c, r: c.wait_for_end(20)
    answer = send(impatient, chat("silent"))
    assert (answer.status, answer.get("x-weir-error")) == (504, "first_token_timeout")
    record = impatient.record(answer)
    assert record["ttft_ms"] is None
    assert 250 < record["phases"]["wait_ms"] < 15000, "the provider leaves after 20 s"


def test_a_role_chunk_and_comments_are_no_first_token(impatient, raw):
    def handler(connection, request):
        connection.send(STREAM_HEAD + chunk(EVENTS[0]))
        for _ in range(12):
            time.sleep(0.05)
            connection.send(chunk(b": keep-alive\n\n"))

    raw.handler = handler
    answer = send(impatient, chat("silent", stream=True))
    record = impatient.record(answer)
    assert record["error"] == "first_token_timeout" and record["ttft_ms"] is None


def test_silence_inside_a_stream_times_out_with_an_error_event(impatient, raw):
    raw.handler = lambda c, r: (c.send(STREAM_HEAD + b"".join(chunk(e) for e in EVENTS[:3])), c.wait_for_end(15))
    answer = send(impatient, chat("pausing", stream=True))
    assert b"idle_timeout" in answer.body and DONE not in answer.body
    assert impatient.record(answer)["error"] == "idle_timeout"


def test_a_stream_that_never_ends_is_cut_at_the_total(impatient, raw):
    def handler(connection, request):
        connection.send(STREAM_HEAD)
        for _ in range(400):
            connection.send(chunk(chat_chunk({"content": "x"})))
            time.sleep(0.05)

    raw.handler = handler
    answer = send(impatient, chat("endless", stream=True))
    record = impatient.record(answer)
    assert record["error"] == "total_timeout" and 3900 < record["total_ms"] < 15000
    assert record["chunks"] > 5


def test_a_provider_that_does_not_read_times_out(impatient, raw):
    raw.on_connect = lambda c: time.sleep(10) or False
    raw_body = chat("deaf", messages=[{"role": "user", "content": "x" * 1000000}])
    answer = send(impatient, raw_body)
    assert answer.status == 504 and answer.get("x-weir-error") in (
        "send_timeout",
        "total_timeout",
        "first_token_timeout",
    )


# TLS towards the provider


def tls_gateway(start, certificates, certificate, ca, host="127.0.0.1", **tls):
    provider = Provider(certificates / certificate, certificates / "server.key")
    settings = configuration(1, provider.port)
    for one in settings["providers"].values():
        one["base_url"] = one["base_url"].replace("http://127.0.0.1", f"https://{host}")
        one["tls"] = {**({"ca": str(certificates / ca)} if ca else {}), **tls}
    return start(settings), provider


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_providers_certificate_is_verified_and_sessions_are_reused(start, certificates, host):
    gateway, provider = tls_gateway(start, certificates, "server.pem", "ca.pem", host)
    answer = send(gateway)
    assert answer.status == 200
    record = gateway.record(answer)
    assert record["phases"]["tls_ms"] > 0 and record["phases"]["connect_ms"] > 0
    assert send(gateway, chat(stream=True)).complete
    provider.stop()


@pytest.mark.parametrize(
    "certificate,ca,host,why",
    [
        ("self_signed.pem", "ca.pem", "127.0.0.1", "self-signed"),
        ("expired.pem", "ca.pem", "127.0.0.1", "expired"),
        ("wrong_host.pem", "ca.pem", "localhost", "hostname mismatch"),
        ("server.pem", None, "127.0.0.1", "unable to get local issuer"),
    ],
)
def test_a_certificate_that_does_not_verify_gets_no_byte_of_the_request(
    start, certificates, certificate, ca, host, why
):
    gateway, provider = tls_gateway(start, certificates, certificate, ca, host)
    answer = send(gateway)
    assert (answer.status, answer.get("x-weir-error")) == (502, "tls_failed")
    assert provider.bytes_received == 0
    told = [line for line in gateway.said().splitlines() if ": tls_failed: " in line]
    assert len(told) == 1 and why in told[0], gateway.said()
    send(gateway)
    assert gateway.said().count(": tls_failed: ") == 1  # once a minute is enough
    provider.stop()


@one_of(5)
def test_a_handshake_that_stalls_is_time_spent_in_tls(start, raw):
    settings = configuration(1, raw.port)
    settings["providers"]["raw"].update(base_url=f"https://127.0.0.1:{raw.port}/v1", timeouts={"connect": "300ms"})
    raw.on_connect = lambda c: c.is_closed_within(15) and False
    gateway = start(settings)
    answer = send(gateway)
    assert (answer.status, answer.get("x-weir-error")) == (504, "connect_timeout")
    phases = gateway.record(answer)["phases"]
    assert phases["tls_ms"] > 100 > phases["connect_ms"], phases


def test_a_provider_that_refuses_weirs_key_is_told_to_who_runs_it(own, raw):
    gateway = own()
    raw.handler = lambda c, r: c.send(response(b"{}", 401))
    assert send(gateway).status == 502
    assert "provider raw: provider_auth: it refuses the configured api_key" in gateway.said()


def test_verification_can_be_switched_off_on_purpose(start, certificates):
    gateway, provider = tls_gateway(start, certificates, "self_signed.pem", None, verify=False)
    assert send(gateway).status == 200
    provider.stop()


def test_an_end_without_close_notify_is_a_truncation(start, certificates):
    gateway, provider = tls_gateway(start, certificates, "server.pem", "ca.pem")
    close_framed = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + BODY[:-10]

    def handler(connection, request):
        connection.send(close_framed)
        time.sleep(0.02)
        connection.closed_by_us = True
        connection.sock.shutdown(2)  # the TCP end without TLS's own

    provider.handler = handler
    answer = send(gateway)
    assert not answer.complete or answer.status == 502
    assert gateway.record(answer)["error"] in ("truncated", "reset")
    provider.stop()


def test_a_provider_that_speaks_plain_http_where_tls_is_due_fails(start, raw, certificates):
    settings = configuration(1, raw.port)
    settings["providers"]["raw"]["base_url"] = f"https://127.0.0.1:{raw.port}/v1"
    raw.on_connect = lambda c: c.send(b"HTTP/1.1 400 Bad\r\n\r\n") or False
    answer = send(start(settings))
    assert (answer.status, answer.get("x-weir-error")) == (502, "tls_failed")
