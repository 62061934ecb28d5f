"""weir top in a terminal of its own: drawn in place, resized, sorted, given back as it was; and as text and JSON."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import TENANT_KEY, chat
from harness import wire
from harness.gateway import BINARY, wait_until

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
CODES = re.compile(rb"\x1b\[[?0-9;]*[A-Za-z]|\r")


class Top:
    """The command on a pseudo-terminal. `frames` splits at each jump home."""

    def __init__(self, *arguments, columns=160, rows=24, environment=None):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen(
            [str(BINARY), "top", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)
        return self.output

    def frame(self):
        """The last whole frame, as lines without escapes."""
        frames = self.read().split(b"\x1b[H")
        if len(frames) < 3:
            return []
        return CODES.sub(b"", frames[-2]).decode().split("\n")

    def wait_for(self, condition, what):
        return wait_until(lambda: (f := self.frame()) and condition(f) and f, 15, what)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        deadline = time.monotonic() + 15
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it did not end"
            self.read()
            time.sleep(0.005)
        self.read()
        return self.process.returncode

    def given_back(self):
        return (
            self.output.rstrip().endswith(b"\x1b[?1049l")
            and self.output.count(b"\x1b[?25h") == self.output.count(b"\x1b[?25l")
            and termios.tcgetattr(self.slave) == self.before
        )

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def top():
    started = []

    def make(*arguments, **more):
        started.append(Top(*arguments, **more))
        return started[-1]

    yield make
    for one in started:
        one.close()


@pytest.fixture
def busy(own, raw):
    gateway = own()
    for model, count in (("raw-often", 3), ("raw-rarely", 1)):
        for _ in range(count):
            gateway.post(CHAT, chat(model, stream=True), AUTH)

    def counted():
        return json.loads(gateway.get("/api/live", admin=True).body)["total"]["requests"] == 4

    wait_until(counted, 5, "four requests among the live numbers")
    gateway.url = f"http://127.0.0.1:{gateway.admin_port}"
    return gateway


def line_of(frame, text):
    found = [i for i, line in enumerate(frame) if text in line]
    return found[0] if found else None


def run(*arguments, environment=None, timeout=60):
    return subprocess.run(
        [str(BINARY), "top", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
    )


def test_it_is_drawn_in_place_sorted_resized_and_given_back(busy, top):
    screen = top("--url", busy.url)
    frame = screen.wait_for(lambda f: line_of(f, "raw raw-often"), "the table")
    assert screen.output.startswith(b"\x1b[?1049h") and len(frame) == 24
    assert line_of(frame, "raw raw-often") < line_of(frame, "raw raw-rarely") < line_of(frame, "TOTAL  ")
    assert "gw-test (replica)" in frame[0] and "by provider,model" in frame[0]
    assert frame[3].split().count("p95") == 4, frame[3]
    screen.press("i")
    screen.wait_for(lambda f: line_of(f, "raw-rarely") < line_of(f, "raw-often"), "the order inverted")
    screen.press("n")
    screen.wait_for(lambda f: line_of(f, "raw-often") < line_of(f, "raw-rarely"), "the order by name")
    screen.press("b")
    screen.wait_for(lambda f: "by tenant" in f[0] and line_of(f, "acme"), "rows by tenant")
    screen.press("w")
    screen.wait_for(lambda f: "last 300 s" in f[0], "the next window")
    screen.resize(70, 12)
    os.kill(screen.process.pid, signal.SIGWINCH)
    frame = screen.wait_for(lambda f: len(f) == 12, "the smaller screen")
    assert max(map(len, frame)) <= 70 and frame[3].split().count("p95") < 4
    screen.press("q")
    assert screen.end() == 0 and screen.given_back()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(busy, top, number):
    screen = top("--url", busy.url)
    screen.wait_for(lambda f: line_of(f, "raw-often"), "the table")
    screen.process.send_signal(number)
    assert screen.end() == 0 and screen.given_back()


def test_a_gateway_that_goes_away_is_said_and_asked_again(busy, top):
    screen = top("--url", busy.url)
    screen.wait_for(lambda f: line_of(f, "raw-often"), "the table")
    busy.stop_and_check()
    busy.judged = True
    frame = screen.wait_for(lambda f: "is weir running" in f[-1], "the message")
    assert line_of(frame, "raw-often"), "what was known stays"
    screen.press("q")
    assert screen.end() == 0 and screen.given_back()


def test_a_gateway_that_is_not_there_is_an_error_in_words(top):
    closed = wire.ClosedPort()
    url = f"http://127.0.0.1:{closed.port}"
    done = run("--once", "--url", url)
    assert done.returncode == 1 and not done.stdout
    assert url in done.stderr and "is weir running there?" in done.stderr and "WEIR_ADMIN_URL" in done.stderr
    screen = top(environment={"WEIR_ADMIN_URL": url})
    screen.wait_for(lambda f: "is weir running there?" in f[0], "the message")
    screen.press("q")
    assert screen.end() == 0 and screen.given_back()
    closed.close()


def test_once_prints_a_table_or_the_json_of_the_api(busy):
    done = run("--once", "--url", busy.url, "--by", "tenant,model", "--sort", "name")
    assert done.returncode == 0 and "\x1b" not in done.stdout, done.stderr
    lines = done.stdout.splitlines()
    assert line_of(lines, "acme raw-often") < line_of(lines, "acme raw-rarely")
    done = run("--url", busy.url)  # its output is no terminal
    assert done.returncode == 0 and line_of(done.stdout.splitlines(), "raw-often")
    done = run("--once", "--json", "--window", "5m", environment={"WEIR_ADMIN_URL": busy.url + "/"})
    answer = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1 and answer["window_s"] == 300 and len(answer["rows"]) == 2


def test_json_without_once_is_a_line_each_second(busy):
    process = subprocess.Popen(
        [str(BINARY), "top", "--json", "--url", busy.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        times = [json.loads(process.stdout.readline())["time"] for _ in range(4)]
        # the moment told is that of the gateway's own last second: one that stood still may tell it twice
        assert times == sorted(times) and times[0] < times[-1]
    finally:
        process.kill()
        process.communicate()


def test_the_token_comes_from_the_environment(own):
    token = "admin-CANARY-token-0123456789"
    port = wire.free_port()
    gateway = own(admin={"address": f"127.0.0.1:{port}", "token": token})
    gateway.admin_port = port
    url = f"http://127.0.0.1:{port}"
    for environment, said in (({}, "put it into WEIR_ADMIN_TOKEN"), ({"WEIR_ADMIN_TOKEN": "wrong"}, "not the right one")):
        done = run("--once", "--url", url, environment=environment)
        assert done.returncode == 1 and said in done.stderr and token not in done.stderr
    assert run("--once", "--url", url, environment={"WEIR_ADMIN_TOKEN": token}).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["--bogus"], ["--by"], ["--sort", "colour"], ["extra"]],
)
def test_bad_usage_is_2_and_shows_how(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and "usage: weir top" in done.stderr and not done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--once", "--help"]])
def test_help_has_examples_and_every_column(arguments):
    done = run(*arguments)
    assert done.returncode == 0 and "examples:" in done.stdout and "overhead" in done.stdout


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://x:0", "http://x:70000", "http://127.0.0.1:9347/path", "http://[::1", "x"]
)
def test_a_url_that_is_none_is_said(url):
    done = run("--once", "--url", url)
    assert done.returncode == 1 and done.stderr.startswith("weir top: "), done.stderr


@pytest.mark.parametrize(
    "said, wanted",
    [
        (b"nonsense\r\n\r\n", "no answer of weir's"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "cut"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "no answer of weir's"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n\x1b[", "status 500"),
        (b"", "no answer of weir's"),
    ],
)
def test_something_else_on_that_port_is_said(said, wanted):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        done = run("--once", "--url", f"http://127.0.0.1:{server.getsockname()[1]}")
    assert done.returncode == 1 and wanted in done.stderr and "\x1b" not in done.stderr, done.stderr


def test_a_question_that_is_none_is_bad_usage_in_the_gateways_words(busy):
    done = run("--once", "--url", busy.url, "--window", "5s")
    assert done.returncode == 2 and "a window is from 10s to 15m" in done.stderr
    done = run("--json", "--url", busy.url, "--by", "planet")
    assert done.returncode == 2 and "tenant, provider, model and workload" in done.stderr and not done.stdout
