"""The process and the system around it: signals, log files, addresses, and too few file descriptors."""

import json
import os
import pathlib
import resource
import signal
import socket
import time

import pytest

from conftest import TENANT_KEY, chat, configuration
from harness import records, wire
from harness.gateway import SANITIZED, one_of, wait_until
from harness.provider import chat_body, response
from test_cli import weir

AUTH = {"Authorization": f"Bearer {TENANT_KEY}"}
CHAT = "/v1/chat/completions"
PROJECT = pathlib.Path(__file__).parents[2]


def lines(path):
    """Those that are whole: the last one may be being written."""
    whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
    return [records.parse(line) for line in whole.splitlines()]


def test_the_access_log_may_be_a_file_and_is_opened_anew_on_sigusr1(own, raw, tmp_path):
    log = tmp_path / "access.log"
    gateway = own(log={"access": str(log), "level": "info"})
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    wait_until(lambda: len(lines(log)) == 1, 5, "the first record")
    moved = tmp_path / "access.log.1"
    log.rename(moved)
    gateway.process.send_signal(signal.SIGUSR1)
    wait_until(log.exists, 5, "the new file")
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    wait_until(lambda: len(lines(log)) == 1, 5, "the second record")
    assert len(lines(moved)) == 1
    assert not [fault for record in lines(log) + lines(moved) for fault in records.faults(record)]
    assert gateway.stdout_path.read_bytes() == b""


def test_the_access_log_may_be_switched_off(own, raw):
    gateway = own(log={"access": "none", "level": "info"})
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    time.sleep(0.1)
    assert gateway.stdout_path.read_bytes() == b""


def test_started_without_standard_files_none_of_its_own_takes_their_place(start, mock, raw):
    """A socket or pipe under number 1 would be sent the access log."""

    def close_all():
        for number in (0, 1, 2):
            os.close(number)

    gateway = start(configuration(mock.port, raw.port), prepare=close_all)
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    for number in (0, 1, 2):
        assert os.readlink(f"/proc/{gateway.pid}/fd/{number}") == "/dev/null"


def test_an_access_log_that_may_not_grow_drops_lines_and_ends_nothing(start, mock, raw, tmp_path):
    log = tmp_path / "access.log"
    limit = 8000

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    given = configuration(mock.port, raw.port, log={"access": str(log), "level": "info"})
    gateway = start(given, prepare=limit_files)
    for _ in range(20):
        assert gateway.post(CHAT, chat(), AUTH).status == 200
    wait_until(lambda: "lines are being dropped" in gateway.said(), 5, "the warning")
    moved = log.with_suffix(".1")
    log.rename(moved)
    gateway.process.send_signal(signal.SIGUSR1)
    wait_until(log.exists, 5, "the new file")
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    wait_until(lambda: lines(log), 5, "a record in the new file")
    assert not [fault for record in lines(log) for fault in records.faults(record)]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1])
def test_other_signals_do_not_end_it(own, raw, number):
    gateway = own()
    gateway.process.send_signal(number)
    time.sleep(0.1)
    assert gateway.post(CHAT, chat(), AUTH).status == 200


def test_sigint_counts_as_sigterm(own, raw):
    gateway = own()
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(60) == 0
    gateway.judged = True
    assert not gateway.faults()


def test_it_listens_on_ipv6(own, raw):
    port = wire.free_port()
    probe = socket.socket(socket.AF_INET6)
    try:
        probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    finally:
        probe.close()
    first = wire.free_port()
    gateway = own(listen=[{"address": f"127.0.0.1:{first}"}, {"address": f"[::1]:{port}"}], port=first)
    with socket.create_connection(("::1", port), 5) as sock:
        client = wire.Socket(sock)
        client.send(wire.request("POST", CHAT, AUTH, chat(), host=f"[::1]:{port}"))
        answer = client.read_response()
    assert answer.status == 200
    assert gateway.record(answer)["client"] == "::1"


def processor_seconds(gateway):
    fields = pathlib.Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_it_waits_without_spinning_and_recovers(own, raw):
    gateway = own()
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    used = gateway.open_files()
    soft, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (used + 12, hard))
    clients = []
    for _ in range(40):
        clients.append(gateway.connect(timeout=10.0))
    time.sleep(0.2)
    begin, before = time.monotonic(), processor_seconds(gateway)
    time.sleep(1.0)
    spent, took = processor_seconds(gateway) - before, time.monotonic() - begin
    assert spent < (0.3 if not SANITIZED else 0.6) * took, f"{spent} s of processor time in {took} s of nothing"
    assert gateway.is_alive()
    for client in clients:
        client.close()
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def served():
        try:
            return gateway.exchange(wire.request("POST", CHAT, AUTH, chat()), 2.0).status == 200
        except (OSError, wire.Closed):
            return False

    wait_until(served, 8, "service")


@one_of(3)
def test_an_idle_gateway_uses_no_processor_time(own, raw):
    gateway = own()
    assert gateway.post(CHAT, chat(), AUTH).status == 200
    clients = [gateway.connect() for _ in range(20)]
    time.sleep(0.5)
    begin, before = time.monotonic(), processor_seconds(gateway)
    time.sleep(1.5)
    spent, took = processor_seconds(gateway) - before, time.monotonic() - begin
    assert spent < (0.05 if not SANITIZED else 0.15) * took / 1.5, f"{spent} s of processor time in {took} s of nothing"
    for client in clients:
        client.close()


def test_the_example_configuration_checks(tmp_path):
    example = PROJECT / "conf/weir.yaml"
    names = {name: "a-value-that-is-long-enough" for name in variables(example.read_text())}
    done = weir("check", "-c", example, env=names)
    assert done.returncode == 0, done.stderr


def variables(text):
    return {part.split("}")[0].split(":-")[0] for part in text.split("${")[1:]}


def test_a_world_readable_secret_is_warned_about(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(
        json.dumps(
            {
                "providers": {
                    "a": {"dialect": "openai", "base_url": "https://x.example/v1", "api_key": "sk-literal-0123456789"}
                }
            }
        )
    )
    path.chmod(0o644)
    done = weir("check", "-c", path)
    assert done.returncode == 0 and "warning" in done.stderr, done.stderr
    assert "sk-literal" not in done.stderr + done.stdout


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "tr_TR.UTF-8"])
def test_the_locale_changes_nothing(start, raw, mock, locale):
    from conftest import configuration

    gateway = start(configuration(mock.port, raw.port), environment={"LC_ALL": locale, "LANG": locale})
    data = wire.request("POST", CHAT, {"AUTHORIZATION": f"BEARER {TENANT_KEY}"}, chat()).replace(
        b"Content-Length", b"CONTENT-LENGTH"
    )
    answer = gateway.exchange(data)
    assert answer.status == 200
    assert gateway.record(answer)["total_ms"] > 0
