"""``oneprovision create`` with many hosts: how close does the whole come to its slowest machine?

    .venv/bin/python bench/create.py [--hosts 50] [--threads 3] [--median 240] [--sigma 0.3] [--scale 40]

The real executable makes one provision of that many hosts, against the packet simulator with light machines (one SSH
handshake each; playbook ``dummy``, since configuring is measured by ``bench/hostconfig.py``). Machines take a
lognormal time, divided by the time scale.

Then, in the same run, the same machines in batches: the next three hosts are made when the last three are ready, as
OneProvision 5.12 deploys with ``--threads 3`` (``src/oneprovision/lib/provision.rb``, ``deploy_hosts``: it joins all
threads before it starts the next ones). The batches here are bare: no tool, no lock, no record, and a look every
0.1 s; 5.12 configures only after the last batch, which is left out.

Printed: wall seconds, the slowest machine, wall over slowest of both, and how many times as long the batches take.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.scale_hosts import Stopwatch

from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.lab import ENTRIES, Lab, LabOptions

GOAL = 5.0  # seconds that create takes beyond its slowest machine
LIMIT = 600.0  # seconds for one batch
PHASES = {"queued": 0.05, "provisioning": 0.85, "booting": 0.1}  # shares of a machine's time
TEMPLATE = """
name: bench
playbook: dummy
defaults:
  provision: {{provider: {provider}, plan: c3.small.x86, os: debian_12, metro: am}}
cluster: {{name: bench}}
hosts:
  - {{im_mad: kvm, vm_mad: kvm, provision: {{hostname: "edge-${{index}}", count: {hosts}}}}}
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to make the hosts; seconds."""

    way: str
    wall: float
    slowest: float

    def __str__(self) -> str:
        return f"{self.way:24} {self.wall:8.1f} {self.slowest:9.1f} {self.wall / self.slowest:7.2f}"


HEADER = f"{'':24}   wall s   slowest   ratio"


@contextmanager
def laboratory(options: argparse.Namespace) -> Iterator[Lab]:
    """Yield a laboratory whose machines take the same times each time."""
    limits = {"settle": 5, "poll": max(0.5, 10 / options.scale)}
    knobs = Knobs(time_scale=options.scale, seed=1)
    knobs.change({name: f"lognormal:{options.median * share},{options.sigma}" for name, share in PHASES.items()})
    with Lab(LabOptions(knobs=knobs, provision={"PLAYBOOK": "dummy"}, limits=limits, step_delay=0.0)) as lab:
        lab.run(str(lab.location.lib / "hybrid-client"), "agent", "agent", "status")  # it is up, as in daily life
        yield lab


def measure(way: str, options: argparse.Namespace, work: Callable[[Lab], None]) -> Row:
    """Time ``work`` in a laboratory of its own."""
    with laboratory(options) as lab:
        watch = Stopwatch(lab)
        watch.start()
        began = time.monotonic()
        work(lab)
        wall = time.monotonic() - began
        watch.done.set()
        watch.join()
    if len(watch.took) != options.hosts:
        sys.exit(f"{way}: {len(watch.took)} machines became active, not {options.hosts}")
    return Row(way=way, wall=wall, slowest=max(watch.took.values()))


def create(lab: Lab, hosts: int) -> None:
    """Run ``oneprovision create``; it must succeed."""
    template = lab.folder / "bench.yaml"
    template.write_text(TEMPLATE.format(provider=ENTRIES[lab.options.provider], hosts=hosts))
    program = Path(sys.executable).with_name("oneprovision")
    command = [str(program), "create", str(template), "--batch"]
    done = subprocess.run(command, env=lab.frontend.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)


def batches(lab: Lab, hosts: int, threads: int) -> None:
    """Make the hosts some at a time, the next ones when the last ones are ready."""
    for first in range(0, hosts, threads):
        made = {lab.create(f"edge-{number}") for number in range(first, min(first + threads, hosts))}
        lab.wait(functools.partial(are_ready, lab, made), LIMIT)


def are_ready(lab: Lab, hosts: set[int]) -> bool:
    """Tell whether all of these hosts are ready; looked at every 0.1 s."""
    time.sleep(0.1)
    return hosts <= {one.id for one in lab.oned.hosts() if one.template.text("PROVISION_STATE") == "READY"}


def _kept(kept: bool) -> str:
    return "kept" if kept else "MISSED"


def main() -> None:
    """Print both ways and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--threads", type=int, default=3, help="hosts of a batch")
    parser.add_argument("--median", type=float, default=240.0, help="seconds a machine takes (default 240)")
    parser.add_argument("--sigma", type=float, default=0.3, help="how much that differs (default 0.3)")
    parser.add_argument("--scale", type=float, default=40.0, help="how much faster time runs at the provider")
    options = parser.parse_args()
    print(
        f"{options.hosts} hosts; machines take lognormal, median {options.median:g} s, sigma {options.sigma:g}, "
        f"time scale {options.scale:g}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(HEADER)
    ours = measure("oneprovision create", options, lambda lab: create(lab, options.hosts))
    print(ours, flush=True)
    barrier = f"batches of {options.threads}, bare"
    theirs = measure(barrier, options, lambda lab: batches(lab, options.hosts, options.threads))
    print(theirs)
    print(f"batches take {theirs.wall / ours.wall:.1f} times as long")
    beyond = ours.wall - ours.slowest  # does not grow with the machines' times, so neither with the time scale
    print(f"create takes {beyond:.1f} s more than its slowest machine; goal {GOAL:g} s: {_kept(beyond <= GOAL)}")


if __name__ == "__main__":
    main()
