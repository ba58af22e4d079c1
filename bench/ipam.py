"""Address requests through a serial caller, as ``one_ipam`` is, with a provider that answers at once.

    python bench/ipam.py [--runs 100] [--networks 200]

One after another, in turns in one run, so that a busy machine slows all alike:
* ``get_address``, ``allocate_address``, ``free_address``: the executables oned runs, the real client, the real agent,
  and a front-end stand-in that has so many networks more,
* ``register`` and ``unregister``: the same with the packet simulator,
* a Ruby process that only loads ``rexml/document`` and ``json``: the floor of what a driver in Ruby pays. Where there
  is no ruby only ours are printed.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.lab import quick_lab
from tests.support.ranges import Networks

from hybrid_drivers.sandbox.frontend.template import parse

TARGET = 40.0  # ms, p50 of an address request on an idle machine with 2 cores
RUBY = 'require "json"; require "rexml/document"'
MEASURED = ("get_address", "allocate_address", "free_address")


def document(ar: Mapping[str, str], address: Mapping[str, str]) -> bytes:
    """Return the standard input of a call."""

    def inner(values: Mapping[str, str]) -> str:
        return "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())

    text = f"<IPAM_DRIVER_ACTION_DATA><AR>{inner(ar)}</AR><ADDRESS>{inner(address)}</ADDRESS></IPAM_DRIVER_ACTION_DATA>"
    return base64.b64encode(text.encode()) + b"\n"


class Caller:
    """Runs one executable after another and keeps their times."""

    def __init__(self, networks: Networks) -> None:
        self._folder = networks.lab.frontend.location / "var/remotes/ipam/packet"
        self._environment = {**networks.lab.frontend.environment, "LANG": "C"}
        self.times: dict[str, list[float]] = {}
        self._number = 0

    def run(self, action: str, stdin: bytes) -> str:
        """Run an action; it must succeed."""
        self._number += 1
        return self._timed(action, [str(self._folder / action), str(self._number)], stdin)

    def ruby(self) -> None:
        """Run a Ruby process that does nothing."""
        self._timed("ruby", ["ruby", "-e", RUBY], b"")

    def _timed(self, name: str, command: list[str], stdin: bytes) -> str:
        began = time.perf_counter()
        done = subprocess.run(command, input=stdin, capture_output=True, env=self._environment, check=False)
        self.times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        if done.returncode:
            sys.exit(f"{name} failed: {(done.stdout + done.stderr).decode()}")
        return done.stdout.decode()


def measure(runs: int, others: int) -> dict[str, list[float]]:
    """Return the times of every kind of call, milliseconds."""
    with quick_lab("packet") as lab:
        networks = Networks(lab)
        for number in range(others):
            plain = {"TYPE": "IP4", "IP": f"10.{number // 250}.{number % 250}.1", "SIZE": "200"}
            networks.objects.allocate("vnet", networks.template(f"other{number}", plain))
        vnet = networks.ready("public", networks.range(8))
        ar = {key: value for key, value in networks.ar(vnet).items() if key != "ALLOCATED"}
        caller, ruby = Caller(networks), shutil.which("ruby")
        for _ in range(runs):
            caller.run("get_address", document(ar, {"SIZE": "1"}))
            for action in ("allocate_address", "free_address"):
                caller.run(action, document(ar, {"IP": ar["IP"], "MAC": ar["MAC"], "SIZE": "1"}))
            made = parse(caller.run("register_address_range", document(networks.range(2), {"SIZE": ""})))
            caller.run("unregister_address_range", document(made.vector("AR"), {"SIZE": ""}))
            if ruby:
                caller.ruby()
        return caller.times


def main() -> None:
    """Print p50, p95 and requests a second of each, and the ratio to Ruby."""
    parser = argparse.ArgumentParser(description="Time of address requests with the agent up.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--networks", type=int, default=200)
    told = parser.parse_args()
    times = {name: sorted(taken) for name, taken in measure(told.runs, told.networks).items()}
    load = os.getloadavg()[0]
    print(f"{told.runs} runs each, in turns; {told.networks} networks more; load {load:.1f} on {os.cpu_count()} cores")
    for name, taken in times.items():
        p50, p95 = statistics.median(taken), taken[int(len(taken) * 0.95)]
        print(f"{name:26} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   {1000 / statistics.mean(taken):5.1f} requests/s")
    ours = max(statistics.median(times[name]) for name in MEASURED)
    if "ruby" in times:
        ratio = statistics.median(times["ruby"]) / ours
        print(f"an empty Ruby process takes {ratio:.1f} times as long as our slowest address request (p50)")
    else:
        print("there is no ruby here (Debian: apt-get install ruby): only ours are measured")
    print(f"target {TARGET:.0f} ms: {'met' if ours <= TARGET else 'missed'} ({ours:.1f} ms)")


if __name__ == "__main__":
    main()
