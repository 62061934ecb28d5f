"""An OpenTelemetry collector that decodes with the real packages. `behave(request)` decides what it answers: None means
200 and an empty message; bytes are sent as they are (NotTaken ones in place of an answer: the request counts for nothing);
a number is a status; "hang" answers nothing."""

import gzip
import http.server
import ssl
import threading
import time

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def plain(value):
    """An AnyValue as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def attributes(items):
    out = {}
    for item in items:
        assert item.key and item.key not in out, f"attribute {item.key!r} twice"
        out[item.key] = plain(item.value)
    return out


class Span:
    def __init__(self, message, resource):
        self.message, self.resource = message, resource
        self.trace_id, self.id, self.parent = message.trace_id.hex(), message.span_id.hex(), message.parent_span_id.hex()
        self.name, self.kind = message.name, message.kind
        self.begin, self.end = message.start_time_unix_nano, message.end_time_unix_nano
        self.attributes = attributes(message.attributes)
        assert len(message.trace_id) == 16 and len(message.span_id) == 8 and any(message.trace_id) and any(message.span_id)
        assert len(message.parent_span_id) in (0, 8) and self.begin <= self.end

    def __getitem__(self, key):
        return self.attributes[key]

    def get(self, key):
        return self.attributes.get(key)


class NotTaken(bytes):
    """What is said instead of an answer."""


class Collector:
    def __init__(self, tls=None):
        self.behave = lambda request: None
        self.requests, self.spans, self.logs, self.metrics, self.raw = [], [], [], [], []
        self.faults = []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.stopped = threading.Event()
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self.lock:
            self.requests.append((handler.path, dict(handler.headers.items()), body))
            self.raw.append(str(handler.headers).encode() + body)
        answer = self.behave(handler)
        status = answer[0] if isinstance(answer, tuple) else answer
        if status is None or status == 200 or (isinstance(answer, bytes) and not isinstance(answer, NotTaken)):
            self.decode(handler, body)
        if answer == "hang":
            self.stopped.wait(30)
            handler.close_connection = True
            return
        if isinstance(answer, bytes):
            handler.wfile.write(answer)
            handler.close_connection = True
            return
        status, fields, reply = answer if isinstance(answer, tuple) else (answer or 200, {}, b"")
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(reply)))
        for name, value in fields.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply)

    def decode(self, handler, body):
        try:
            if handler.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
                self.raw.append(body)
            assert handler.headers["content-type"] == "application/x-protobuf"
            message = REQUESTS[handler.path.removeprefix("/base")].FromString(body)
            again = message.SerializeToString(deterministic=True)
            assert len(again) == len(body), "written longer than it needs to be"
            with self.lock:
                self.keep(message)
        except Exception as error:  # told to the test, by faults
            self.faults.append(repr(error))

    def keep(self, message):
        for group in getattr(message, "resource_spans", ()):
            resource = attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [Span(span, resource) for span in scope.spans]
        for group in getattr(message, "resource_logs", ()):
            for scope in group.scope_logs:
                self.logs += scope.log_records
        for group in getattr(message, "resource_metrics", ()):
            for scope in group.scope_metrics:
                assert len({metric.name for metric in scope.metrics}) == len(scope.metrics), "a metric twice"
                self.metrics.append({metric.name: metric for metric in scope.metrics})

    def trace(self, trace_id):
        with self.lock:
            return [span for span in self.spans if span.trace_id == trace_id]


def tree(spans):
    """{id: span} and {parent id: [children]}; every id once."""
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans), "a span id twice"
    children = {}
    for span in spans:
        children.setdefault(span.parent, []).append(span)
    return by_id, children


