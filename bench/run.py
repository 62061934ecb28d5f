#!/usr/bin/env python3
"""What one request, one stream and one event cost weir in CPU time, beside stock nginx and HAProxy.

Every number is CPU time of the proxy's threads (the scheduler's account, in nanoseconds) over a window in which the load
generator counted what was answered: on a shared machine this repeats far better than requests per second. Proxies take
turns, round after round; what is reported is the median of each round's ratio to stock nginx, with its quartiles. Many
short rounds rather than a few long ones: a neighbour that comes and goes then meets both sides of a ratio.
The proxy is pinned to processor 1, generator and mock to processor 0.

Exit: 0, 1 when a run failed (errors, a server that does not start), with --gate also when a target is missed.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import proxies

PATH = "/v1/chat/completions"
BODY = ('{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You answer in one short sentence and never invent a '
        'fact."},{"role":"user","content":"Which way does the water go when the river is low and the gate is shut?"}]}')
STREAM = BODY[:-1] + ',"stream":true,"stream_options":{"include_usage":true}}'
STREAM_UNASKED = BODY[:-1] + ',"stream":true}'
TOKENS = 20

# name: (what one unit is, the generator's arguments, targets as shares of stock nginx: worker thread, whole process)
SUITES = {
    "requests": ("request", ["--connections", "32", "--body-text", BODY, "--pad", "1000"], (1.0, 1.1)),
    "burst": ("stream", ["--connections", "32", "--sse", "--expect-events", str(TOKENS + 4), "--body-text", STREAM,
                         "--header", f"x-mock-tokens: {TOKENS}"], (0.75, 0.8)),
    "burst-unasked": ("stream", ["--connections", "32", "--sse", "--expect-events", str(TOKENS + 3), "--body-text",
                                 STREAM_UNASKED, "--header", f"x-mock-tokens: {TOKENS}"], None),
    "paced": ("event", ["--connections", "300", "--sse", "--body-text", STREAM, "--header", "x-mock-gap-ms: 20",
                        "--header", "x-mock-tokens: 2000", "--ramp", "1.0317"], (0.95, 1.0)),
    "tls": ("request", ["--connections", "32", "--body-text", BODY, "--pad", "1000"], (1.0, 1.1)),
    "body-16k": ("request", ["--connections", "32", "--body-file", "body-16k"], None),
    "body-1m": ("request", ["--connections", "8", "--body-file", "body-1m"], None),
}
BODY_KB = {"body-16k": (16384 - 1000) / 1024, "body-1m": (1048576 - 1000) / 1024}
BODY_BYTES = {"body-16k": 16384, "body-1m": 1048576}
BODY_TARGET_US = {"body-16k": 0.2, "body-1m": 0.4}  # of CPU per KB beyond what plainly relaying a KB costs
PLAIN_RELAYS = ("nginx-32k", "haproxy")  # of these the cheaper is what relaying costs; stock nginx goes by temporary files
MEMORY_STREAMS, MEMORY_TARGET = 2000, 8192
STREAMED = ("burst", "burst-unasked", "paced")


def prose_body(size):
    """A chat request of that many bytes whose message is prose: what large prompts are."""
    head, tail = BODY[:BODY.index("Which")], '"}]}'
    words = "the river is low and the gate is shut, so the water goes over the weir and every drop of it is counted. "
    return head + (words * (size // len(words) + 1))[: size - len(head) - len(tail)] + tail


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.failures = options, folder, []
        certificate, key = proxies.make_certificate(folder)
        for name, size in BODY_BYTES.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(prose_body(size))
        self.mock = proxies.mock(os.path.abspath(options.weir), folder)
        up = self.mock.port
        self.made = {
            "nginx": lambda: proxies.nginx("nginx", folder, up, certificate, key),
            "nginx-32k": lambda: proxies.nginx("nginx-32k", folder, up, certificate, key,
                                               "proxy_buffer_size 32k; proxy_buffers 8 32k; client_body_buffer_size 2m;"),
            "haproxy": lambda: proxies.haproxy(folder, up),
            "weir": lambda: proxies.weir(os.path.abspath(options.weir), folder, up, certificate, key,
                                         getattr(options, "log_file", False)),
        }

    def path(self, proxy, suite):
        return "/streamed" + PATH if suite in STREAMED and proxy.name.startswith("nginx") else PATH

    def command(self, proxy, suite, arguments):
        tls = suite == "tls"
        scheme, port = ("https", proxy.tls_port) if tls else ("http", proxy.port)
        url = f"{scheme}://127.0.0.1:{port}{self.path(proxy, suite)}"
        arguments = [os.path.join(self.folder, a) if a in BODY_BYTES else a for a in arguments]
        return [os.path.abspath(self.options.loadgen), "--cpu", str(proxies.LOAD_CPU), "--header",
                "Authorization: Bearer " + proxies.KEY, *arguments, url]

    def measure(self, proxy, suite, more=()):
        """One run. CPU in microseconds per unit: of the worker threads, of the whole process."""
        unit, arguments, _ = SUITES[suite]
        watched = [a for pid in proxy.pids() for a in ("--watch", str(pid))]
        warmup = 1.5 if suite == "paced" else 0.3
        command = self.command(proxy, suite, [*arguments, *more, *watched, "--warmup", str(warmup), "--duration",
                                              str(self.options.seconds)])
        stolen = steal_ticks()
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.options.seconds + 60)
        if not done.stdout.strip():
            raise RuntimeError(f"{suite} through {proxy.name}: no report: {done.stderr[-300:]}")
        report = json.loads(done.stdout.splitlines()[-1])
        units = report["events"] if unit == "event" else report["requests"]
        if report["errors"] or not units:
            self.failures.append(f"{suite} through {proxy.name}: {report['errors']} errors {report['error_kinds']}")
        all_ns = sum(t["cpu_ns"] for t in report["threads"])
        workers = [t["cpu_ns"] for t in report["threads"] if t["name"].startswith("worker-")]
        spread = report["gap_ms" if unit == "event" else "latency_ms"]
        worker_ns = sum(workers) if workers else all_ns
        return {"process_us": all_ns / 1e3 / max(units, 1), "worker_us": worker_ns / 1e3 / max(units, 1),
                "units_per_s": units / report["seconds"], "p50_ms": spread["p50"],
                "p99_ms": spread["p99"], "errors": report["errors"], "steal_ticks": steal_ticks() - stolen}

    def measure_body(self, proxy, suite):
        """With the small body's relay measured just before, so that both saw the same machine."""
        small = self.measure(proxy, "requests")
        run = self.measure(proxy, suite)
        run["us_per_kb"] = (run["process_us"] - small["process_us"]) / BODY_KB[suite]
        return run

    def run_suite(self, suite, running):
        """Interleaved rounds; each begins with another proxy, so that none always follows the same one."""
        rounds = []
        for r in range(self.options.rounds):
            order = running[r % len(running):] + running[:r % len(running)]
            measure = self.measure_body if suite in BODY_KB else self.measure
            rounds.append({p.name: measure(p, suite) for p in order})
            print(f"  {suite} round {r + 1}/{self.options.rounds}", file=sys.stderr)
        return rounds

    def memory(self, name):
        """Growth of resident memory on a fresh process's first ramp to 2,000 open streams, per stream."""
        proxy = self.made[name]().start()
        try:
            proxy.answers()
            warm = self.command(proxy, "memory", ["--connections", "8", "--count", "200", "--duration", "5",
                                                  "--body-text", BODY])
            subprocess.run(warm, capture_output=True, timeout=60)
            before = proxy.rss_bytes()
            streams = MEMORY_STREAMS
            arguments = ["--connections", str(streams), "--ramp", "4", "--sse", "--announce", "--duration", "40",
                         "--header", "x-mock-gap-ms: 1000", "--header", "x-mock-tokens: 200", "--body-text", STREAM]
            load = subprocess.Popen(self.command(proxy, "paced", arguments), stdout=subprocess.PIPE, text=True)
            try:
                line = load.stdout.readline()
                if '"streaming"' not in line:
                    self.failures.append(f"memory of {name}: not all streams opened: {line[:200]}")
                    return None
                time.sleep(2)
                return (proxy.rss_bytes() - before) / streams
            finally:
                load.send_signal(signal.SIGTERM)
                load.wait()
        finally:
            proxy.stop()


def steal_ticks():
    with open("/proc/stat") as f:
        return int(f.readline().split()[8])


def quartiles(values):
    if len(values) < 4:
        return [min(values), max(values)]
    cuts = statistics.quantiles(values, n=4)
    return [cuts[0], cuts[2]]


def summarise(rounds):
    """Per proxy: medians, and each round's ratio to stock nginx."""
    table = {}
    for name in rounds[0]:
        runs = [r[name] for r in rounds]
        row = {k: statistics.median(x[k] for x in runs) for k in runs[0]}
        if "nginx" in rounds[0]:
            for part in ("worker", "process"):
                ratios = [r[name][part + "_us"] / r["nginx"]["process_us"] for r in rounds if r["nginx"]["process_us"]]
                row[part + "_ratio"] = statistics.median(ratios) if ratios else None
                row[part + "_ratio_range"] = quartiles(ratios) if ratios else None
        table[name] = row
    return table


def verdict(value, target):
    if target is None or value is None:
        return ""
    return f"≤ {target:g} {'ok' if value <= target else 'MISSED'}"


def print_suite(suite, table):
    unit, _, targets = SUITES[suite]
    print(f"\n{suite}: CPU per {unit}")
    print(f"  {'':10} {'worker µs':>10} {'process µs':>10} {'worker/nginx':>22} {'process/nginx':>22} {unit + 's/s':>10} "
          f"{'p50 ms':>8} {'p99 ms':>8}  target")
    missed = False
    for name, row in table.items():
        shown = []
        for part in ("worker", "process"):
            ratio = row.get(part + "_ratio")
            low, high = row.get(part + "_ratio_range") or (0, 0)
            shown.append(f"{ratio:.3f} [{low:.2f}–{high:.2f}]" if ratio is not None else "–")
        said = ""
        if name == "weir" and targets and row.get("worker_ratio") is not None:
            said = f"{verdict(row['worker_ratio'], targets[0])}; {verdict(row['process_ratio'], targets[1])}"
            missed |= row["worker_ratio"] > targets[0] or row["process_ratio"] > targets[1]
        print(f"  {name:10} {row['worker_us']:10.2f} {row['process_us']:10.2f} {shown[0]:>22} {shown[1]:>22} "
              f"{row['units_per_s']:10.0f} {row['p50_ms']:8.3f} {row['p99_ms']:8.3f}  {said}")
    return missed


def print_body(suite, table):
    relay = min((table[name]["us_per_kb"] for name in PLAIN_RELAYS if name in table), default=None)
    print("  CPU µs of the whole process per KB above a small request; weir's beyond the cheaper plain relay:")
    missed = False
    for name, row in table.items():
        beyond = row["us_per_kb"] - relay if name == "weir" and relay is not None else None
        target = BODY_TARGET_US[suite] if beyond is not None else None
        missed |= beyond is not None and beyond > target
        shown = f"{beyond:10.4f}  " if beyond is not None else ""
        print(f"  {name:10} {row['us_per_kb']:10.4f}  {shown}{verdict(beyond, target)}")
    return missed


def run(options, folder):
    bench = Bench(options, folder)
    results, missed, running = {}, False, []
    wanted = [s for s in options.suite if s != "memory"]
    bench.mock.start()
    try:
        for name in options.proxies if wanted else []:
            running.append(bench.made[name]().start())
            running[-1].answers()
        for suite in wanted:
            rounds = bench.run_suite(suite, running)
            results[suite] = {"table": summarise(rounds), "rounds": rounds}
            missed |= print_suite(suite, results[suite]["table"])
            if suite in BODY_KB:
                missed |= print_body(suite, results[suite]["table"])
        for proxy in running:
            proxy.stop()
        if "memory" in options.suite:
            print(f"\nmemory: bytes resident per open stream, first ramp to {MEMORY_STREAMS}")
            results["memory"] = {}
            for name in options.proxies:
                results["memory"][name] = value = bench.memory(name)
                target = MEMORY_TARGET if name == "weir" else None
                missed |= bool(target and value and value > target)
                print(f"  {name:10} {value if value is None else round(value):>10}  {verdict(value, target)}")
    finally:
        for proxy in running:
            proxy.stop()
        bench.mock.stop()
    return results, missed, bench.failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n  bench/run.py --quick --suite requests,burst\n  bench/run.py --gate")
    names = [*SUITES, "memory"]
    parser.add_argument("--weir", default="build/release/weir")
    parser.add_argument("--loadgen", default="build/release/loadgen")
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--suite", default=",".join(names), help="comma list of: " + " ".join(names))
    parser.add_argument("--proxies", default="nginx,nginx-32k,haproxy,weir", help="comma list; ratios need nginx")
    parser.add_argument("--rounds", type=int, default=0, help="interleaved rounds (10; quick: 4)")
    parser.add_argument("--seconds", type=float, default=0, help="measured seconds of each run (0.8; quick: 0.5)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--log-file", action="store_true", help="weir's access log goes to a file, not into a pipe")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    options.rounds = options.rounds or (4 if options.quick else 10)
    options.seconds = options.seconds or (0.5 if options.quick else 0.8)
    options.suite, options.proxies = options.suite.split(","), options.proxies.split(",")
    unknown = [s for s in options.suite if s not in names]
    unknown += [p for p in options.proxies if p not in ("nginx", "nginx-32k", "haproxy", "weir")]
    if unknown:
        parser.error("unknown: " + " ".join(unknown))
    for program in ("nginx", "haproxy"):
        if proxies.find_program(program) is None:
            options.proxies = [p for p in options.proxies if not p.startswith(program)]
            print(f"{program} is not installed: left out", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o711)
        try:
            results, missed, failures = run(options, folder)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            print(f"bench failed: {error}", file=sys.stderr)
            return 1
    for failure in failures:
        print("FAILED " + failure, file=sys.stderr)
    if options.json:
        os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
        with open(options.json, "w") as f:
            json.dump({"seconds": options.seconds, "rounds": options.rounds, "results": results, "failures": failures,
                       "targets_missed": missed}, f, indent=1)
    return 1 if failures or (options.gate and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
