"""The second gate: what an HTTP parser may let through and a gateway must not. Every case is sent in one write, a byte
at a time and over TLS, followed by a valid request; it must be refused once, the connection closed, the follower
unanswered, and not one byte may reach the provider."""

import json
import ssl

import pytest

from conftest import TENANT_KEY, chat
from harness import wire

BODY = json.dumps(chat()).encode()
AUTH = f"Authorization: Bearer {TENANT_KEY}\r\n".encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
TYPE = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
FOLLOWER = b"GET /v1/models HTTP/1.1\r\n" + HOST + AUTH + b"\r\n"


def head(*lines, start=POST, host=HOST, end=b"\r\n"):
    return start + host + AUTH + TYPE + b"".join(lines) + end


def with_length(*lines, **more):
    return head(*lines, LENGTH, **more) + BODY


def with_chunks(body, *lines):
    return head(b"Transfer-Encoding: chunked\r\n", *lines) + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
WHOLE = wire.chunks(BODY, 16)
FRAMING = {
    "length then chunked": head(LENGTH, CHUNKED) + WHOLE,
    "chunked then length": head(CHUNKED, LENGTH) + WHOLE,
    "chunked and a zero length": head(CHUNKED, b"Content-Length: 0\r\n") + WHOLE,
    "two equal lengths": head(LENGTH, LENGTH) + BODY,
    "two lengths": head(LENGTH, b"Content-Length: 0\r\n") + BODY,
    "a list of lengths": head(b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY))) + BODY,
    "a length with plus": head(b"Content-Length: +%d\r\n" % len(BODY)) + BODY,
    "a length with minus": head(b"Content-Length: -%d\r\n" % len(BODY)) + BODY,
    "a length in hex": head(b"Content-Length: 0x%x\r\n" % len(BODY)) + BODY,
    "a length with a letter": head(b"Content-Length: %da\r\n" % len(BODY)) + BODY,
    "a length in two parts": head(b"Content-Length: 1 %d\r\n" % len(BODY)) + BODY,
    "a length with a fraction": head(b"Content-Length: %d.0\r\n" % len(BODY)) + BODY,
    "a length with an exponent": head(b"Content-Length: 1e2\r\n") + BODY,
    "an empty length": head(b"Content-Length:\r\n") + BODY,
    "a blank length": head(b"Content-Length:  \r\n") + BODY,
    "a length beyond 64 bits": head(b"Content-Length: 18446744073709551617\r\n") + BODY,
    "a length of 64 bits": head(b"Content-Length: 18446744073709551615\r\n") + BODY,
    "a length of 63 bits": head(b"Content-Length: 9223372036854775807\r\n") + BODY,
    "a length with a space before the colon": head(b"Content-Length : %d\r\n" % len(BODY)) + BODY,
    "coding with a leading comma": head(b"Transfer-Encoding: ,chunked\r\n") + WHOLE,
    "coding with a trailing comma": head(b"Transfer-Encoding: chunked,\r\n") + WHOLE,
    "gzip then chunked": head(b"Transfer-Encoding: gzip, chunked\r\n") + WHOLE,
    "chunked then gzip": head(b"Transfer-Encoding: chunked, gzip\r\n") + WHOLE,
    "chunked twice in one field": head(b"Transfer-Encoding: chunked, chunked\r\n") + WHOLE,
    "chunked in two fields": head(CHUNKED, CHUNKED) + WHOLE,
    "chunked and identity in two fields": head(CHUNKED, b"Transfer-Encoding: identity\r\n") + WHOLE,
    "identity": head(b"Transfer-Encoding: identity\r\n", LENGTH) + BODY,
    "another coding": head(b"Transfer-Encoding: xchunked\r\n") + WHOLE,
    "a coding with a parameter": head(b"Transfer-Encoding: chunked;q=1\r\n") + WHOLE,
    "a quoted coding": head(b'Transfer-Encoding: "chunked"\r\n') + WHOLE,
    "a coding after a vertical tab": head(b"Transfer-Encoding: \x0bchunked\r\n") + WHOLE,
    "an empty coding": head(b"Transfer-Encoding:\r\n") + WHOLE,
    "an empty coding then a length": head(b"Transfer-Encoding:\r\n", LENGTH) + BODY,
    "a length then an empty coding": head(LENGTH, b"Transfer-Encoding:\r\n") + BODY,
    "a folded coding": head(b"Transfer-Encoding:\r\n chunked\r\n") + WHOLE,
    "a coding with a space before the colon": head(b"Transfer-Encoding : chunked\r\n", LENGTH) + BODY,
    "chunked on HTTP/1.0": head(CHUNKED, start=b"POST /v1/chat/completions HTTP/1.0\r\n") + WHOLE,
    "a coding hidden behind a bare CR": head(b"X-A: b\rTransfer-Encoding: chunked\r\n", LENGTH) + BODY,
}
LINES = {
    "LF after the request line": with_length(start=b"POST /v1/chat/completions HTTP/1.1\n"),
    "LF after a field": with_length(b"X-A: b\n"),
    "LF as the end of the head": head(LENGTH, end=b"\n") + BODY,
    "LF LF as the end of the head": head(LENGTH[:-2], end=b"\n\n") + BODY,
    "CR CR LF as the end of the head": head(LENGTH, end=b"\r\r\n") + BODY,
    "CR and a letter as the end of the head": head(LENGTH, end=b"\rX") + BODY,
    "a bare CR in a value": with_length(b"X-A: b\rc\r\n"),
    "a bare CR in a name": with_length(b"X-\rA: b\r\n"),
    "a folded line": with_length(b"X-A: b\r\n c\r\n"),
    "a folded line with a tab": with_length(b"X-A: b\r\n\tc\r\n"),
    "a folded first field": POST + b" X: y\r\n" + HOST + AUTH + LENGTH + b"\r\n" + BODY,
    "NUL in a value": with_length(b"X-A: b\0c\r\n"),
    "NUL in a name": with_length(b"X\0A: b\r\n"),
    "a control byte in a value": with_length(b"X-A: b\x01c\r\n"),
    "ESC in a value": with_length(b"X-A: b\x1b[2Jc\r\n"),
    "DEL in a value": with_length(b"X-A: b\x7fc\r\n"),
    "a control byte in a name": with_length(b"X\x02A: b\r\n"),
    "an empty name": with_length(b": b\r\n"),
    "a space for a name": with_length(b" : b\r\n"),
    "no colon": with_length(b"X-A\r\n"),
    "a space before the colon": with_length(b"X-A : b\r\n"),
    "a tab before the colon": with_length(b"X-A\t: b\r\n"),
    "a space inside a name": with_length(b"X A: b\r\n"),
    "a parenthesis in a name": with_length(b"X(A): b\r\n"),
    "a slash in a name": with_length(b"X/A: b\r\n"),
    "a byte above 127 in a name": with_length(b"X\xe9A: b\r\n"),
    "many empty lines first": b"\r\n" * 40 + with_length(),
    "LFs first": b"\n\n" + with_length(),
}
START = {
    "no version": b"GET /v1/models\r\n\r\n",
    "no version with fields": b"GET /v1/models\r\n" + HOST + AUTH + b"\r\n",
    "HTTP/0.9": with_length(start=b"POST /v1/chat/completions HTTP/0.9\r\n"),
    "HTTP/2.0": with_length(start=b"POST /v1/chat/completions HTTP/2.0\r\n"),
    "HTTP/3.0": with_length(start=b"POST /v1/chat/completions HTTP/3.0\r\n"),
    "HTTP/1.10": with_length(start=b"POST /v1/chat/completions HTTP/1.10\r\n"),
    "HTTP/01.1": with_length(start=b"POST /v1/chat/completions HTTP/01.1\r\n"),
    "HTTP/1": with_length(start=b"POST /v1/chat/completions HTTP/1\r\n"),
    "HTTP/1.": with_length(start=b"POST /v1/chat/completions HTTP/1.\r\n"),
    "a version in small letters": with_length(start=b"POST /v1/chat/completions http/1.1\r\n"),
    "RTSP": with_length(start=b"POST /v1/chat/completions RTSP/1.0\r\n"),
    "ICE": with_length(start=b"POST /v1/chat/completions ICE/1.0\r\n"),
    "HTTPS for a protocol": with_length(start=b"POST /v1/chat/completions HTTPS/1.1\r\n"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "absolute form": with_length(start=b"POST http://localhost/v1/chat/completions HTTP/1.1\r\n"),
    "absolute form elsewhere": with_length(start=b"POST http://10.0.0.1/v1/chat/completions HTTP/1.1\r\n"),
    "authority form": with_length(start=b"POST localhost:80 HTTP/1.1\r\n"),
    "CONNECT": head(start=b"CONNECT localhost:80 HTTP/1.1\r\n"),
    "a tunnel to a path": with_length(start=b"CONNECT /v1/chat/completions HTTP/1.1\r\n"),
    "TRACE": head(start=b"TRACE /v1/models HTTP/1.1\r\n"),
    "two spaces before the target": with_length(start=b"POST  /v1/chat/completions HTTP/1.1\r\n"),
    "two spaces after the target": with_length(start=b"POST /v1/chat/completions  HTTP/1.1\r\n"),
    "a space after the version": with_length(start=b"POST /v1/chat/completions HTTP/1.1 \r\n"),
    "a space before the method": with_length(start=b" POST /v1/chat/completions HTTP/1.1\r\n"),
    "tabs for spaces": with_length(start=b"POST\t/v1/chat/completions\tHTTP/1.1\r\n"),
    "a fragment": with_length(start=b"POST /v1/chat/completions#x HTTP/1.1\r\n"),
    "a quote in the target": with_length(start=b'POST /v1/chat/completions?a=" HTTP/1.1\r\n'),
    "braces in the target": with_length(start=b"POST /v1/chat/completions?a={b} HTTP/1.1\r\n"),
    "angle brackets in the target": with_length(start=b"POST /v1/chat/completions?<a> HTTP/1.1\r\n"),
    "a byte above 127 in the target": with_length(start=b"POST /v1/chat/completions?\xe9 HTTP/1.1\r\n"),
    "NUL in the target": with_length(start=b"POST /v1/chat/completions?\0 HTTP/1.1\r\n"),
    "CR in the target": with_length(start=b"POST /v1/chat/\rcompletions HTTP/1.1\r\n"),
    "an unknown method": with_length(start=b"FETCH /v1/chat/completions HTTP/1.1\r\n"),
    "a method in small letters": with_length(start=b"post /v1/chat/completions HTTP/1.1\r\n"),
}
HOSTS = {
    "no host": with_length(host=b""),
    "two equal hosts": with_length(host=HOST + HOST),
    "two hosts": with_length(host=HOST + b"Host: elsewhere\r\n"),
    "a host with a space": with_length(host=b"Host: local host\r\n"),
    "a host with a comma": with_length(host=b"Host: localhost,elsewhere\r\n"),
    "a host with userinfo": with_length(host=b"Host: user@localhost\r\n"),
    "a host with a path": with_length(host=b"Host: localhost/v1\r\n"),
    "a host with a bad port": with_length(host=b"Host: localhost:12x\r\n"),
    "a host with a query": with_length(host=b"Host: localhost?a\r\n"),
}
CHUNKS = {
    "no hex size": with_chunks(b"x\r\nhello\r\n0\r\n\r\n"),
    "an empty size": with_chunks(b"\r\nhello\r\n0\r\n\r\n"),
    "a size with minus": with_chunks(b"-5\r\nhello\r\n0\r\n\r\n"),
    "a size with plus": with_chunks(b"+5\r\nhello\r\n0\r\n\r\n"),
    "a size with 0x": with_chunks(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a space before the size": with_chunks(b" 5\r\nhello\r\n0\r\n\r\n"),
    "a size of 64 bits": with_chunks(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "a size beyond 64 bits": with_chunks(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a size followed by LF": with_chunks(b"5\nhello\r\n0\r\n\r\n"),
    "a size followed by CR and a letter": with_chunks(b"5\rXhello\r\n0\r\n\r\n"),
    "data longer than its size": with_chunks(b"5\r\nhelloXX\r\n0\r\n\r\n"),
    "data followed by LF": with_chunks(b"5\r\nhello\n0\r\n\r\n"),
    "data followed by CR and a letter": with_chunks(b"5\r\nhello\rX0\r\n\r\n"),
    "an extension with a bare CR": with_chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "an extension with a bare LF": with_chunks(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "an extension with NUL": with_chunks(b"5;a\0b\r\nhello\r\n0\r\n\r\n"),
    "CR CR in a size line": with_chunks(b"5\r\r;a\nhello\r\n0\r\n\r\n"),
    "a huge extension": with_chunks(b"5;" + b"a" * 70000 + b"\r\nhello\r\n0\r\n\r\n"),
    "many extensions": with_chunks(b"".join(b"1;%s\r\n \r\n" % (b"e" * 1000) for _ in range(300)) + b"0\r\n\r\n"),
    "a huge trailer": with_chunks(WHOLE[:-2] + b"X-T: " + b"t" * 200000 + b"\r\n\r\n"),
}
OTHERS = {
    "Upgrade to websocket": with_length(b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "Upgrade to h2c": with_length(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ),
    "an unknown expectation": with_length(b"Expect: 200-maybe\r\n"),
    "the expectation with more": with_length(b"Expect: 100-continue, x\r\n"),
}
ALL = {**FRAMING, **LINES, **START, **HOSTS, **CHUNKS, **OTHERS}
REFUSALS = {400, 404, 405, 413, 414, 417, 431, 501}


def answers(data):
    """Everything that came back, as whole responses; bytes that are no response fail."""
    out = []
    while data:
        header, mark, rest = data.partition(b"\r\n\r\n")
        assert mark, f"not a whole head: {data[:200]!r}"
        message = wire.parse_head(header + mark)
        assert message.get("transfer-encoding") is None, "a refusal has a plain length"
        length = int(message.get("content-length", 0))
        message.body, data = rest[:length], rest[length:]
        out.append(message)
    return out


def refuse(gateway, raw, data, mode, tls=None):
    before = raw.bytes_received
    with gateway.connect(tls=tls if mode == "tls" else None, timeout=30.0) as client:
        if mode == "bytes" and len(data) < 4000:
            client.send_each_byte(data + FOLLOWER)
        else:
            try:
                client.send(data + FOLLOWER)
            except OSError:
                pass
        got = answers(client.read_to_end())
    assert len(got) == 1, f"{[a.start for a in got]}"
    answer = got[0]
    assert answer.status in REFUSALS, f"{answer.start} {answer.body[:200]!r}"
    assert (answer.get("connection") or "").lower() == "close", answer.fields
    assert answer.get("x-weir-error") and answer.get("x-weir-error-source") == "client", answer.fields
    error = answer.json()["error"]
    assert error["code"] == answer.get("x-weir-error")
    # A valid request afterwards is the fence: the provider got that one and nothing else.
    done = gateway.post("/v1/chat/completions", chat("raw-fence"), {"Authorization": f"Bearer {TENANT_KEY}"})
    assert done.status == 200
    assert raw.requests[-1].json()["model"] == "raw-fence"
    assert raw.bytes_received - before == len(raw.requests[-1].head) + len(raw.requests[-1].body)
    return answer


@pytest.mark.parametrize("mode", ["whole", "bytes", "tls"])
@pytest.mark.parametrize("name", ALL)
def test_is_refused_and_nothing_reaches_the_provider(gateway, raw, trusting, name, mode):
    answer = refuse(gateway, raw, ALL[name], mode, trusting)
    if name.startswith("Upgrade"):
        assert (answer.status, answer.get("x-weir-error")) == (501, "upgrade_refused")
    if "expectation" in name:
        assert answer.status == 417


LIMITS = {
    "a long request line": (
        with_length(start=b"POST /v1/chat/completions?" + b"a" * 9000 + b" HTTP/1.1\r\n"),
        414,
        "uri_too_long",
    ),
    "a large field": (with_length(b"X-A: " + b"b" * 70000 + b"\r\n"), 431, "head_too_large"),
    "many fields": (with_length(b"X-A: b\r\n" * 200), 431, "head_too_large"),
    "many large fields": (
        with_length(b"".join(b"X-%d: %s\r\n" % (i, b"b" * 2000) for i in range(60))),
        431,
        "head_too_large",
    ),
    "a request line without an end": (b"GET /" + b"a" * 70000, 414, "uri_too_long"),
    "a head without an end": (head(end=b"") + b"X-A: " + b"b" * 100000, 431, "head_too_large"),
    "a long body by its length": (head(b"Content-Length: 1048577\r\n"), 413, "body_too_large"),
    "a long body in chunks": (with_chunks(wire.chunks(b" " * 1200000, 60000)), 413, "body_too_large"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_is_too_large(gateway, raw, name):
    data, status, error = LIMITS[name]
    answer = refuse(gateway, raw, data, "whole")
    assert (answer.status, answer.get("x-weir-error")) == (status, error)


def test_a_body_of_exactly_the_limit_is_taken(gateway, raw, key):
    body = json.dumps(chat()).encode()
    body = body[:-1] + b" " * (1048576 - len(body)) + b"}"
    assert len(body) == 1048576
    answer = gateway.exchange(
        wire.request("POST", "/v1/chat/completions", {**key, "Content-Type": "application/json"}, body)
    )
    assert answer.status == 200
    assert raw.requests[-1].body == body


@pytest.mark.parametrize(
    "target",
    [
        "/v1/%63hat/completions",
        "/v1/../v1/chat/completions",
        "//v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "/v1/chat//completions",
        "/v1/chat/completions;a=b",
        "/v1/chat%2fcompletions",
        "/v1/files/x",
        "/v1/batches",
        "/v1/responses/resp_1",
        "/v1/unknown",
        "/",
        "/raw/../v1/files",
        "/v1beta/models/gemini-pro:unknownVerb",
        "/v1beta/models/:generateContent",
        "/nobody/v1/files",
    ],
)
def test_a_path_that_is_not_written_as_documented_is_not_found(gateway, raw, key, target):
    before = raw.bytes_received
    answer = gateway.post(target, chat(), key)
    assert answer.status in (404, 403)
    assert answer.get("x-weir-error") in ("not_found", "path_not_allowed")
    assert raw.bytes_received == before


def test_plain_http_on_the_tls_port_gets_nothing_through(gateway, raw):
    before = raw.bytes_received
    with wire.connect(gateway.tls_port, timeout=15.0) as client:
        client.send(with_length())
        assert b"200 OK" not in client.read_to_end()
    assert raw.bytes_received == before


@pytest.mark.parametrize("offered, chosen", [(["h2", "http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0"), ([], None)])
def test_a_client_is_served_in_the_version_of_http_1_that_its_tls_offers(gateway, certificates, offered, chosen):
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if offered:
        context.set_alpn_protocols(offered)
    with gateway.connect(tls=context) as client:
        assert client.sock.selected_alpn_protocol() == chosen
        client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200


def test_a_client_that_speaks_http_2_alone_is_told_so_by_tls(gateway, certificates):
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        gateway.connect(tls=context)


def test_tls_on_the_plain_port_is_refused(gateway, raw):
    before = raw.bytes_received
    with gateway.connect(timeout=15.0) as client:
        client.send(bytes.fromhex("16030100c8010000c40303") + b"\x17" * 193 + b"\r\n\r\n")
        assert b" 200 " not in client.read_to_end()
    assert raw.bytes_received == before


@pytest.mark.parametrize("nominated", ["content-length", "transfer-encoding", "host", "authorization", "content-type"])
def test_connection_cannot_strip_framing_or_credentials(gateway, raw, nominated):
    data = with_length(b"Connection: keep-alive, %s\r\n" % nominated.encode())
    before = len(raw.requests)
    answer = gateway.exchange(data)
    if answer.status == 400:
        assert len(raw.requests) == before
        return
    sent = raw.requests[-1]
    assert answer.status == 200 and sent.body == BODY
    assert sent.all("content-length") == [str(len(BODY))] and len(sent.all("host")) == 1
    assert len(sent.all("authorization")) == 1 and TENANT_KEY not in sent.head.decode()


def test_trailers_are_dropped_and_never_authenticate(gateway, raw):
    trailer = b"Authorization: Bearer %s\r\nContent-Length: 3\r\nX-Trailer: t\r\n\r\n" % TENANT_KEY.encode()
    anonymous = POST + HOST + TYPE + CHUNKED + b"\r\n" + WHOLE[:-2] + trailer
    assert gateway.exchange(anonymous).status in (400, 401)
    before = len(raw.requests)
    answer = gateway.exchange(with_chunks(WHOLE[:-2] + b"X-Trailer: t\r\nX-Api-Key: other\r\n\r\n"))
    assert answer.status in (200, 400)
    if answer.status == 200:
        sent = raw.requests[-1]
        assert len(raw.requests) == before + 1
        assert sent.body == BODY and not sent.trailers
        assert b"x-trailer" not in sent.head.lower() and b"other" not in sent.head


GOOD = {
    "chunked in capitals": head(b"Transfer-Encoding: CHUNKED\r\n") + WHOLE,
    "one byte a chunk": head(CHUNKED) + wire.chunks(BODY, 1),
    "sizes with zeros and capitals": head(CHUNKED) + b"000%X\r\n" % len(BODY) + BODY + b"\r\n000\r\n\r\n",
    "a short extension": head(CHUNKED) + b"%x;a=b\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n",
    "spaces around values": with_length(b"X-A: \t b \t \r\n"),
    "an empty value": with_length(b"X-A:\r\n"),
    "a byte above 127 in a value": with_length(b"X-A: caf\xe9\r\n"),
    "one empty line first": b"\r\n" + with_length(),
    "names in capitals": (
        POST + HOST.upper() + AUTH.replace(b"Authorization", b"AUTHORIZATION") + TYPE + LENGTH.upper() + b"\r\n" + BODY
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_legal_passes_with_its_body_unchanged(gateway, raw, name):
    assert gateway.exchange(GOOD[name]).status == 200
    sent = raw.requests[-1]
    assert sent.body == BODY and sent.all("content-length") == [str(len(BODY))]
