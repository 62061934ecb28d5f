"""Errors: the closed list, each in the caller's dialect, and what a provider's errors become."""

import json
import time
from email.utils import parsedate_to_datetime

import pytest

from conftest import PROVIDER_KEY, TENANT_KEY, chat
from harness import wire
from harness.gateway import one_of
from harness.provider import LAST_CHUNK, STREAM_HEAD, chunk, response
from harness.records import ERRORS

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT, MESSAGES, GENERATE = "/v1/chat/completions", "/v1/messages", "/v1beta/models/rawgem-1:generateContent"
ANTHROPIC_BODY = {"model": "rawclaude-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
GEMINI_BODY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
DIALECTS = {"openai": (CHAT, chat()), "anthropic": (MESSAGES, ANTHROPIC_BODY), "gemini": (GENERATE, GEMINI_BODY)}
TYPES = {  # status: OpenAI type, Anthropic type, Gemini status
    400: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    401: ("authentication_error", "authentication_error", "UNAUTHENTICATED"),
    403: ("permission_error", "permission_error", "PERMISSION_DENIED"),
    404: ("invalid_request_error", "not_found_error", "NOT_FOUND"),
    405: ("invalid_request_error", "not_found_error", "NOT_FOUND"),
    413: ("invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
    415: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    429: ("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    502: ("server_error", "api_error", "INTERNAL"),
    503: ("server_error", "overloaded_error", "UNAVAILABLE"),
    504: ("server_error", "timeout_error", "DEADLINE_EXCEEDED"),
}


def check_body(answer, dialect, status, error):
    """The whole shape of an error of weir's own making."""
    assert (answer.status, answer.get("x-weir-error")) == (status, error), (answer.start, answer.fields, answer.body)
    assert answer.get("x-weir-error-source") == next(s for s, names in ERRORS.items() if error in names.split())
    assert answer.get("content-type").startswith("application/json")
    assert answer.get("cache-control") == "no-store"
    assert abs(parsedate_to_datetime(answer.get("date")).timestamp() - time.time()) < 15
    openai, anthropic, gemini = TYPES[status]
    body = answer.json()
    if dialect == "openai":
        assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
        assert (body["error"]["type"], body["error"]["code"]) == (openai, error)
    elif dialect == "anthropic":
        assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
        assert (body["error"]["type"], body["error"]["code"]) == (anthropic, error)
        assert body["request_id"] == answer.get("x-weir-trace-id")
    else:
        assert (body["error"]["code"], body["error"]["status"]) == (status, gemini)
        detail = body["error"]["details"][0]
        assert (detail["reason"], detail["domain"]) == (error, "weir")
    assert body["error"]["message"]
    retry = answer.get("x-should-retry")
    if 400 <= status < 500 and status not in (408, 429):
        assert retry == "false"
    if status in (429, 503):
        assert int(answer.get("retry-after")) >= 0
    text = answer.head + answer.body
    for secret in (TENANT_KEY, PROVIDER_KEY, "127.0.0.1", "/src/", ".c:"):
        assert secret.encode() not in text


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body,error",
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"[]", "bad_json"),
        (b"null", "bad_json"),
        (b'"x"', "bad_json"),
        (b"{}{}", "bad_json"),
        (b"{'a':1}", "bad_json"),
        (b'{"a":1,}', "bad_json"),
        (b'{"a":01}', "bad_json"),
        (b'{"a":"\xff"}', "bad_json"),
        (b'{"a":"\n"}', "bad_json"),
        (b"\xef\xbb\xbf{}", "bad_json"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "bad_json"),
    ],
)
def test_a_body_that_is_not_one_object_is_refused(gateway, raw, dialect, body, error):
    before = raw.bytes_received
    answer = gateway.post(DIALECTS[dialect][0], body, AUTH)
    check_body(answer, dialect, 400, error)
    assert raw.bytes_received == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"raw-1","model":"raw-2","messages":[]}',
        b'{"model":"raw-1","mod\\u0065l":"raw-2","messages":[]}',
        b'{"model":"raw-1","stream":true,"stream":false,"messages":[]}',
        b'{"model":"raw-1","max_tokens":1,"max_tokens":2,"messages":[]}',
    ],
)
def test_a_deciding_member_twice_is_refused(gateway, raw, body):
    before = raw.bytes_received
    check_body(gateway.post(CHAT, body, AUTH), "openai", 400, "bad_json")
    assert raw.bytes_received == before


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":7}', b'{"model":""}', b'{"messages":[]}'])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_body_without_a_model_is_refused(gateway, raw, dialect, body):
    before = raw.bytes_received
    answer = gateway.post(DIALECTS[dialect][0], body, AUTH)
    assert answer.status in (400, 404)
    assert answer.get("x-weir-error") in ("no_model", "bad_json", "unknown_model")
    check_body(answer, dialect, answer.status, answer.get("x-weir-error"))
    assert raw.bytes_received == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_key_reads_as_the_dialect_says(gateway, dialect):
    path, body = DIALECTS[dialect]
    answer = gateway.post(path, body)
    check_body(answer, dialect, 401, "no_key")
    assert answer.get("www-authenticate") == "Bearer"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_method_is_refused(gateway, dialect):
    answer = gateway.get(DIALECTS[dialect][0], AUTH)
    check_body(answer, dialect, 405, "method_not_allowed")
    assert "POST" in (answer.get("allow") or "")


@pytest.mark.parametrize(
    "path,dialect",
    [
        ("/v1/files", "openai"),
        ("/v1/messages/batches", "anthropic"),
        ("/v1beta/files", "gemini"),
        ("/v1beta/models/gemini-2.5-flash:trainContent", "gemini"),
        ("/v1beta/models/rawgem-%2F..%2Ffiles:generateContent", "gemini"),
    ],
)
def test_an_unknown_path_reads_as_the_dialect_it_begins_like(gateway, raw, path, dialect):
    before = len(raw.requests)
    check_body(gateway.post(path, b"{}", AUTH), dialect, 404, "not_found")
    assert len(raw.requests) == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_compressed_body_is_refused(gateway, raw, dialect):
    before = raw.bytes_received
    path, body = DIALECTS[dialect]
    check_body(gateway.post(path, body, {**AUTH, "Content-Encoding": "gzip"}), dialect, 415, "unsupported_encoding")
    assert raw.bytes_received == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unknown_model_reads_as_the_dialect_says(gateway, dialect):
    path, body = DIALECTS[dialect]
    if dialect == "gemini":
        path = "/v1beta/models/nothing-serves-this:generateContent"
    else:
        body = {**body, "model": "nothing-serves-this"}
    check_body(gateway.post(path, body, AUTH), dialect, 404, "unknown_model")


@pytest.fixture
def closed_port():
    closed = wire.ClosedPort()
    yield closed.port
    closed.close()


@pytest.mark.parametrize("dialect", DIALECTS)
@one_of(4)
def test_a_dead_provider_is_a_502_at_once(start, raw, mock, closed_port, dialect):
    from conftest import configuration

    settings = configuration(mock.port, closed_port)
    own = start(settings)
    path, body = DIALECTS[dialect]
    answer = own.post(path, body, AUTH)
    check_body(answer, dialect, 502, "connect_failed")
    record = own.record(answer)
    assert record["total_ms"] < 500 and record["attempts"] == 1 and record["input_tokens"] in (None, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_provider_that_refuses_weirs_credentials_is_not_relayed(gateway, raw, dialect, status):
    raw.handler = lambda c, r: c.send(response({"error": {"message": f"bad key {PROVIDER_KEY}"}}, status))
    path, body = DIALECTS[dialect]
    answer = gateway.post(path, body, AUTH)
    check_body(answer, dialect, 502, "provider_auth")
    assert b"bad key" not in answer.body


@pytest.mark.parametrize(
    "status,error",
    [
        (429, "rate_limited"),
        (503, "overloaded"),
        (529, "overloaded"),
        (500, "provider_error"),
        (502, "provider_error"),
        (400, "provider_rejected"),
        (404, "provider_rejected"),
        (422, "provider_rejected"),
    ],
)
def test_a_providers_other_errors_are_relayed_as_they_are(gateway, raw, status, error):
    body = b'{ "error" : {"message":"as it is", "n":1.0e5}}\n'
    raw.handler = lambda c, r: c.send(response(body, status, fields=[("retry-after", "7"), ("x-request-id", "req_e")]))
    answer = gateway.post(CHAT, chat(), AUTH)
    assert answer.status == status and answer.body == body
    assert answer.get("retry-after") == "7" and answer.get("x-request-id") == "req_e"
    record = gateway.record(answer)
    assert (record["status"], record["error"], record["error_source"]) == (status, error, "provider")


def test_an_echo_of_the_providers_key_in_a_field_is_blanked(gateway, raw):
    fields = [("x-echo", f"Bearer {PROVIDER_KEY}"), ("x-half", PROVIDER_KEY[9:25]), ("x-request-id", "req_e")]
    raw.handler = lambda c, r: c.send(response(b"{}", 400, fields=fields))
    answer = gateway.post(CHAT, chat(), AUTH)
    assert answer.status == 400 and answer.get("x-request-id") == "req_e"
    assert answer.get("x-echo") == "Bearer " + "*" * len(PROVIDER_KEY)
    assert answer.get("x-half") == "*" * 16


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("cut", [0, 1, 7, 20])
def test_an_echo_of_the_providers_key_is_blanked_however_it_is_cut(gateway, raw, framing, cut):
    import time

    body = json.dumps(
        {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}. Again {PROVIDER_KEY}!"}}
    ).encode()
    whole = response(body, 400, framing=framing)

    def handler(connection, request):
        at = whole.index(b"provided: ") + len("provided: ") + cut
        connection.send(whole[:at])
        time.sleep(0.03)
        connection.send(whole[at:])
        if framing == "close":
            connection.close()

    raw.handler = handler if cut else lambda c, r: (c.send(whole), framing == "close" and c.close())
    answer = gateway.post(CHAT, chat(), AUTH)
    assert answer.status == 400
    assert PROVIDER_KEY.encode() not in answer.body
    for i in range(len(PROVIDER_KEY) - 12):
        assert PROVIDER_KEY[i : i + 12].encode() not in answer.body
    assert b"Incorrect API key provided" in answer.body and b"Again" in answer.body


ECHO = f"no: {PROVIDER_KEY}."
ECHOES = {
    "openai, counts asked for by weir": (CHAT, chat(stream=True), f'data: {{"error":{{"message":"{ECHO}"}}}}\n\n'),
    "openai, counts asked for by the client": (
        CHAT,
        chat(stream=True, stream_options={"include_usage": True}),
        f'data: {{"error":{{"message":"{ECHO}"}}}}\n\n',
    ),
    "anthropic": (
        MESSAGES,
        {**ANTHROPIC_BODY, "stream": True},
        f'event: error\ndata: {{"type":"error","error":{{"type":"api_error","message":"{ECHO}"}}}}\n\n',
    ),
    "gemini": (
        GENERATE.replace("generateContent", "streamGenerateContent?alt=sse"),
        GEMINI_BODY,
        f'data: {{"error":{{"code":500,"message":"{ECHO}"}}}}\n\n',
    ),
}


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("size", [9999, 20, 1])
def test_an_echo_of_the_providers_key_inside_a_stream_is_blanked(gateway, raw, name, size):
    path, body, event = ECHOES[name]
    pieces = [event.encode()[at : at + size] for at in range(0, len(event), size)]

    def handler(connection, request):
        connection.send(STREAM_HEAD)
        for piece in pieces:  # each is read by itself, or with its neighbours: both must do
            connection.send(chunk(piece))
            time.sleep(0.002)
        connection.send(LAST_CHUNK)

    raw.handler = handler
    answer = gateway.post(path, body, AUTH)
    assert answer.status == 200 and len(answer.body) == len(event)
    assert answer.body.startswith(event.split("no: ")[0].encode()) and answer.body.endswith(event.split(PROVIDER_KEY)[1].encode())
    for i in range(len(PROVIDER_KEY) - 11):
        assert PROVIDER_KEY[i : i + 12].encode() not in answer.body
    assert gateway.record(answer)["error"] == "stream_error"


def test_an_echo_in_an_event_that_never_ends_is_blanked(gateway, raw):
    cut = STREAM_HEAD + chunk(ECHOES["openai, counts asked for by weir"][2].encode().rstrip(b"\n")) + LAST_CHUNK
    raw.handler = lambda c, r: c.send(cut)
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
        got = client.read_until(b'"}') + client.read_until(b"}")
    assert b"no: ***" in got and PROVIDER_KEY[:12].encode() not in got


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_provider_that_names_no_time_gets_one(gateway, raw, status):
    raw.handler = lambda c, r: c.send(response(b"{}", status))
    answer = gateway.post(CHAT, chat(), AUTH)
    assert (answer.status, answer.get("retry-after")) == (status, "1")


def test_a_redirect_is_not_followed(gateway, raw):
    raw.handler = lambda c, r: c.send(response(b"", 302, fields=[("Location", "http://169.254.169.254/latest")]))
    before = len(raw.requests)
    answer = gateway.post(CHAT, chat(), AUTH)
    assert answer.status in (302, 502) and len(raw.requests) == before + 1
    assert "169.254" not in (answer.get("location") or "")
