"""Many hosts at once through the real agent: how close does the whole come to its slowest machine?

    .venv/bin/python bench/scale_hosts.py [--sizes 1,10,100,1000] [--median 240] [--scale 4]

For each size: ``onehost create`` for all of them at once, against the packet simulator with light machines (one SSH
handshake each; playbook ``dummy``, since configuring is measured by ``bench/hostconfig.py``), until every host has
capacity; then all are deleted again. Machines take a lognormal time, divided by the time scale.

Printed: wall seconds, the slowest machine, the floor that the provider's rate limit sets (creates at 20/s after a
burst of 50), wall over slowest plus floor, API calls a host, agent CPU in ms a host, agent RSS.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hybrid_drivers.providers.packet.provider import BURST, RATE
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.lab import Lab, LabOptions

LIMIT = 1500.0  # seconds for one size


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured for one size."""

    hosts: int
    wall: float
    slowest: float
    floor: float
    calls: float
    cpu: float
    rss: float
    back: float

    def __str__(self) -> str:
        ratio = self.wall / (self.slowest + self.floor)
        return (
            f"{self.hosts:6d} {self.wall:8.1f} {self.slowest:8.1f} {self.floor:6.1f} {ratio:7.2f} "
            f"{self.calls:10.2f} {self.cpu:9.1f} {self.rss:8.1f} {self.back:8.1f}"
        )


HEADER = " hosts   wall s  slowest  floor   ratio calls/host ms CPU/h   RSS MB   back s"


class Stopwatch(threading.Thread):
    """Watches when each machine becomes active."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(daemon=True)
        self.lab = lab
        self.took: dict[str, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.1):
            now = time.time()
            for one in self.lab.simulator.machines:
                if one["state"] == "active" and one["id"] not in self.took:
                    self.took[str(one["id"])] = now - float(str(one["created"]))


def measure(hosts: int, median: float, scale: float) -> Row:
    knobs = Knobs(queued=5.0, provisioning=f"lognormal:{median},0.15", booting=5.0, time_scale=scale, seed=hosts)
    options = LabOptions(
        knobs=knobs, provision={"PLAYBOOK": "dummy"}, limits={"settle": 5, "poll": max(0.5, 10 / scale)}, step_delay=0.0
    )
    with Lab(options) as lab:
        lab.run(
            str(lab.location.lib / "hybrid-client"), "agent", "agent", "status"
        )  # the agent is up, as in daily life
        watch = Stopwatch(lab)
        watch.start()
        before = cpu_seconds(lab.agent_pid())
        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(lambda number: lab.create(f"edge{number}"), range(hosts)))
        lab.wait(lambda: sum(one.shown_cpu > 0 for one in shown(lab)) == hosts, LIMIT)
        wall = time.monotonic() - began
        watch.done.set()
        calls = sum(lab.simulator.calls.values())
        cpu = cpu_seconds(lab.agent_pid()) - before
        rss = peak_rss(lab.agent_pid())
        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lab.oned.delete_host, made))
        lab.wait_empty(LIMIT)
        back = time.monotonic() - began
    return Row(
        hosts=hosts,
        wall=wall,
        slowest=max(watch.took.values()),
        floor=max(0.0, (hosts - BURST) / RATE),
        calls=calls / hosts,
        cpu=1000 * cpu / hosts,
        rss=rss,
        back=back,
    )


@dataclass(frozen=True)
class Shown:
    """A host's capacity as oned has it."""

    shown_cpu: int


def shown(lab: Lab) -> list[Shown]:
    """Read the hosts once a second at most: at 1,000 hosts the reading itself costs."""
    time.sleep(0.5)
    return [Shown(one.total_cpu) for one in lab.oned.hosts()]


def cpu_seconds(pid: int | None) -> float:
    if pid is None:
        raise RuntimeError("the agent is not there")
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss(pid: int | None) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,10,100,1000")
    parser.add_argument("--median", type=float, default=240.0, help="seconds a machine takes (default 240)")
    parser.add_argument("--scale", type=float, default=4.0, help="how much faster time runs at the provider")
    options = parser.parse_args()
    print(f"machines take lognormal, median {options.median:g} s; time scale {options.scale:g}")
    print(HEADER)
    for size in options.sizes.split(","):
        print(measure(int(size), options.median, options.scale), flush=True)


if __name__ == "__main__":
    main()
