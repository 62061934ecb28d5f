"""Headers in both directions: what weir adds, what it takes away, and what it must pass untouched."""

import json
import re
import time
from email.utils import parsedate_to_datetime

import pytest

from conftest import PROVIDER_KEY, TENANT_KEY, chat
from harness import wire
from harness.provider import STREAM_HEAD, LAST_CHUNK, chat_body, chat_events, chunk, response

CHAT = "/v1/chat/completions"


def send(gateway, fields, body=None):
    pairs = fields.items() if isinstance(fields, dict) else fields
    answer = gateway.post(CHAT, body or chat(), [("Authorization", f"Bearer {TENANT_KEY}"), *pairs])
    assert answer.status == 200, answer.body
    return answer


def test_every_answer_says_where_it_came_from(gateway, raw):
    answer = send(gateway, {})
    assert re.fullmatch("[0-9a-f]{32}", answer.get("x-weir-trace-id"))
    assert answer.get("x-weir-provider") == "raw"
    assert answer.get("x-weir-model") == "raw-1"
    assert answer.get("x-weir-attempts") == "1"
    assert answer.get("x-weir-error") is None and answer.get("x-weir-error-source") is None


def test_server_timing_tells_every_phase_and_the_trace(gateway, raw):
    timing = send(gateway, {}).get("server-timing")
    for phase in ("receive", "admit", "queue", "send", "wait"):
        assert re.search(rf"(^|[, ]){phase};dur=\d+(\.\d+)?", timing), timing
    assert re.search(r'trace;desc="?00-[0-9a-f]{32}-[0-9a-f]{16}-03', timing), timing


def test_trailers_tell_the_rest_when_the_client_asked(gateway, raw):
    with gateway.connect() as client:
        client.send(
            wire.request(
                "POST",
                CHAT,
                {"Authorization": f"Bearer {TENANT_KEY}", "TE": "trailers", "Connection": "TE"},
                chat(stream=True),
            )
        )
        answer = client.read_response()
    trailers = dict(answer.trailers)
    assert "generate;dur=" in trailers.get("server-timing", ""), answer.trailers
    with gateway.connect() as client:
        client.send(wire.request("POST", CHAT, {"Authorization": f"Bearer {TENANT_KEY}"}, chat(stream=True)))
        assert client.read_response().trailers == []


def test_a_trace_goes_on_but_is_not_passed_to_providers_that_are_not_trusted(gateway, raw, trace):
    trace_id, fields = trace
    answer = send(gateway, {**fields, "tracestate": "a=b", "baggage": "user=1"})
    assert answer.get("x-weir-trace-id") == trace_id
    sent = raw.requests[-1]
    assert not sent.all("traceparent") and not sent.all("tracestate") and not sent.all("baggage")
    record = gateway.record(trace_id)
    assert record["parent_id"] == fields["traceparent"].split("-")[2]


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "1" * 31,
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "G" * 32 + "-" + "1" * 16 + "-01",
        "0" * 10000,
    ],
)
def test_a_malformed_traceparent_starts_a_new_trace(gateway, raw, value):
    answer = send(gateway, {"traceparent": value})
    assert re.fullmatch("[0-9a-f]{32}", answer.get("x-weir-trace-id"))
    assert answer.get("x-weir-trace-id") not in value
    assert gateway.record(answer)["parent_id"] is None


@pytest.fixture
def trusting_gateway(start, raw, mock):
    from conftest import configuration

    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["trusted"] = True
    return start(settings)


def test_a_trusted_provider_gets_the_trace_with_a_new_parent(trusting_gateway, raw, trace):
    trace_id, fields = trace
    parents = {fields["traceparent"].split("-")[2]}
    for flags in ("00", "01", "02", "03", "fd"):
        send(trusting_gateway, {"traceparent": fields["traceparent"][:-2] + flags})
        version, trace_sent, parent, flags_sent = raw.requests[-1].get("traceparent").split("-")
        assert (version, trace_sent) == ("00", trace_id)
        assert flags_sent == f"{int(flags, 16) & 3:02x}", "sampled and random go on as they came, nothing else does"
        assert re.fullmatch("[0-9a-f]{16}", parent) and parent not in parents | {"0" * 16}
        parents.add(parent)


def test_a_trace_that_begins_here_is_sampled_and_random(trusting_gateway, raw):
    send(trusting_gateway, {})
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-03", raw.requests[-1].get("traceparent"))
    assert raw.requests[-1].get("tracestate") is None and raw.requests[-1].get("baggage") is None


def test_a_trusted_provider_gets_the_callers_tracestate_and_baggage(trusting_gateway, raw, trace):
    _, fields = trace
    send(
        trusting_gateway,
        [*fields.items(), ("tracestate", "a=1, b=2"), ("Tracestate", "c@d=3"), ("baggage", "user=1;p=2, bad name=x"),
         ("baggage", "plan=gold%20plus")],
    )
    sent = raw.requests[-1]
    assert sent.all("tracestate") == ["a=1,b=2,c@d=3"]
    assert sent.all("baggage") == ["user=1;p=2,plan=gold%20plus"]


@pytest.mark.parametrize("traceparent", [None, "malformed", "twice"])
def test_a_tracestate_without_a_good_traceparent_goes_nowhere(trusting_gateway, raw, trace, traceparent):
    trace_id, fields = trace
    sent = {None: [], "malformed": [("traceparent", "00-x")], "twice": 2 * [("traceparent", fields["traceparent"])]}
    send(trusting_gateway, [*sent[traceparent], ("tracestate", "a=1"), ("baggage", "user=1")])
    got = raw.requests[-1]
    assert not got.all("tracestate") and got.all("baggage") == ["user=1"]
    assert trace_id not in got.get("traceparent"), "a new trace begins"


def test_weirs_own_request_headers_reach_the_record_and_not_the_provider(gateway, raw):
    answer = send(
        gateway,
        {
            "x-weir-tag-feature": "ask",
            "X-Weir-Tag-Team": "blue",
            "x-weir-session": "s-1",
            "x-weir-workload": "nightly",
            "x-weir-release": "web-418",
            "x-weir-timing": "retrieval;dur=120, rerank;dur=35",
        },
    )
    assert b"x-weir" not in raw.requests[-1].head.lower()
    record = gateway.record(answer)
    assert record["tags"].items() >= {"feature": "ask", "team": "blue"}.items()
    assert (record["session"], record["release"]) == ("s-1", "web-418")
    assert record["workload"] in ("nightly", "_other", None)


@pytest.mark.parametrize(
    "fields",
    [
        [(f"x-weir-tag-t{i}", "v") for i in range(17)],
        [("x-weir-tag-a", "v" * 257)],
        [("x-weir-tag-", "v")],
        [("x-weir-tag-a", "1"), ("X-Weir-Tag-A", "2")],
        [("x-weir-tag-a", "a\x85b")],
        [("x-weir-tag-a", "a\u2028b")],
        [("x-weir-session", "s-1"), ("x-weir-session", "s-2")],
        [("x-weir-timing", "retrieval;dur=1"), ("x-weir-timing", "retrieval")],
        [("x-weir-timing", "retrieval")],
        [("x-weir-timing", "retrieval;dur=x")],
        [("x-weir-timing", ";dur=1")],
    ],
)
def test_a_malformed_header_of_weirs_own_is_refused(gateway, raw, fields, key):
    before = raw.bytes_received
    answer = gateway.post(CHAT, chat(), list(key.items()) + fields)
    assert (answer.status, answer.get("x-weir-error")) == (400, "bad_weir_header"), answer.body
    assert raw.bytes_received == before


@pytest.mark.parametrize("value", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82"])
@pytest.mark.parametrize("name", [b"x-weir-tag-a", b"x-weir-release"])
def test_a_label_that_is_not_utf_8_is_refused(gateway, raw, name, value, key):
    request = wire.request("POST", CHAT, key, chat())
    answer = gateway.exchange(request.replace(b"\r\n", b"\r\n" + name + b": a" + value + b"\r\n", 1))
    assert (answer.status, answer.get("x-weir-error")) == (400, "bad_weir_header"), answer.body


def test_a_tag_cannot_forge_a_log_line(gateway, raw, key):
    answer = gateway.post(CHAT, chat(), {**key, "x-weir-tag-a": '\\", "tenant": "root\\u000a', "User-Agent": '"\\/é'})
    assert answer.status in (200, 400)
    record = gateway.record(answer)
    assert record["tenant"] == "acme"


def test_hop_by_hop_and_nominated_fields_stay_on_their_side(gateway, raw):
    send(
        gateway,
        {
            "Connection": "x-foo, keep-alive",
            "X-Foo": "1",
            "Keep-Alive": "timeout=5",
            "Proxy-Connection": "close",
            "Proxy-Authorization": "Basic x",
            "TE": "trailers",
            "Trailer": "X",
            "X-Bar": "2",
            "Expect": "100-continue",
        },
    )
    sent = raw.requests[-1]
    for name in (
        "x-foo",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "expect",
        "upgrade",
        "transfer-encoding",
    ):
        assert not sent.all(name), name
    assert sent.get("x-bar") == "2"


def test_the_provider_gets_one_credential_its_own_host_and_no_compression(gateway, raw):
    send(
        gateway,
        {
            "Accept-Encoding": "gzip, br",
            "Cookie": "session=1",
            "X-Forwarded-For": "1.2.3.4",
            "OpenAI-Organization": "org_1",
            "User-Agent": "test/1",
            "OpenAI-Beta": "x=1",
        },
    )
    sent = raw.requests[-1]
    assert sent.all("host") == [f"127.0.0.1:{raw.port}"]
    assert sent.all("authorization") == [f"Bearer {PROVIDER_KEY}"]
    assert sent.all("accept-encoding") in ([], ["identity"])
    assert not sent.all("cookie")
    assert sent.get("openai-beta") == "x=1"
    assert "1.2.3.4" not in (sent.get("x-forwarded-for") or "")


def test_configured_headers_are_put_in_and_win(start, raw, mock):
    from conftest import configuration

    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["headers"] = {"OpenAI-Project": "proj_1"}
    own = start(settings)
    send(own, {"OpenAI-Project": "proj_of_the_client"})
    assert raw.requests[-1].all("openai-project") == ["proj_1"]


@pytest.mark.parametrize(
    "auth,field,value",
    [
        ("bearer", "authorization", f"Bearer {PROVIDER_KEY}"),
        ("x-api-key", "x-api-key", PROVIDER_KEY),
        ("api-key", "api-key", PROVIDER_KEY),
        ("x-goog-api-key", "x-goog-api-key", PROVIDER_KEY),
    ],
)
def test_the_provider_gets_its_key_in_the_header_its_auth_says(start, raw, mock, auth, field, value):
    from conftest import configuration

    settings = configuration(mock.port, raw.port)
    settings["providers"]["raw"]["auth"] = auth
    send(start(settings), {})
    sent = raw.requests[-1]
    credentials = [f for f in sent.fields if f[0] in ("authorization", "x-api-key", "api-key", "x-goog-api-key")]
    assert credentials == [(field, value)]


OF_THE_HOST = (
    "strict-transport-security",
    "report-to",
    "reporting-endpoints",
    "nel",
    "clear-site-data",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
)


def noisy(connection, request):
    connection.send(
        response(
            chat_body(),
            fields=[
                ("x-request-id", "req_77"),
                ("request-id", "req_78"),
                ("x-ratelimit-remaining-requests", "12"),
                ("x-ratelimit-limit-tokens", "9000"),
                ("openai-organization", "org-secret"),
                ("openai-processing-ms", "123"),
                ("Set-Cookie", "a=b"),
                ("alt-svc", "h3=x"),
                *((name, "x") for name in OF_THE_HOST),
                ("Connection", "x-gone"),
                ("x-gone", "1"),
                ("Keep-Alive", "timeout=1"),
                ("anthropic-organization-id", "org-2"),
                ("x-kept", "yes"),
                ("openai-version", "2020-10-01"),
            ],
        )
    )


def test_of_the_providers_headers_only_what_concerns_the_client_passes(gateway, raw):
    raw.handler = noisy
    answer = send(gateway, {})
    assert answer.get("x-request-id") == "req_77" and answer.get("request-id") == "req_78"
    gone = ("set-cookie", "alt-svc", "openai-organization", "anthropic-organization-id", "x-gone", "keep-alive")
    for name in gone + OF_THE_HOST:
        assert answer.get(name) is None, name
    assert answer.get("x-kept") == "yes"
    assert (
        answer.get("x-weir-upstream-x-ratelimit-remaining-requests") == "12"
        or answer.get("x-weir-upstream-ratelimit-remaining-requests") == "12"
    ), answer.fields
    assert answer.get("content-type") == "application/json"
    record = gateway.record(answer)
    assert record["provider_request_id"] == "req_77"
    assert record["provider_ms"] == 123


@pytest.mark.parametrize("own", [None, "Tue, 15 Nov 1994 08:12:31 GMT"])
def test_every_answer_has_one_date_and_the_providers_goes_first(gateway, raw, own):
    """RFC 9110 6.6.1: who passes on an answer without one says when it came."""
    raw.handler = lambda c, r: c.send(response(chat_body(), fields=[("Date", own)] if own else []))
    answer = send(gateway, {})
    dates = [value for name, value in answer.fields if name.lower() == "date"]
    assert len(dates) == 1
    if own:
        assert dates[0] == own
    else:
        assert abs(parsedate_to_datetime(dates[0]).timestamp() - time.time()) < 15


def test_a_provider_cannot_set_weirs_own_headers(gateway, raw):
    raw.handler = lambda c, r: c.send(
        response(
            chat_body(),
            fields=[
                ("x-weir-trace-id", "0" * 32),
                ("x-weir-error", "internal"),
                ("X-Weir-Provider", "evil"),
                ("Connection", "x-weir-trace-id"),
            ],
        )
    )
    answer = send(gateway, {})
    assert len(answer.all("x-weir-trace-id")) == 1 and answer.get("x-weir-trace-id") != "0" * 32
    assert answer.all("x-weir-provider") == ["raw"] and not answer.all("x-weir-error")


def test_debug_adds_the_overhead_and_a_last_comment(gateway, raw):
    answer = send(gateway, {"x-weir-debug": "1"})
    assert float(answer.get("x-weir-overhead-ms")) >= 0
    answer = send(gateway, {"x-weir-debug": "1"}, chat(stream=True))
    comment = [line for line in answer.body.split(b"\n") if line.startswith(b": weir ")]
    assert len(comment) == 1
    told = json.loads(comment[0].removeprefix(b": weir "))
    assert isinstance(told, dict) and told
    assert b": weir" not in send(gateway, {}, chat(stream=True)).body


def test_a_streams_head_passes_with_the_first_event(gateway, raw):
    raw.handler = lambda c, r: c.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()) + LAST_CHUNK)
    answer = send(gateway, {}, chat(stream=True))
    assert answer.get("content-type") == "text/event-stream"
    assert answer.get("content-encoding") is None and answer.get("content-length") is None


@pytest.mark.parametrize("value,ms", [("12.75", 12.75), ("0.0000019", 0.000001), ("7.", 7), ("-3", None), ("1.x", None)])
def test_a_providers_own_time_may_have_decimals(gateway, raw, value, ms):
    raw.handler = lambda c, r: c.send(response(chat_body(), fields=[("openai-processing-ms", value)]))
    record = gateway.record(send(gateway, {}))
    assert (record["provider_ms"] is None) if ms is None else (float(record["provider_ms"]) == ms)
