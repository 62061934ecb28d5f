#!/usr/bin/env python3
"""What weir's own measuring costs: the same gateway with and without it (bench/bare.c), as a ratio of CPU times and
counted in instructions.

Both run at the same time, on the same processor, each under the same open-loop load: whatever the machine does in that
second, it does to both. One after the other, seconds apart, pairs of these scatter by ten times what is to be seen here.
Worker threads: telemetry against none. The whole process: telemetry and the access log against neither.
Instructions are counted by valgrind's callgrind, of some hundreds of exchanges more against fewer: they do not depend on
what else the machine does.

examples:
  make bench-telemetry
  bench/telemetry.py --rounds 20 --seconds 2
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import proxies
from run import SUITES, Bench, quartiles

WANTED = {"requests": "request", "burst": "stream", "paced": "event"}
RATES = {"requests": 12000, "burst": 8000}  # a second and gateway; paced streams have their own pace
WORKER_MAX, PROCESS_MAX = 1.03, 1.12


def gateway(program, folder, upstream, certificate, key, log):
    """One of the two, with a configuration of its own: the access log to a file, or none."""
    own = os.path.join(folder, f"{os.path.basename(program)}-{'log' if log else 'quiet'}")
    os.makedirs(own, exist_ok=True)
    made = proxies.weir(os.path.abspath(program), own, upstream, certificate, key)
    if not log:
        path = os.path.join(own, "weir.yaml")
        text = open(path).read()
        with open(path, "w") as f:
            f.write(re.sub(r"access: [^,]+,", "access: none,", text))
    made.name = os.path.basename(own)
    return made


def measure_suite(bench, suite, full, bare, rounds):
    more = ["--rate", str(RATES[suite])] if suite in RATES else []
    pairs = []
    with ThreadPoolExecutor(2) as both:
        for r in range(rounds):
            order = [full, bare] if r % 2 else [bare, full]
            runs = {proxy: both.submit(bench.measure, proxy, suite, more) for proxy in order}
            pairs.append((runs[full].result(), runs[bare].result()))
            print(f"  {suite} round {r + 1}/{rounds}", file=sys.stderr)
    row = {"pairs": pairs}
    for part in ("worker", "process"):
        ratios = [a[part + "_us"] / b[part + "_us"] for a, b in pairs]
        row[part] = statistics.median(ratios)
        row[part + "_range"] = quartiles(ratios)
        row[part + "_us"] = [statistics.median(x[i][part + "_us"] for x in pairs) for i in (0, 1)]
    return row


# ---- instructions ----


def instructions_of(folder):
    """Instructions by thread, as callgrind wrote them."""
    found = {}
    for name in os.listdir(folder):
        match = re.search(r"-(\d+)$", name)
        text = open(os.path.join(folder, name)).read() if match else ""
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
        if total:
            found[match.group(1)] = int(total.group(1))
    return found


def counted_run(bench, folder, program, suite, count, certificate, key):
    """Instructions of a run with so many exchanges, by thread."""
    out = tempfile.mkdtemp(dir=folder)
    proxy = gateway(program, out, bench.mock.port, certificate, key, False)
    proxy.command = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}/calls",
                     *proxy.command]
    proxy.cpu = proxies.PROXY_CPU
    proxy.start()
    try:
        proxy.answers()
        unit, arguments, _ = SUITES[suite]
        arguments = ["1" if a == "32" else a for a in arguments]
        command = bench.command(proxy, suite, [*arguments, "--count", str(count), "--duration", "100"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        report = json.loads(done.stdout.splitlines()[-1])
        if report["errors"] or report["requests"] != count:
            raise RuntimeError(f"{suite}: {report['requests']} of {count}, {report['errors']} errors")
    finally:
        proxy.process.send_signal(signal.SIGTERM)
        proxy.process.wait(60)
    return instructions_of(out)


def instructions_each(bench, folder, program, suite, certificate, key):
    """Of the worker thread for one exchange: the thread that ran most more for more of them."""
    few = counted_run(bench, folder, program, suite, 200, certificate, key)
    many = counted_run(bench, folder, program, suite, 1000, certificate, key)
    return max(many[t] - few.get(t, 0) for t in many) / 800


def run(options, folder):
    certificate, key = proxies.make_certificate(folder)
    bench = Bench(options, folder)
    bench.mock.start()
    results, missed = {}, False
    full = gateway(options.weir, folder, bench.mock.port, certificate, key, True)
    bare = gateway(options.bare, folder, bench.mock.port, certificate, key, False)
    try:
        for proxy in (full, bare):
            proxy.start()
            proxy.answers()
        for suite in options.suite:
            results[suite] = measure_suite(bench, suite, full, bare, options.rounds)
    finally:
        full.stop()
        bare.stop()
    print(f"\nwhat measuring costs: with / without, the median of {options.rounds} pairs [quartiles]")
    for suite, row in results.items():
        said = []
        for part, most in (("worker", WORKER_MAX), ("process", PROCESS_MAX)):
            missed |= row[part] > most
            said.append(f"{part} {row[part]:.3f} [{row[part + '_range'][0]:.2f} – {row[part + '_range'][1]:.2f}] "
                        f"({row[part + '_us'][0]:.2f} / {row[part + '_us'][1]:.2f} µs) ≤ {most} "
                        f"{'ok' if row[part] <= most else 'MISSED'}")
        print(f"  {suite:9} {'   '.join(said)}")
    if shutil.which("valgrind") and options.instructions:
        for suite in [s for s in options.suite if s != "paced"]:
            each = [instructions_each(bench, folder, p, suite, certificate, key) for p in (options.weir, options.bare)]
            results[suite]["instructions"] = each
            missed |= each[0] / each[1] > WORKER_MAX
            print(f"  {suite:9} worker thread, instructions per {WANTED[suite]}: {each[0]:.0f} with, {each[1]:.0f} without, "
                  f"{each[0] / each[1]:.3f} ≤ {WORKER_MAX} {'ok' if each[0] / each[1] <= WORKER_MAX else 'MISSED'}")
    bench.mock.stop()
    return results, missed, bench.failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default="build/release/weir")
    parser.add_argument("--bare", default="build/release/weir-bare")
    parser.add_argument("--loadgen", default="build/release/loadgen")
    parser.add_argument("--suite", default=",".join(WANTED), help="comma list of: " + " ".join(WANTED))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--no-instructions", dest="instructions", action="store_false")
    parser.add_argument("--json", help="also write everything measured to this file")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    options.suite = options.suite.split(",")
    if not set(options.suite) <= set(WANTED):
        parser.error("unknown suite")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o711)
        results, missed, failures = run(options, folder)
    for failure in failures:
        print("FAILED " + failure, file=sys.stderr)
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"results": results, "failures": failures, "targets_missed": missed}, f, indent=1)
    print(f"in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return 1 if failures or (options.gate and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
