"""The gateway as a process: a generated configuration, start, readiness, records, and an end that is checked."""

import functools
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from . import records, wire

BINARY = pathlib.Path(os.environ.get("WEIR_BINARY", pathlib.Path(__file__).parents[3] / "build/release/weir")).resolve()
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed|SUMMARY: )")
CODE = BINARY.read_bytes() if BINARY.exists() else b""
SANITIZED = b"__asan_init" in CODE or b"__tsan_init" in CODE
MEMORY = 60 if SANITIZED else 1  # how much more a sanitizer may keep (quarantine, shadow) than the code does


def digest(key):
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


PATIENCE = 15.0  # how much longer than it should take something may take on a busy machine


def wait_until(condition, seconds=5.0, what="the condition"):
    """The condition's first true value, asked again every few milliseconds. `seconds` is what it may take at most; a
    busy machine has PATIENCE all the same."""
    seconds = max(seconds, PATIENCE)
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.003)


def one_of(tries):
    """For a test of figures of time: it runs up to `tries` times, and must hold once. A busy machine adds to what is
    measured; an error of weir's own would be in every try."""

    def decorate(test):
        @functools.wraps(test)
        def run(*arguments, **named):
            failures = []
            for _ in range(tries):
                try:
                    return test(*arguments, **named)
                except AssertionError as error:
                    failures.append(str(error))
            raise AssertionError(f"not once in {tries} tries:\n" + "\n".join(failures))

        return run

    return decorate


def to_midnight():
    """Seconds until the next day in UTC begins."""
    return 86400 - time.time() % 86400


class Process:
    """A started binary; what it writes goes to files under `directory`. `prepare` runs in the child before it starts."""

    def __init__(self, arguments, directory, environment=None, prepare=None, binary=BINARY):
        self.directory = pathlib.Path(directory)
        self.stdout_path, self.stderr_path = self.directory / "stdout.log", self.directory / "stderr.log"
        self.stdout, self.stderr = self.stdout_path.open("ab"), self.stderr_path.open("ab")
        self.process = subprocess.Popen(
            [str(binary), *map(str, arguments)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=self.stdout,
            stderr=self.stderr,
            env={**os.environ, **(environment or {})},
            preexec_fn=prepare,
        )
        self.pid = self.process.pid

    def said(self):
        return self.stderr_path.read_text(errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def wait_for_port(self, port, seconds=20.0):
        def answers():
            assert self.is_alive(), f"it ended with {self.process.returncode}: {self.said()[-3000:]}"
            try:
                wire.connect(port, 1.0).close()
                return True
            except OSError:
                return False

        wait_until(answers, seconds, f"port {port}")

    def stop(self, number=signal.SIGTERM, seconds=60.0):
        """Ends it; the exit status."""
        if self.is_alive():
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "killed: it did not end in time"
        finally:
            self.stdout.close()
            self.stderr.close()

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_paths(self):
        """What its descriptors stand for."""
        found = []
        for link in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(os.readlink(link))
            except FileNotFoundError:
                pass  # closed meanwhile
        return found


class Mock(Process):
    """`weir mock` on a free port."""

    def __init__(self, directory):
        self.port = wire.free_port()
        super().__init__(["mock", "--listen", f"127.0.0.1:{self.port}"], directory)
        self.wait_for_port(self.port)


class Gateway(Process):
    """`weir serve` with a configuration of its own. stop_and_check() says all that is wrong with what it left."""

    def __init__(self, directory, configuration, environment=None, tls=None, prepare=None, binary=BINARY, arguments=()):
        self.port, self.admin_port, self.tls_port = wire.free_port(), wire.free_port(), None
        configuration = dict(configuration)
        self.port = configuration.pop("port", self.port)  # for a test that writes `listen` itself
        configuration.setdefault("listen", [{"address": f"127.0.0.1:{self.port}"}])
        if tls:
            self.tls_port = wire.free_port()
            configuration["listen"] = configuration["listen"] + [
                {
                    "address": f"127.0.0.1:{self.tls_port}",
                    "tls": {"certificate": str(tls / "server.pem"), "key": str(tls / "server.key")},
                }
            ]
        configuration.setdefault("admin", {"address": f"127.0.0.1:{self.admin_port}"})
        configuration.setdefault("store", {"enabled": False})
        self.configuration = configuration
        self.path = pathlib.Path(directory) / "weir.yaml"
        self.path.write_text(json.dumps(configuration, indent=1))  # JSON is YAML
        self.path.chmod(0o600)
        super().__init__(["serve", "-c", self.path, *arguments], directory, environment, prepare, binary)
        self.judged_to = 0
        self.read_to, self.tail, self.seen, self.by_trace, self.by_trace_all = 0, b"", [], {}, {}
        self.wait_until_ready()

    def wait_until_ready(self):
        def ready():
            try:
                return self.get("/readyz").status == 200
            except (OSError, wire.Closed):
                return False  # a busy machine may be slower than the deadlines that a test has set

        self.wait_for_port(self.port)
        wait_until(ready, 20, "readiness")

    def write(self, configuration):
        """Replaces the file that SIGHUP loads."""
        self.configuration = configuration
        written = self.path.with_suffix(".new")
        written.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration, indent=1))
        written.chmod(0o600)
        written.replace(self.path)

    def reload(self, configuration=None, seconds=20.0):
        """SIGHUP, with a new file if one is given; what it said about it."""
        if configuration is not None:
            self.write(configuration)
        before = len(self.said())
        self.process.send_signal(signal.SIGHUP)

        def told():
            said = self.said()[before:]
            return said if "reloaded in" in said or "nothing has changed" in said else None

        return wait_until(told, seconds, "the end of the reload")

    def connect(self, tls=None, **more):
        return wire.connect(self.tls_port if tls else self.port, tls=tls, **more)

    def exchange(self, data, timeout=10.0):
        """Sends bytes on a connection of its own; the response."""
        with self.connect(timeout=timeout) as client:
            client.send(data)
            return client.read_response()

    def get(self, target, fields=(), admin=False):
        with wire.connect(self.admin_port if admin else self.port) as client:
            client.send(
                wire.request("GET", target, fields, host=f"127.0.0.1:{self.admin_port if admin else self.port}")
            )
            return client.read_response()

    def post(self, target, body, fields=(), timeout=20.0):
        return self.exchange(wire.request("POST", target, fields, body), timeout)

    def records(self):
        """All records so far."""
        with self.stdout_path.open("rb") as log:
            log.seek(self.read_to)
            data = log.read()
        self.read_to += len(data)
        *lines, self.tail = (self.tail + data).split(b"\n")
        for line in lines:
            try:
                record = records.parse(line)
            except ValueError:
                record = {"not JSON": line.decode(errors="replace"), "trace_id": None}
            self.seen.append(record)
            self.by_trace[record.get("trace_id")] = record
            self.by_trace_all.setdefault(record.get("trace_id"), []).append(record)
        return self.seen

    def record(self, trace_id, seconds=5.0):
        """The one record with that trace id, waited for. Two of them are a fault."""
        if not isinstance(trace_id, str):
            trace_id = (
                trace_id.get("x-weir-trace-id")
                if isinstance(trace_id, wire.Message)
                else trace_id.headers["x-weir-trace-id"]
            )
        wait_until(lambda: self.records() and trace_id in self.by_trace, seconds, f"the record of {trace_id}")
        found = self.by_trace_all[trace_id]
        assert len(found) == 1, f"{len(found)} records for one exchange"
        return found[0]

    def faults(self):
        """What is wrong with what it wrote since this was last asked: records that do not hold, sanitizer reports."""
        wrong = []
        first, self.judged_to = self.judged_to, len(self.records())
        for record in self.seen[first:]:
            if "not JSON" in record:
                wrong.append(f"stdout holds a line that is no record: {record['not JSON'][:200]}")
                continue
            for fault in records.faults(record):
                shown = {k: record.get(k) for k in ("trace_id", "path", "status", "error", "total_ms", "phases")}
                wrong.append(f"{fault} in {shown}")
        report = SANITIZER.search(self.said())
        if report:
            wrong.append(self.said()[max(0, report.start() - 200) :][:6000])
        return wrong

    def stop_and_check(self):
        alive = self.is_alive()
        status = self.stop()
        wrong = self.faults()
        if not alive:
            wrong.insert(0, f"it had ended by itself with {status}: {self.said()[-3000:]}")
        elif status != 0:
            wrong.insert(0, f"exit status {status} after SIGTERM: {self.said()[-3000:]}")
        assert not wrong, f"{len(wrong)} faults:\n" + "\n".join(map(str, wrong[:12]))
