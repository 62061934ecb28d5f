"""OTLP export, decoded by the real OpenTelemetry packages: what the spans of an exchange say, what collectors may do to
weir, and what never leaves it."""

import gzip
import json
import random
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from conftest import PROVIDER_KEY, TENANT_KEY, chat, configuration
from harness import collector as collectors
from harness import records, wire
from harness.collector import Collector
from harness.gateway import wait_until
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_body, chat_events, chunk, response

CHAT = "/v1/chat/completions"
AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
SERVER, CLIENT, INTERNAL = 2, 3, 1
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()
    assert not made.faults, made.faults[:3]


@pytest.fixture
def exporting(start, mock, raw, collector):
    """exporting(exporter keys, environment=…): a gateway that sends to the collector."""

    def make(environment=None, more=None, **exporter):
        otlp = {"export": [{"endpoint": collector.url, **exporter}]}
        settings = configuration(mock.port, raw.port, otlp=otlp, **(more or {}))
        return start(settings, environment={**FAST, **(environment or {})})

    return make


def spans_of(collector, gateway, trace_id, seconds=20.0):
    """The whole trace, once its SERVER span is there (an exchange's spans are sent together)."""
    record = gateway.record(trace_id, seconds)
    spans = wait_until(lambda: collector.trace(record["trace_id"]), seconds, "the spans")
    return record, spans


def named(spans, kind, name=None):
    found = [span for span in spans if span.kind == kind and (name is None or span.name == name)]
    assert len(found) == 1, [(span.kind, span.name) for span in spans]
    return found[0]


def lasted(span):
    return span.end - span.begin


def ns(milliseconds):
    return int(milliseconds * 1_000_000)  # records have them as decimals


# ---- what the spans say ----


def test_an_exchange_is_a_tree_of_spans_that_fill_it_exactly(exporting, collector):
    gateway = exporting()
    trace_id, traceparent = wire.new_trace()
    answer = gateway.post(CHAT, chat(stream=True), {**AUTH, "traceparent": traceparent, "tracestate": "vendor=1"})
    assert answer.status == 200
    record, spans = spans_of(collector, gateway, trace_id)
    by_id, children = collectors.tree(spans)
    server = by_id[record["span_id"]]
    assert server.kind == SERVER and server.name == "POST /v1/chat/completions"
    assert server.parent == record["parent_id"] == traceparent.split("-")[2]
    assert server.message.flags == 0x301 and server.message.trace_state == "vendor=1"
    assert lasted(server) == ns(record["total_ms"])
    inference = [span for span in children[server.id] if span.kind == CLIENT]
    assert [span.name for span in inference] == ["chat raw-1"]
    attempts = [span for span in children[inference[0].id] if span.kind == CLIENT]
    assert [span.name for span in attempts] == ["POST"]
    phases = {span.name: lasted(span) for span in spans if span.kind == INTERNAL}
    told = {name.removesuffix("_ms"): ns(value) for name, value in record["phases"].items() if value > 0}
    assert phases == told, "one span for each phase that ran, to the nanosecond"
    leaves = sorted((s for s in spans if s.kind == INTERNAL), key=lambda s: s.begin)
    assert leaves[0].begin == server.begin and leaves[-1].end == server.end
    assert all(a.end == b.begin for a, b in zip(leaves, leaves[1:])), "no gap and no overlap"
    for span in spans:
        if span.parent in by_id:
            assert by_id[span.parent].begin <= span.begin <= span.end <= by_id[span.parent].end
    layers = {span.name: span["weir.layer"] for span in leaves}
    assert layers["wait"] == "provider" and layers["admit"] == "gateway"


def test_the_inference_span_has_the_newest_names(exporting, collector):
    gateway = exporting()
    answer = gateway.post(
        CHAT,
        chat("fast", stream=True, max_tokens=64, n=1),
        {**AUTH, "x-weir-session": "conversation-1", "x-weir-release": "web-1", "x-weir-tag-team": "blue"},
    )
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    span = named(spans, CLIENT, "chat gpt-4o-mini")
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": record["model"],
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.conversation.id": "conversation-1",
        "session.id": "conversation-1",
        "gen_ai.response.finish_reasons": [record["finish_reason"]],
        "gen_ai.usage.input_tokens": record["input_tokens"],
        "gen_ai.usage.output_tokens": record["output_tokens"],
        "openai.api.type": "chat_completions",
        "server.address": "127.0.0.1",
        "weir.tenant": "acme",
        "weir.release": "web-1",
        "weir.tag.team": "blue",
        "weir.tag.plan": "gold",
        "weir.model_requested": "fast",
    }
    assert {key: span.get(key) for key in expected} == expected
    assert 0 < span["gen_ai.response.time_to_first_chunk"] <= float(record["ttft_ms"]) / 1000
    assert span["weir.cost_usd"] == pytest.approx(float(record["cost_usd"]))
    assert not [key for key in span.attributes if key.startswith(("llm.", "openinference", "langfuse"))]
    assert span.resource["service.name"] == "weir" and span.resource["service.instance.id"] == "gw-test"


def test_server_and_attempt_spans_have_the_http_conventions(exporting, collector):
    gateway = exporting()
    answer = gateway.post(CHAT + "?a=secret", chat(), {**AUTH, "User-Agent": "tester/1"})
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    server = named(spans, SERVER)
    expected = {
        "http.request.method": "POST",
        "url.path": CHAT,
        "url.scheme": "http",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "user_agent.original": "tester/1",
        "http.request.body.size": record["request_bytes"],
    }
    assert {key: server.get(key) for key in expected} == expected
    attempt = named(spans, CLIENT, "POST")
    port = gateway.configuration["providers"]["raw"]["base_url"].split(":")[2].split("/")[0]
    expected = {
        "http.request.method": "POST",
        "url.full": f"http://127.0.0.1:{port}/v1/chat/completions",
        "server.address": "127.0.0.1",
        "server.port": int(port),
        "http.response.status_code": 200,
        "weir.provider": "raw",
    }
    assert {key: attempt.get(key) for key in expected} == expected
    assert "http.request.resend_count" not in attempt.attributes
    assert server.get("error.type") is None and server.message.status.code == 0


def test_other_dialects_names_are_added(exporting, collector):
    gateway = exporting(dialect="openinference")
    answer = gateway.post(CHAT, chat("gpt-4o-mini", stream=True), AUTH)
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    span = named(spans, CLIENT, "chat gpt-4o-mini")
    assert span["openinference.span.kind"] == "LLM" and span["llm.model_name"] == record["model"]
    assert span["llm.token_count.prompt"] == span["gen_ai.usage.input_tokens"] == record["input_tokens"]
    assert span["llm.token_count.total"] == record["input_tokens"] + record["output_tokens"]
    assert span["llm.cost.total"] == pytest.approx(float(record["cost_usd"]))
    assert json.loads(span["llm.invocation_parameters"]) == {"stream": True}
    assert [event.name for event in span.message.events] == ["First Token Stream Event"]
    assert span.begin <= span.message.events[0].time_unix_nano <= span.end
    assert named(spans, SERVER)["openinference.span.kind"] == "CHAIN"
    assert span.resource["openinference.project.name"] == "weir"


def test_langfuse_gets_the_names_it_reads(exporting, collector):
    gateway = exporting(dialect="langfuse")
    answer = gateway.post(CHAT, chat("gpt-4o-mini", stream=True), {**AUTH, "x-weir-session": "s"})
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    span = named(spans, CLIENT, "chat gpt-4o-mini")
    assert span["langfuse.observation.type"] == "generation" and span["langfuse.session.id"] == "s"
    assert json.loads(span["langfuse.observation.cost_details"])["total"] == pytest.approx(float(record["cost_usd"]))
    assert span["langfuse.observation.completion_start_time"].endswith("Z")


@pytest.mark.parametrize(
    "model, status, error",
    [("nobody-serves-it", 404, "unknown_model"), ("raw-fails", 500, "provider_error"), ("raw-limits", 429, "rate_limited")],
)
def test_failures_are_told_by_the_conventions(exporting, collector, raw, model, status, error):
    raw.handler = lambda connection, request: connection.send(response({"error": {"message": "no"}}, status))
    gateway = exporting()
    answer = gateway.post(CHAT, chat(model), AUTH)
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    assert record["error"] == error
    server = named(spans, SERVER)
    assert server["weir.error"] == error and server["http.response.status_code"] == record["status"]
    if record["error_source"] == "policy":
        assert len([s for s in spans if s.kind == CLIENT]) == 0, "nobody was called"
        assert server.message.status.code == 0 and "error.type" not in server.attributes
    else:
        call = named(spans, CLIENT, "chat " + model)
        for span in (call, named(spans, CLIENT, "POST")):
            assert span["error.type"] == error and span.message.status.code == 2
        assert named(spans, CLIENT, "POST")["http.response.status_code"] == status
        # a 4xx is an error of who asked, for the span of who was asked: the attribute and the status stay unset
        assert (server.get("error.type"), server.message.status.code) == ((error, 2) if status >= 500 else (None, 0))
        assert call["gen_ai.request.model"] == model and "gen_ai.response.model" not in call.attributes


def test_an_answer_that_broke_off_finished_with_error(exporting, collector):
    gateway = exporting()
    with wire.connect(gateway.port) as client:
        client.send(wire.request("POST", CHAT, {**AUTH, "x-mock-fault": "truncate"}, chat("gpt-4o-mini", stream=True)))
        answer = client.read_head()
        client.read_to_end()
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    assert record["error"] == "truncated" and record["finish_reason"] is None
    call = named(spans, CLIENT, "chat gpt-4o-mini")
    assert call["gen_ai.response.finish_reasons"] == ["error"] and call["gen_ai.response.model"] == "gpt-4o-mini"
    assert named(spans, SERVER)["error.type"] == "truncated", "its status was 200, and it failed all the same"


def test_a_method_that_nobody_knows_is_other(exporting, collector):
    gateway = exporting()
    answer = gateway.exchange(wire.request("PROPFIND", CHAT, AUTH))
    _, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    server = named(spans, SERVER, "HTTP")
    assert server["http.request.method"] == "_OTHER" and server["http.response.status_code"] == 405


def test_every_attempt_has_a_span_and_a_trusted_provider_is_told_which(start, mock, raw, collector):
    settings = configuration(mock.port, raw.port, otlp={"export": [{"endpoint": collector.url}]})
    settings["providers"]["raw"]["trusted"] = True
    retry = {"attempts": 4, "backoff": "20ms"}
    settings["models"]["retried"] = {"targets": [{"provider": "raw", "model": "raw-1"}], "retry": retry}
    settings["providers"]["raw"]["timeouts"] = {"first_token": "2s"}
    gateway = start(settings, environment=FAST)
    answers = [response({"error": {}}, 503), response({"error": {}}, 500), b""]
    raw.handler = lambda c, request: c.send(answers.pop(0) if answers else response(chat_body()))
    trace_id, traceparent = wire.new_trace()
    answer = gateway.post(CHAT, chat("retried"), {**AUTH, "traceparent": traceparent})
    assert answer.status == 200 and answer.get("x-weir-attempts") == "4"
    _, spans = spans_of(collector, gateway, trace_id)
    by_id, children = collectors.tree(spans)
    inference = named(spans, CLIENT, "chat raw-1")
    attempts = sorted((s for s in children[inference.id] if s.kind == CLIENT), key=lambda s: s["weir.attempt"])
    assert [s.get("http.response.status_code") for s in attempts] == [503, 500, None, 200]
    assert [s.get("error.type") for s in attempts] == ["overloaded", "provider_error", "first_token_timeout", None]
    assert [s.get("http.request.resend_count") for s in attempts] == [None, 1, 2, 3]
    told = [request.get("traceparent") for request in raw.requests[-4:]]
    assert told == [f"00-{trace_id}-{span.id}-01" for span in attempts]
    for one, next_one in zip(attempts, attempts[1:]):
        assert inference.begin <= one.begin < one.end <= next_one.begin < next_one.end <= inference.end
    assert {s.name for s in children[attempts[0].id]} >= {"send", "wait"}
    assert inference.get("error.type") is None and inference.message.status.code == 0


def test_the_slower_of_two_attempts_has_a_span_beside_the_one_that_won(start, mock, raw, collector):
    settings = configuration(mock.port, raw.port, otlp={"export": [{"endpoint": collector.url}]})
    settings["providers"]["raw"]["trusted"] = True
    hedge = {"after": "1s", "budget": "100%"}
    settings["models"]["hedged"] = {"targets": [{"provider": "raw", "model": "raw-1"}], "hedge": hedge}
    gateway = start(settings, environment=FAST)
    asked, go = [], threading.Event()

    def handler(connection, request):
        asked.append(request.get("traceparent"))
        if len(asked) == 1 and not go.wait(30):
            return
        connection.send(STREAM_HEAD + b"".join(chunk(event) for event in chat_events()) + LAST_CHUNK)

    raw.handler = handler
    answer = gateway.post(CHAT, chat("hedged", stream=True), AUTH)
    go.set()
    assert answer.status == 200 and answer.get("x-weir-attempts") == "2"
    record, spans = spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    _, children = collectors.tree(spans)
    inference = named(spans, CLIENT, "chat raw-1")
    slow, quick = sorted((s for s in children[inference.id] if s.kind == CLIENT), key=lambda s: s["weir.attempt"])
    assert [value.split("-")[2] for value in asked] == [slow.id, quick.id], "each provider knows its own parent"
    assert "http.response.status_code" not in slow.attributes and "error.type" not in slow.attributes
    assert quick["http.response.status_code"] == 200 and record["error"] is None
    assert inference.begin <= slow.begin < quick.begin < slow.end <= inference.end
    assert lasted(slow) >= 1_000_000_000


def test_what_is_not_sampled_is_recorded_and_not_exported(exporting, collector):
    gateway = exporting(signals=["traces", "logs"])
    unsampled, parent = wire.new_trace()
    gateway.post(CHAT, chat(), {**AUTH, "traceparent": parent[:-2] + "00"})
    gateway.record(unsampled)
    answer = gateway.post(CHAT, chat(), AUTH)
    spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    wait_until(lambda: collector.logs, 20, "the log line")
    assert not collector.trace(unsampled)
    assert unsampled not in [log.trace_id.hex() for log in collector.logs]


def test_records_are_log_lines_with_their_trace(exporting, collector):
    gateway = exporting(signals=["logs"])
    answer = gateway.post(CHAT, chat(), AUTH)
    record = gateway.record(answer)
    log = wait_until(lambda: list(collector.logs), 20, "the log line")[0]
    assert records.parse(log.body.string_value.encode()) == record
    assert log.trace_id.hex() == record["trace_id"] and log.span_id.hex() == record["span_id"]
    assert (log.severity_number, log.severity_text, log.event_name) == (9, "INFO", "weir.exchange")
    assert not collector.spans


def test_any_bytes_a_client_sends_are_decoded_to_what_the_record_says(exporting, collector):
    """The real decoder refuses what is not UTF-8, and a wrong length anywhere."""
    gateway = exporting()
    dice = random.Random(5)
    wanted = []
    with gateway.connect() as client:
        for i in range(120):
            noise = bytes(dice.choice([*range(0x21, 0x7F), *range(0x80, 0x100)]) for _ in range(dice.choice([1, 20, 200])))
            trace_id, traceparent = wire.new_trace()
            head = wire.request("POST", CHAT, {**AUTH, "traceparent": traceparent}, chat(stream=i % 2 == 0))
            label = "".join(dice.choice("a~\u00e9\u05d0\u4e2d\U0001f4a7") for _ in range(dice.choice([1, 20, 60]))).encode()
            extra = b"User-Agent: " + noise + b"\r\nx-weir-session: " + label + b"\r\nx-weir-tag-noise: " + label
            client.send(head.replace(b"\r\n", b"\r\n" + extra + b"\r\n", 1))
            assert client.read_response().status == 200
            wanted.append((trace_id, noise.decode("utf-8", "replace")))
    for trace_id, _ in wanted:
        record, spans = spans_of(collector, gateway, trace_id)
        server = named(spans, SERVER)
        assert server["user_agent.original"] == record["user_agent"]
        assert server["session.id"] == record["session"]
        assert server["weir.tag.noise"] == record["tags"]["noise"]
        collectors.tree(spans)


# ---- metrics ----


def points(collector, name, **labels):
    """The data points of the newest metrics that have that name and these attributes."""
    for metrics in reversed(collector.metrics):
        if name in metrics:
            metric = metrics[name]
            data = getattr(metric, metric.WhichOneof("data"))
            found = [(collectors.attributes(p.attributes), p) for p in data.data_points]
            return [p for attributes, p in found if labels.items() <= attributes.items()]
    return []


def number_of(collector, name):
    """How many exports have had that metric."""
    return sum(name in metrics for metrics in list(collector.metrics))


def bucket_of(point):
    """(lower, upper] of the one bucket that holds the point's values."""
    buckets = point.positive
    filled = [i for i, count in enumerate(buckets.bucket_counts) if count]
    assert len(filled) == 1 and point.scale == 5
    index = buckets.offset + filled[0]
    return 2 ** (index / 32), 2 ** ((index + 1) / 32)


def test_metrics_are_what_the_records_add_up_to(exporting, collector):
    gateway = exporting(signals=["metrics"], environment={"OTEL_METRIC_EXPORT_INTERVAL": "200"})
    answers = [gateway.post(CHAT, chat("gpt-4o-mini", stream=True), AUTH) for _ in range(3)]
    answers.append(gateway.post(CHAT, chat("nobody-serves-it"), AUTH))
    told = [gateway.record(answer) for answer in answers]
    labels = {"tenant": "acme", "provider": "openai", "model": "gpt-4o-mini"}
    wait_until(lambda: [p.as_int for p in points(collector, "weir_requests_total", **labels)] == [3], 20, "3 requests")
    exports = number_of(collector, "weir_requests_total")  # one may have been begun before all was counted
    wait_until(lambda: number_of(collector, "weir_requests_total") > exports + 1, 20, "whole exports after that")
    assert [p.as_int for p in points(collector, "weir_requests_total", error="unknown_model")] == [1]
    good = told[:3]
    for kind in ("input", "output"):
        [point] = points(collector, "weir_tokens_total", type=kind, **labels)
        assert point.as_int == sum(record[f"{kind}_tokens"] for record in good)
    [cost] = points(collector, "weir_cost_usd_total", **labels)
    assert cost.as_double == pytest.approx(float(sum(record["cost_usd"] for record in good)))
    [ttft] = points(collector, "weir_ttft_seconds", **labels)
    assert ttft.count == 3 and ttft.sum == pytest.approx(float(sum(r["ttft_ms"] for r in good)) / 1000)
    assert ttft.max == pytest.approx(float(max(r["ttft_ms"] for r in good)) / 1000)
    assert sum(ttft.positive.bucket_counts) == 3
    assert 0 < ttft.start_time_unix_nano < ttft.time_unix_nano
    [wait] = points(collector, "weir_phase_seconds", phase="wait", provider="openai", model="gpt-4o-mini")
    assert wait.count == 3
    genai = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    [duration] = points(collector, "gen_ai.client.inference.duration", **genai)
    assert duration.count == 3
    [usage] = points(collector, "gen_ai.client.token.usage", **genai, **{"gen_ai.token.type": "output"})
    assert usage.count == 3 and usage.sum == sum(record["output_tokens"] for record in good)
    [usage] = points(collector, "gen_ai.client.inference.usage.input_tokens", **genai)
    assert usage.as_int == sum(record["input_tokens"] for record in good)
    assert not points(collector, "gen_ai.client.inference.duration", **{"gen_ai.request.model": "nobody-serves-it"})
    [tries] = points(collector, "weir_attempts_total", outcome="answered", **labels)
    assert tries.as_int == 3
    [chunks] = points(collector, "gen_ai.client.inference.time_per_output_chunk", **genai)
    [gaps] = points(collector, "weir_gap_seconds", **labels)
    assert chunks.count == gaps.count == sum(record["chunks"] - 1 for record in good)
    for name in ("gen_ai.server.time_to_first_token", "gen_ai.server.time_per_output_token", "weir_loop_lag_seconds"):
        assert points(collector, name), name


def test_a_histogram_has_its_value_in_its_bucket(exporting, collector):
    gateway = exporting(signals=["metrics"], environment={"OTEL_METRIC_EXPORT_INTERVAL": "200"})
    record = gateway.record(gateway.post(CHAT, chat("gpt-4o-mini", stream=True), AUTH))
    [point] = wait_until(lambda: points(collector, "weir_total_seconds", provider="openai"), 20, "the histogram")
    low, high = bucket_of(point)
    assert low * 0.993 <= float(record["total_ms"]) / 1000 <= high * 1.014
    [point] = wait_until(
        lambda: points(collector, "gen_ai.client.token.usage", **{"gen_ai.token.type": "input"}), 20, "the tokens"
    )
    low, high = bucket_of(point)
    assert low < record["input_tokens"] <= high


def test_metrics_stand_once_each_and_the_last_ones_come_at_the_end(exporting, collector):
    gateway = exporting(signals=["metrics"])
    gateway.record(gateway.post(CHAT, chat("gpt-4o-mini"), AUTH))
    assert not collector.metrics, "the first minute is not over"
    gateway.stop_and_check()
    gateway.judged = True
    [point] = points(collector, "weir_requests_total", model="gpt-4o-mini")
    assert point.as_int == 1
    for metrics in collector.metrics:
        for metric in metrics.values():
            data = getattr(metric, metric.WhichOneof("data"))
            seen = [tuple(sorted(collectors.attributes(p.attributes).items())) for p in data.data_points]
            assert len(seen) == len(set(seen)), metric.name
            assert metric.unit and metric.description


def test_what_took_no_time_is_no_time(exporting, collector):
    """Tokens that come together have a gap of 0: it is counted as zero, not as a very small number."""
    gateway = exporting(signals=["metrics"])
    answer = gateway.post(CHAT, chat("gpt-4o-mini", stream=True), {**AUTH, "x-mock-per-write": "20", "x-mock-tokens": "20"})
    assert gateway.record(answer)["chunks"] == 20
    gateway.stop_and_check()
    gateway.judged = True
    zeros = 0
    for metric in collector.metrics[-1].values():
        if metric.WhichOneof("data") != "exponential_histogram":
            continue
        one = 1 if metric.unit == "{token}" else 1e-9
        for point in metric.exponential_histogram.data_points:
            filled = [(point.positive.offset + i, count) for i, count in enumerate(point.positive.bucket_counts) if count]
            assert point.count == point.zero_count + sum(count for _, count in filled), metric.name
            assert point.sum >= sum(count * 2 ** (i / 32) for i, count in filled), metric.name
            assert point.zero_threshold == (one if point.zero_count else 0), metric.name
            zeros += point.zero_count if metric.name == "weir_gap_seconds" else 0
    assert zeros > 0


# ---- collectors ----


def counts(gateway, outcome, signal="traces"):
    text = gateway.get("/metrics", admin=True).body.decode()
    return sum(
        int(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("weir_otlp_items_total") and f'signal="{signal}",outcome="{outcome}"' in line
    )


def test_gzip_headers_and_a_base_path_are_sent(exporting, collector, start, mock, raw):
    settings = configuration(
        mock.port,
        raw.port,
        otlp={
            "export": [
                {"endpoint": collector.url + "/base/", "compression": "gzip", "headers": {"x-collector-key": "CANARY1"}}
            ]
        },
    )
    gateway = start(settings, environment=FAST)
    answer = gateway.post(CHAT, chat(), AUTH)
    spans_of(collector, gateway, answer.get("x-weir-trace-id"))
    path, fields, body = collector.requests[0]
    assert path == "/base/v1/traces" and fields["x-collector-key"] == "CANARY1"
    assert fields["content-encoding"] == "gzip" and len(gzip.decompress(body)) > len(body)


def test_what_may_be_retried_is_and_nothing_is_lost_or_told_twice(exporting, collector):
    answers = [503, 429, None]
    collector.behave = lambda request: answers.pop(0) if answers else None
    gateway = exporting()
    traces = [gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id") for _ in range(3)]
    for trace_id in traces:
        _, spans = spans_of(collector, gateway, trace_id)
        collectors.tree(spans)
    assert counts(gateway, "dropped") == 0


def test_retry_after_is_obeyed(exporting, collector):
    times = []

    def behave(request):
        times.append(time.monotonic())
        return (503, {"Retry-After": "3"}, b"") if len(times) == 1 else None

    collector.behave = behave
    gateway = exporting()
    gateway.post(CHAT, chat(), AUTH)
    wait_until(lambda: len(times) > 1, 15, "the second try")
    assert times[1] - times[0] >= 2.9


def test_a_long_retry_after_holds_for_what_comes_next_as_well(exporting, collector):
    collector.behave = lambda request: (503, {"Retry-After": "400"}, b"")
    gateway = exporting()
    gateway.record(gateway.post(CHAT, chat(), AUTH))
    wait_until(lambda: counts(gateway, "dropped") > 5, 20, "the batch that would have waited too long")
    gateway.record(gateway.post(CHAT, chat(), AUTH))
    time.sleep(1)  # twenty times what a batch waits for
    assert len(collector.requests) == 1
    collector.behave = lambda request: None


@pytest.mark.parametrize("status", [400, 404, 413, 500, 302])
def test_what_may_not_be_retried_is_dropped_and_counted(exporting, collector, status):
    collector.behave = lambda request: status
    gateway = exporting()
    gateway.record(gateway.post(CHAT, chat(), AUTH))
    wait_until(lambda: counts(gateway, "dropped") > 5, 20, "the dropped spans")
    assert len(collector.requests) == 1
    dropped = [line for line in gateway.get("/metrics", admin=True).body.decode().splitlines() if 'sink="otlp"' in line]
    assert int(dropped[0].rpartition(" ")[2]) == counts(gateway, "dropped")
    wait_until(lambda: f"status {status}" in gateway.said(), 20, "one line about it")


def test_a_partial_success_is_counted_and_not_sent_again(exporting, collector):
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = 3
    reply.partial_success.error_message = "three are too old"
    collector.behave = lambda request: (200, {}, reply.SerializeToString())
    gateway = exporting()
    _, spans = spans_of(collector, gateway, gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id"))
    wait_until(lambda: counts(gateway, "rejected") == 3, 20, "the rejected spans")
    wait_until(lambda: counts(gateway, "sent") == len(spans) - 3, 20, "the others")
    assert len(collector.requests) == 1


@pytest.mark.parametrize(
    "lie",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xff\xff\xff\xff\xff",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x0a\x02\x08\xff",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2000\r\n" + b"x" * 0x2000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_lying_collector_is_believed_once_and_does_no_harm(exporting, collector, lie):
    collector.behave = lambda request: lie
    gateway = exporting(timeout="10s")
    for _ in range(2):
        _, spans = spans_of(collector, gateway, gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id"))
        collectors.tree(spans)
    wait_until(lambda: counts(gateway, "sent") > 10, 20, "both")
    assert counts(gateway, "dropped") == 0


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", b""])
def test_what_is_no_answer_is_tried_again(exporting, collector, nonsense):
    answers = [collectors.NotTaken(nonsense)]
    collector.behave = lambda request: answers.pop() if answers else None
    gateway = exporting()
    trace_id = gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id")
    spans_of(collector, gateway, trace_id)
    assert len(collector.requests) > 1


@pytest.mark.parametrize("kind", ["dead", "hangs"])
def test_a_collector_that_does_not_answer_costs_traffic_and_shutdown_nothing(start, mock, raw, collector, kind):
    collector.behave = lambda request: "hang"
    closed = wire.ClosedPort()
    url = f"http://127.0.0.1:{closed.port}" if kind == "dead" else collector.url
    settings = configuration(mock.port, raw.port, otlp={"export": [{"endpoint": url}]})
    gateway = start(settings, environment={**FAST, "OTEL_BSP_MAX_QUEUE_SIZE": "200", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"})
    with gateway.connect() as client:
        for _ in range(300):
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            assert client.read_response().status == 200
    wait_until(lambda: counts(gateway, "dropped") > 1000, 20, "the dropped spans")
    wait_until(lambda: len(gateway.records()) == 300, 20, "every record, all the same")
    begun = time.monotonic()
    gateway.stop_and_check()
    assert time.monotonic() - begun < 25, "five seconds at most, and what the end takes anyway"
    gateway.judged = True
    closed.close()


def test_what_waits_is_sent_before_the_process_ends(exporting, collector):
    gateway = exporting(environment={"OTEL_BSP_SCHEDULE_DELAY": "60000"})
    traces = [gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id") for _ in range(20)]
    assert not collector.spans
    gateway.stop_and_check()
    gateway.judged = True
    assert {span.trace_id for span in collector.spans} == set(traces)


def test_tls_is_verified_and_the_headers_are_not_sent_to_a_stranger(start, mock, raw, certificates):
    secure = Collector((certificates / "server.pem", certificates / "server.key"))
    try:
        for ca in (None, str(certificates / "ca.pem")):
            exporter = {"endpoint": secure.url, "headers": {"x-key": "CANARY2"}, **({"tls": {"ca": ca}} if ca else {})}
            gateway = start(configuration(mock.port, raw.port, otlp={"export": [exporter]}), environment=FAST)
            trace_id = gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id")
            if ca:
                spans_of(secure, gateway, trace_id)
            else:
                wait_until(lambda: "will be tried again" in gateway.said(), 20, "the complaint")
                assert not secure.requests
            gateway.stop_and_check()
            gateway.judged = True
    finally:
        secure.stop()


def test_several_exporters_each_get_everything(start, mock, raw, collector):
    other = Collector()
    try:
        exporters = [{"endpoint": collector.url}, {"endpoint": other.url, "dialect": "openinference", "signals": ["traces", "logs"]}]
        gateway = start(configuration(mock.port, raw.port, otlp={"export": exporters}), environment=FAST)
        trace_id = gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id")
        _, first = spans_of(collector, gateway, trace_id)
        _, second = spans_of(other, gateway, trace_id)
        assert {span.id for span in first} == {span.id for span in second}
        wait_until(lambda: other.logs, 20, "the log line")
        assert not collector.logs
    finally:
        other.stop()


def test_a_collector_is_found_by_its_name(start, mock, raw, collector):
    export = [{"endpoint": f"http://localhost:{collector.port}"}]
    gateway = start(configuration(mock.port, raw.port, otlp={"export": export}), environment=FAST)
    spans_of(collector, gateway, gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id"))


def test_a_provider_that_a_reload_brings_is_known(exporting, collector):
    gateway = exporting()
    settings = json.loads(gateway.path.read_text())
    settings["providers"]["newcomer"] = {**settings["providers"]["raw"], "models": ["newcomer-*"]}
    gateway.reload(settings)
    _, spans = spans_of(collector, gateway, gateway.post(CHAT, chat("newcomer-1"), AUTH).get("x-weir-trace-id"))
    attempt = named(spans, CLIENT, "POST")
    assert attempt["weir.provider"] == "newcomer" and attempt["server.address"] == "127.0.0.1"


# ---- the environment ----


def test_the_environment_alone_is_enough(start, mock, raw, collector):
    environment = {
        **FAST,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20CANARY3, x-more=1",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "models",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=x,deployment.environment.name=staging,team=a%2Cb,service.name=other",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    gateway = start(configuration(mock.port, raw.port), environment=environment)
    _, spans = spans_of(collector, gateway, gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id"))
    resource = spans[0].resource
    assert resource["service.name"] == "models" and resource["team"] == "a,b"
    assert resource["deployment.environment.name"] == "staging"
    _, fields, _ = collector.requests[0]
    assert fields["authorization"] == "Bearer CANARY3" and fields["x-more"] == "1"
    assert fields["content-encoding"] == "gzip"
    wait_until(lambda: collector.logs, 20, "the log line")
    assert "CANARY3" not in gateway.said()


@pytest.mark.parametrize(
    "sampler, sampled",
    [("parentbased_always_off", {"01"}), ("always_off", set()), ("always_on", {"01", "00", None})],
)
def test_the_sampler_of_the_environment_is_obeyed(start, mock, raw, collector, sampler, sampled):
    settings = configuration(mock.port, raw.port, otlp={"export": [{"endpoint": collector.url}]})
    settings["providers"]["raw"]["trusted"] = True
    gateway = start(settings, environment={**FAST, "OTEL_TRACES_SAMPLER": sampler})
    traces = {}
    for flags in ("01", "00", None):
        fields = {"traceparent": wire.new_trace()[1][:-2] + flags} if flags else {}
        traces[gateway.record(gateway.post(CHAT, chat(), {**AUTH, **fields}))["trace_id"]] = flags
        assert int(raw.requests[-1].get("traceparent")[-2:], 16) & 1 == (flags in sampled), "providers are told"
    gateway.stop_and_check()
    gateway.judged = True
    assert {traces[span.trace_id] for span in collector.spans} == sampled


def test_disabled_means_nothing_is_sent(exporting, collector):
    gateway = exporting(environment={"OTEL_SDK_DISABLED": "true"})
    gateway.record(gateway.post(CHAT, chat(), AUTH))
    gateway.stop_and_check()
    gateway.judged = True
    assert not collector.requests


def test_headers_of_the_environment_do_not_go_to_configured_collectors(exporting, collector):
    gateway = exporting(environment={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=CANARY4"})
    spans_of(collector, gateway, gateway.post(CHAT, chat(), AUTH).get("x-weir-trace-id"))
    assert all("CANARY4" not in str(fields) for _, fields, _ in collector.requests)


# ---- secrets ----


def test_no_key_reaches_a_collector(exporting, collector, raw):
    from test_secrets import KEYS, PROMPT, faulty, pieces, requests

    dice = faulty.dice = random.Random(11)
    raw.handler = faulty
    gateway = exporting(signals=["traces", "logs", "metrics"], dialect="openinference")
    for request in requests(dice, 400):
        try:
            gateway.exchange(request)
        except (wire.Closed, OSError):
            pass
    gateway.stop_and_check()
    gateway.judged = True
    received = b"\n".join(collector.raw)
    assert len(collector.spans) > 1000 and PROVIDER_KEY not in received.decode("latin-1")
    for key in KEYS + [PROMPT]:
        for piece in pieces(key):
            assert piece.encode() not in received, piece
