"""SIGUSR2: a new process takes the sockets and the counts over while requests run, and none of them is lost; one that
cannot start changes nothing."""

import ctypes
import os
import re
import shutil
import signal
import socket
import sys
import threading

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import wire
from harness.gateway import BINARY, PATIENCE, wait_until
from harness.load import Load
from harness.provider import LAST_CHUNK, STREAM_HEAD, chat_events, chunk

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
PR_SET_CHILD_SUBREAPER = 36


class Serving:
    """A gateway whose process may be replaced: follows its pid file, and judges every process it had."""

    def __init__(self, start, settings, directory):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # else nobody could tell how the new ones end
        self.binary, self.pid_file = directory / "weir", directory / "weir.pid"
        shutil.copy(BINARY, self.binary)
        self.gateway = start(settings, binary=self.binary, arguments=("--pid-file", self.pid_file))
        self.pids, self.statuses = [self.pid()], {}

    def pid(self):
        return int(self.pid_file.read_text())

    def signal(self, number):
        os.kill(self.pids[-1], number)

    def upgrade(self, seconds=60.0):
        self.signal(signal.SIGUSR2)
        wait_until(lambda: self.pid() != self.pids[-1], seconds, "the new process")
        self.pids.append(self.pid())

    def ended(self, pid, seconds=60.0):
        """The exit status of one of them."""
        if pid == self.gateway.pid:
            self.gateway.judged = True  # by stop()
            return self.gateway.process.wait(seconds)
        if pid not in self.statuses:
            self.statuses[pid] = wait_until(lambda: self.status_of(pid), seconds, f"the end of {pid}")[0]
        return self.statuses[pid]

    def status_of(self, pid):
        """Its exit status in a list, when it has ended. While its predecessor lives it is that one's child."""
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
            return [os.waitstatus_to_exitcode(status)] if ended else None
        except ChildProcessError:
            told = re.search(rf"process {pid} ended with status (\d+)", self.gateway.said())
            return [int(told[1])] if told else None

    def stop(self):
        if self.pids[-1] not in self.statuses:
            self.signal(signal.SIGTERM)
        statuses = [self.ended(pid) for pid in self.pids]
        self.gateway.judged = True
        assert statuses == [0] * len(self.pids), self.gateway.said()[-3000:]
        wrong = self.gateway.faults()
        assert not wrong, "\n".join(map(str, wrong[:5]))
        assert not self.pid_file.exists()


@pytest.fixture
def serving(start, tmp_path):
    made = []

    def make(settings):
        made.append(Serving(start, settings, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def settings_of(mock, raw, **more):
    settings = configuration(mock.port, raw.port, **more)
    settings["http"]["drain"] = "100s"
    return settings


def ask(gateway, **more):
    return gateway.post(CHAT, chat(**more), AUTH)


# ---- what goes wrong ----


def failed(one, expected):
    said = len(one.gateway.said())
    one.signal(signal.SIGUSR2)
    wait_until(lambda: "this process goes on" in one.gateway.said()[said:], 30, "the failure")
    text = one.gateway.said()[said:]
    assert expected in text, text
    assert one.pid() == one.pids[-1]
    assert ask(one.gateway).status == 200


def test_one_that_cannot_start_changes_nothing_and_says_why(serving, mock, raw):
    one = serving(settings_of(mock, raw))
    load = Load(one.gateway.port, TENANT_KEY, "gpt-4o-mini")
    good = one.gateway.path.read_text()
    one.gateway.path.write_text("listeners: []")
    failed(one, "did you mean `listen`?")
    one.gateway.path.write_text(good)
    one.binary.rename(one.binary.with_suffix(".good"))
    failed(one, "No such file")
    for script, expected in (("exit 3", "status 3"), ("echo hello >&$WEIR_TAKEOVER; sleep 60", "not expected")):
        one.binary.write_text(f"#!/bin/sh\n{script}\n")
        one.binary.chmod(0o755)
        failed(one, expected)
        one.binary.unlink()
    one.binary.with_suffix(".good").rename(one.binary)
    before = load.good
    wait_until(lambda: load.good > before + 10, 20, "traffic as before")
    good, failures = load.stop()
    assert not failures, failures[:5]
    one.upgrade()
    assert ask(one.gateway).status == 200


HALF_WAY = """#!{python}
import os, socket, struct
old = socket.socket(fileno=int(os.environ["WEIR_TAKEOVER"]))
def frame(kind, payload=b""):
    return b"weir" + kind + struct.pack("<Q", len(payload)) + payload
def take():
    head = old.recv(13, socket.MSG_WAITALL)
    old.recv(struct.unpack("<Q", head[5:])[0] or 1, socket.MSG_WAITALL)
    return head[4:5]
assert take() == b"P"
old.sendall(frame(b"U"))
assert take() == b"L"
{then}
"""


@pytest.mark.parametrize("then", ["raise SystemExit(4)", "old.sendall(b'rubbish, not a frame')\ninput()", "os.abort()"])
def test_one_that_fails_after_everything_was_handed_over_changes_nothing(serving, mock, raw, then):
    settings = settings_of(mock, raw)
    settings["tenants"]["acme"]["limits"] = {"requests_per_minute": 100000}
    one = serving(settings)
    load = Load(one.gateway.port, TENANT_KEY, "gpt-4o-mini")
    one.binary.rename(one.binary.with_suffix(".good"))
    one.binary.write_text(HALF_WAY.format(python=sys.executable, then=then))
    one.binary.chmod(0o755)
    failed(one, "status 4" if "Exit" in then else "not expected" if "rubbish" in then else "signal 6")
    one.binary.unlink()
    one.binary.with_suffix(".good").rename(one.binary)
    before = load.good
    wait_until(lambda: load.good > before + 10, 20, "traffic as before")
    one.upgrade()
    before = load.good
    wait_until(lambda: load.good > before + 10, 20, "traffic with the new process")
    good, failures = load.stop()
    assert not failures, f"{len(failures)} of {good + len(failures)}: {failures[:5]}"
    assert one.ended(one.pids[0]) == 0  # with it the last of what it settled is told
    counted = good + 1  # failed() has asked as well
    wait_until(lambda: used_requests(one.gateway) == counted, 5, f"{counted} requests in the new process's counts")


def used_requests(gateway):
    return gateway.get("/weir/usage", list(AUTH.items())).json()["limits"][0]["used"]


def test_signals_at_the_wrong_time(serving, mock, raw):
    one = serving(settings_of(mock, raw))
    good, go = one.binary.with_suffix(".good"), one.binary.with_suffix(".go")
    one.binary.rename(good)  # the new one begins when it is let
    one.binary.write_text(f'#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done\nexec {good} "$@"\n')
    one.binary.chmod(0o755)
    one.signal(signal.SIGHUP)
    one.signal(signal.SIGUSR2)
    wait_until(lambda: "has been started" in one.gateway.said(), 20, "the start of the new one")
    one.signal(signal.SIGUSR2)
    wait_until(lambda: "not now: one is under way" in one.gateway.said(), 20, "a second one to be refused")
    one.signal(signal.SIGHUP)
    go.touch()
    wait_until(lambda: one.pid() != one.pids[-1], 30, "the new process")
    one.pids.append(one.pid())
    assert one.ended(one.pids[0]) == 0
    one.signal(signal.SIGUSR2)
    one.signal(signal.SIGTERM)  # while the next one starts: that is the end of it as well
    assert one.ended(one.pids[1]) == 0
    wait_until(lambda: not listens(one.gateway.port), 20, "the end of listening")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except OSError:
        return False


# ---- what holds ----


def of_chats(gateway):
    return [r for r in gateway.records() if r["path"] == CHAT]


def test_upgrades_under_load_lose_no_request(serving, mock, raw):
    one = serving(settings_of(mock, raw))
    gate, begun = threading.Event(), threading.Event()

    def slow(connection, request):
        connection.send(STREAM_HEAD + b"".join(chunk(e) for e in chat_events()[:2]))
        begun.set()
        gate.wait(100)
        connection.send(b"".join(chunk(e) for e in chat_events()[2:]) + LAST_CHUNK)

    raw.handler = slow
    live = one.gateway.connect(timeout=110)
    live.send(wire.request("POST", CHAT, AUTH, chat(stream=True)))
    assert begun.wait(30)
    idle = one.gateway.connect()
    load = Load(one.gateway.port, TENANT_KEY, "gpt-4o-mini", kinds=["kept", "fresh", "stream"] * 2)
    wait_until(lambda: load.good > 20, 20, "traffic")
    for _ in range(3):
        one.upgrade()
        before = load.good
        wait_until(lambda: load.good > before + 30, 30, "traffic with the new process")
    good, failures = load.stop()
    assert not failures, f"{len(failures)} of {good + len(failures)}: {failures[:5]}"
    assert one.ended(one.pids[1]) == 0 and one.ended(one.pids[2]) == 0
    assert one.gateway.is_alive()  # the first one still has the stream
    for _ in range(20):  # … and nobody who asks how things are hears from it
        assert one.gateway.get("/readyz", admin=True).status == 200
        assert one.gateway.get("/readyz").status == 200
    gate.set()
    answer = live.read_response()
    assert answer.complete and b"[DONE]" in answer.body
    assert one.ended(one.pids[0]) == 0
    assert idle.is_closed_within(PATIENCE)
    wait_until(lambda: len(of_chats(one.gateway)) >= good + 1, 5, "a record of each")
    records = of_chats(one.gateway)
    assert len(records) == good + 1
    assert {r["error"] for r in records} == {None}


def test_the_counts_of_limits_go_on(serving, mock, raw):
    settings = settings_of(mock, raw)
    settings["tenants"]["acme"]["limits"] = {"requests_per_minute": 6, "concurrent_requests": 2}
    one = serving(settings)
    gates = [threading.Event(), threading.Event()]
    begun = threading.Semaphore(0)

    def slow(connection, request):
        number = len([r for c in list(raw.connections) for r in c.requests if b"wait" in r.body]) - 1
        connection.send(STREAM_HEAD + chunk(chat_events()[0]))
        begun.release()
        gates[min(number, 1)].wait(100)
        connection.send(b"".join(chunk(e) for e in chat_events()[1:]) + LAST_CHUNK)

    assert ask(one.gateway).status == 200
    raw.handler = slow
    streams = []
    for _ in range(2):
        streams.append(one.gateway.connect(timeout=110))
        streams[-1].send(wire.request("POST", CHAT, AUTH, chat(stream=True, user="wait")))
        assert begun.acquire(timeout=30)
    one.upgrade()
    raw.reset_script()
    refused = ask(one.gateway)
    assert (refused.status, refused.get("x-weir-limit")) == (429, "concurrent_requests")
    gates[0].set()
    gates[1].set()
    assert all(s.read_response().complete for s in streams)
    # The old process tells that they have ended; a refusal counts for nothing.
    wait_until(lambda: ask(one.gateway).status == 200, 10, "a free slot")
    statuses = [ask(one.gateway).status for _ in range(3)]
    assert statuses == [200, 200, 429], statuses
    refused = ask(one.gateway)
    assert refused.get("x-weir-limit") == "requests_per_minute"


def test_tls_and_new_addresses_and_the_admin_port(serving, mock, raw, certificates, trusting):
    settings = settings_of(mock, raw)
    port, extra = wire.free_port(), wire.free_port()
    tls = {"certificate": str(certificates / "server.pem"), "key": str(certificates / "server.key")}
    first = wire.free_port()
    settings["listen"] = [{"address": f"127.0.0.1:{first}"}, {"address": f"127.0.0.1:{port}", "tls": tls}]
    settings["port"] = first
    one = serving(settings)
    changed = dict(one.gateway.configuration)
    gone = wire.free_port()
    changed["listen"] = [*changed["listen"], {"address": f"127.0.0.1:{gone}"}]
    assert "reloaded in" in one.gateway.reload(changed)
    assert listens(gone)
    changed["listen"] = [*changed["listen"][:-1], {"address": f"127.0.0.1:{extra}"}]
    one.gateway.write(changed)
    one.upgrade()
    assert one.ended(one.pids[0]) == 0
    assert "the old process has ended" in wait_until(
        lambda: one.gateway.said() if "the old process has ended" in one.gateway.said() else None, 5, "its end"
    )
    assert not listens(gone)
    for number, context in ((first, None), (port, trusting), (extra, None)):
        with wire.connect(number, tls=context) as client:
            client.send(wire.request("POST", CHAT, AUTH, chat()))
            assert client.read_response().status == 200
    assert b"weir_requests_total" in one.gateway.get("/metrics", admin=True).body


def test_an_admin_address_that_has_changed_is_listened_on_after_the_upgrade(serving, mock, raw):
    one = serving(settings_of(mock, raw))
    before, other = one.gateway.admin_port, wire.free_port()
    settings = {**one.gateway.configuration, "admin": {"address": f"127.0.0.1:{other}"}}
    assert "`admin.address` takes effect with a restart" in one.gateway.reload(settings)
    assert one.gateway.get("/readyz", admin=True).status == 200
    one.upgrade()
    assert one.ended(one.pids[0]) == 0
    one.gateway.admin_port = other
    assert one.gateway.get("/readyz", admin=True).status == 200
    assert not listens(before)


def test_the_service_manager_is_told_who_serves(start, mock, raw, tmp_path):
    path = tmp_path / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path))
    manager.settimeout(60)
    gateway = start(configuration(mock.port, raw.port), environment={"NOTIFY_SOCKET": str(path)})
    assert manager.recv(100).decode() == f"READY=1\nMAINPID={gateway.pid}"
    gateway.stop_and_check()
    gateway.judged = True
    assert manager.recv(100).decode() == "STOPPING=1"
    manager.close()
