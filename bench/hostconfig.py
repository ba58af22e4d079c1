"""Host configuration: the default playbook on 1, 4 and 16 real machines, first and second run.

    .venv/bin/python bench/hostconfig.py [--hosts 1,4,16] [--playbook default]

Needs root (systemd-nspawn machines). Each size gets new machines, whose image has the packages fetched but not
installed. Printed: wall seconds from the first connection to the end of the last host; CPU seconds of this process,
which is what a front-end spends; seconds on the host from the script's first line to its last, median; how many steps
changed; and the second run over the first.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.machines import Identity, make_identity, ssh_banner

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.hostconfig.script import Script, compile_script
from hybrid_drivers.sandbox.machines import Machines, make_machines
from hybrid_drivers.sandbox.machines.nspawn import why_not

LIMIT = 1800.0  # seconds for one run on one host


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run over all hosts of a size."""

    hosts: int
    run: str
    wall: float
    cpu: float
    each: float
    changed: int


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def boot(machines: Machines, identity: Identity, count: int) -> list[SshTarget]:
    """Start ``count`` new machines and wait until all of them answer."""
    targets = []
    for number in range(count):
        name = f"bench-{count}-{number}"
        address = machines.prepare(name, name, identity.user_data).public_v4
        machines.power_on(name)
        targets.append(SshTarget(address, 22, "root", identity.private_key, (identity.host_key,)))
    for target in targets:
        ssh_banner(target.address, limit=120)
    return targets


def configure(target: SshTarget, script: Script) -> RunReport:
    with connect(target, timeout=120) as session:
        return session.run_script(script, lambda _: None, timeout=LIMIT)


def measure(run: str, targets: Sequence[SshTarget], script: Script) -> Row:
    cpu, began = cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(len(targets)) as pool:
        reports = list(pool.map(lambda target: configure(target, script), targets))
    return Row(
        hosts=len(targets),
        run=run,
        wall=time.monotonic() - began,
        cpu=cpu_seconds() - cpu,
        each=statistics.median(report.seconds for report in reports),
        changed=sum(len(report.changed) for report in reports),
    )


def show(row: Row, ratio: str = "") -> None:
    print(
        f"{row.hosts:>5}  {row.run:<6} {row.wall:>8.2f} {row.cpu:>8.2f} {row.each:>9.2f} {row.changed:>8} {ratio:>13}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="1,4,16", help="sizes, default %(default)s")
    parser.add_argument("--playbook", default="default")
    options = parser.parse_args()
    if reason := why_not():
        print(f"cannot run: {reason}", file=sys.stderr)
        return 1
    print("hosts  run      wall s    CPU s  median s  changed  second/first")
    with tempfile.TemporaryDirectory(prefix="bench-hostconfig-") as folder:
        identity = make_identity(Path(folder))
        script = compile_script([options.playbook], {}, Facts(oneadmin_keys=(identity.host_key,)))
        for count in (int(size) for size in options.hosts.split(",")):
            machines = make_machines("nspawn", Path(folder) / f"yard-{count}")
            try:
                targets = boot(machines, identity, count)
                first = measure("first", targets, script)
                show(first)
                second = measure("second", targets, script)
                show(second, f"{second.wall / first.wall:.4f}")
            finally:
                machines.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
