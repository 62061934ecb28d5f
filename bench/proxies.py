"""The proxies that are compared, each with the configuration it is run with, and the mock provider behind them.

All of them relay the same requests from the same generator to the same mock. Said plainly: nginx and HAProxy do less for
it: they read no JSON, check no key and time no phases; they only write their access log.
"""

import hashlib
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

KEY = "sk-weir-bench-0123456789abcdef0123456789abcdef"
PROXY_CPU, LOAD_CPU = 1, 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def find_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def pin(cpu):
    def prepare():
        if cpu < os.cpu_count():
            os.sched_setaffinity(0, {cpu})
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return prepare


def make_certificate(folder):
    certificate, key = os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    os.chmod(key, 0o600)
    with open(os.path.join(folder, "both.pem"), "w") as both:
        both.write(open(certificate).read() + open(key).read())
    os.chmod(both.name, 0o600)
    return certificate, key


class Process:
    """A server that this program started, and stops by its process id."""

    def __init__(self, name, command, folder, cpu, port, tls_port=None):
        self.name, self.command, self.folder, self.cpu = name, command, folder, cpu
        self.port, self.tls_port, self.process = port, tls_port, None

    def start(self):
        log = open(os.path.join(self.folder, self.name + ".log"), "ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                                        preexec_fn=pin(self.cpu))
        for _ in range(100):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        tail = open(log.name, errors="replace").read()[-2000:]
        self.stop()
        raise RuntimeError(f"{self.name} does not listen on port {self.port}:\n{tail}")

    def stop(self, seconds=5):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def pids(self):
        """The process and its children (nginx's worker)."""
        main = self.process.pid
        with open(f"/proc/{main}/task/{main}/children") as f:
            return [main] + [int(p) for p in f.read().split()]

    def rss_bytes(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += next(int(line.split()[1]) * 1024 for line in f if line.startswith("Rss:"))
        return total

    def answers(self):
        """One request through it must come back whole before anything is measured."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        c.request("POST", "/v1/chat/completions", '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}',
                  {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
        answer = c.getresponse()
        body = answer.read()
        c.close()
        if answer.status != 200 or b'"choices"' not in body:
            raise RuntimeError(f"{self.name} answers {answer.status}: {body[:300]!r}")


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


def mock(weir, folder):
    port = free_port()
    return Process("mock", [weir, "mock", "--listen", f"127.0.0.1:{port}"], folder, LOAD_CPU, port)


class Drain:
    """Reads a pipe to nowhere, as a container's runtime would read it, beside the proxy that fills it."""

    def __init__(self, path):
        os.mkfifo(path)
        pipe = os.open(path, os.O_RDWR)
        self.process = subprocess.Popen(["timeout", "3600", "cat"], stdin=pipe, stdout=subprocess.DEVNULL,
                                        preexec_fn=pin(PROXY_CPU))
        os.close(pipe)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Weir(Process):
    """Its access log goes into a pipe, unless it is asked to be a file. A line is a kilobyte, and what storing that in the
    page cache costs is not weir's: in a virtual machine whose free memory goes back to the host each new page has to be
    got from there again, which is charged to who writes to it (0.7 µs a request for the log's thread with a pipe, 0.9 to
    3.9 with a file, measured with one binary)."""

    def __init__(self, *process, log_file):
        super().__init__(*process)
        self.log_file, self.drain = log_file, None

    def start(self):
        self.drain = None if self.log_file else Drain(os.path.join(self.folder, "weir-access.log"))
        return super().start()

    def stop(self, seconds=5):
        super().stop(seconds)
        if self.drain:
            self.drain.stop()
            os.unlink(os.path.join(self.folder, "weir-access.log"))
        self.drain = None


def weir(program, folder, upstream, certificate, key, log_file=False):
    port, tls_port, admin = free_port(), free_port(), free_port()
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    config = write(folder, "weir.yaml", f"""listen:
  - address: 127.0.0.1:{port}
  - address: 127.0.0.1:{tls_port}
    tls: {{certificate: {certificate}, key: {key}}}
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
providers:
  mock:
    dialect: openai
    base_url: http://127.0.0.1:{upstream}/v1
    api_key: sk-provider-bench
    models: ["gpt-*"]
  mock-anthropic: {{dialect: anthropic, base_url: "http://127.0.0.1:{upstream}", api_key: sk-provider-bench, models: ["claude-*"]}}
  mock-gemini: {{dialect: gemini, base_url: "http://127.0.0.1:{upstream}", api_key: sk-provider-bench, models: ["gemini-*"]}}
tenants:
  bench:
    keys: [{{name: bench, sha256: "{digest}"}}]
    limits: {{requests_per_minute: 1000M, tokens_per_minute: 1000000M, concurrent_requests: 1M, usd_per_day: 1000000,
              usd_per_month: 1000000, models: {{gpt-4o-mini: {{requests_per_minute: 1000M}}}}}}
log: {{access: {folder}/weir-access.log, level: info}}
""")
    return Weir("weir", [program, "serve", "-c", config], folder, PROXY_CPU, port, tls_port, log_file=log_file)


def nginx(name, folder, upstream, certificate, key, buffers=""):
    """Stock: what Debian's package does without being asked, and the two lines that upstream keep-alive needs. Streams
    come under /streamed/, where buffering is off: with it nginx would hold their events back."""
    port, tls_port = free_port(), free_port()
    config = write(folder, name + ".conf", f"""worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}-error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/{name}-access.log combined;
    client_body_temp_path {folder}/{name}-body;
    proxy_temp_path {folder}/{name}-proxy;
    fastcgi_temp_path {folder}/{name}-fastcgi;
    uwsgi_temp_path {folder}/{name}-uwsgi;
    scgi_temp_path {folder}/{name}-scgi;
    client_max_body_size 32m;
    keepalive_requests 100000000;
    {buffers}
    upstream provider {{
        server 127.0.0.1:{upstream} max_fails=0;
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{ proxy_pass http://provider; }}
        location /streamed/ {{
            proxy_buffering off;
            proxy_pass http://provider/;
        }}
    }}
}}
""")
    command = [find_program("nginx"), "-e", f"{folder}/{name}-error.log", "-p", folder, "-c", config]
    return Process(name, command, folder, PROXY_CPU, port, tls_port)


def haproxy(folder, upstream):
    """http-no-delay, or it holds the events of a stream back for up to 200 ms."""
    port, tls_port = free_port(), free_port()
    config = write(folder, "haproxy.cfg", f"""global
    nbthread 1
    maxconn 8192
    log stdout format raw local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
frontend plain
    bind 127.0.0.1:{port}
    default_backend provider
frontend tls
    bind 127.0.0.1:{tls_port} ssl crt {folder}/both.pem
    default_backend provider
backend provider
    http-reuse always
    option http-no-delay
    server mock 127.0.0.1:{upstream}
""")
    return Process("haproxy", [find_program("haproxy"), "-db", "-q", "-f", config], folder, PROXY_CPU, port, tls_port)
