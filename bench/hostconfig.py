"""Host configuration: the default playbook on 1, 4 and 16 real machines, first and second run.

    .venv/bin/python bench/hostconfig.py [--hosts 1,4,16] [--against ansible] [--installed] [--steps]

Needs root (systemd-nspawn machines). Each engine gets new machines for each size, whose image has the packages fetched
but not installed (the distribution's packages: opennebula_repository_enabled is no). Ours runs as the agent does it: a
thread a host in one process. ``--against ansible`` also runs the same configuration as an Ansible playbook
(bench/ansible/default.yml, with pipelining and forks 5 and 50), and has ours check that the hosts are alike afterwards.

Printed: wall seconds from the first connection to the end of the last host; CPU seconds of this process and its
children, which is what a front-end spends; CPU seconds of all machines; how many steps changed. Then the ratios.
"""

from __future__ import annotations

import argparse
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.ansible import engine
from tests.support.machines import Identity, make_identity, ssh_banner

from hybrid_drivers.hostconfig.ansible_process import Call
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.nodepackages import DEBIAN_KVM
from hybrid_drivers.hostconfig.report import RunReport
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.hostconfig.script import Script, compile_script
from hybrid_drivers.sandbox.machines import cgroups, make_machines
from hybrid_drivers.sandbox.machines.nspawn import NspawnMachines, why_not

PARAMETERS = {"opennebula_repository_enabled": "no"}
GOALS = (("first", "wall", 5.0), ("second", "wall", 20.0), ("first", "cpu", 20.0), ("second", "cpu", 20.0))
GOALS_AT = 16  # hosts
INSTALL = "install packages"  # how that step is called by both
PYTHON_APT = ("python3-apt",)  # Ansible's apt module needs it; providers' images have it
INSTALLING = "DEBIAN_FRONTEND=noninteractive apt-get -qqy --no-install-recommends install"
MOST_SHOWN = 15  # steps, the slowest


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of an engine over all hosts of a size; ``steps``: seconds of each step on each host."""

    hosts: int
    engine: str
    run: str
    wall: float
    cpu: float
    machines_cpu: float
    changed: int
    steps: Mapping[str, Sequence[float]] = field(repr=False)

    @property
    def installing(self) -> float:
        """Return the seconds until the last host had installed its packages."""
        return sum(max(took) for name, took in self.steps.items() if name.lower().endswith(INSTALL))


@dataclass(frozen=True)
class Yard:
    """Machines of one size, and how to reach them."""

    machines: NspawnMachines
    targets: Sequence[SshTarget]
    names: Sequence[str]

    def cpu_seconds(self) -> float:
        """Return what the machines have used so far."""
        return sum(_group_cpu(self.machines.machine(name).name) for name in self.names)


def _group_cpu(name: str) -> float:
    for folder in cgroups.folders(name):
        if (usage := folder / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        if (stat := folder / "cpu.stat").exists() and "usage_usec" in (text := stat.read_text()):
            return int(text.split("usage_usec ")[1].split()[0]) / 1e6
    return 0.0


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextmanager
def yard(folder: Path, identity: Identity, count: int, packages: Sequence[str]) -> Iterator[Yard]:
    """Start ``count`` new machines, with ``packages`` installed, and wait until all of them answer and are at rest."""
    machines = make_machines("nspawn", folder, extra_packages=[one for one in packages if one in PYTHON_APT])
    assert isinstance(machines, NspawnMachines)
    try:
        names = [f"bench-{count}-{number}" for number in range(count)]
        targets = []
        for name in names:
            address = machines.prepare(name, name, identity.user_data).public_v4
            machines.power_on(name)
            targets.append(SshTarget(address, 22, "root", identity.private_key, (identity.host_key,)))
        for target in targets:
            ssh_banner(target.address, limit=240)
        if packages:
            on_all(targets, lambda target: say(target, f"{INSTALLING} {' '.join(packages)} >/dev/null"))
        on_all(targets, lambda target: say(target, "systemctl is-system-running --wait >/dev/null || true"))
        yield Yard(machines, targets, names)
    finally:
        machines.close()


def on_all(targets: Sequence[SshTarget], what: Callable[[SshTarget], RunReport | None]) -> list[RunReport | None]:
    """Do something on all hosts at once, in threads of this process, as the agent does."""
    pool = ThreadPoolExecutor(len(targets))
    try:
        return list(pool.map(what, targets))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an error the machines go first, which ends the rest


def say(target: SshTarget, command: str) -> None:
    with connect(target, timeout=120) as session:
        result = session.run(command, timeout=1800)
    if result.code != 0:
        raise RuntimeError(f"{target.address}: {command}: {result.stderr}")


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    script: Script
    identity: Identity
    folder: Path
    limit: float
    prepared: Sequence[str]  # packages that new machines have already
    show: Callable[[Row], None]

    def ours(self, count: int) -> list[Row]:
        """Run our engine twice on new machines."""
        with yard(self.folder / f"ours-{count}", self.identity, count, self.prepared) as there:
            return [self._row(there, "ours", run, lambda: self._configure(there)) for run in ("first", "second")]

    def ansible(self, count: int, forks: int) -> list[Row]:
        """Run Ansible twice on new machines, and have ours check what it left."""
        name = f"ansible/{forks}"
        with yard(self.folder / f"a{forks}-{count}", self.identity, count, self.prepared) as there:
            folder = self.folder / f"f{forks}-{count}"
            call = engine.prepare(folder, there.targets, self.script, (self.identity.host_key,), forks)
            rows = [self._row(there, name, run, lambda: self._play(call)) for run in ("first", "second")]
            self._compare(there.targets[0])
            return rows

    def _configure(self, there: Yard) -> tuple[int, Mapping[str, Sequence[float]]]:
        def one(target: SshTarget) -> RunReport:
            with connect(target, timeout=120) as session:
                return session.run_script(self.script, lambda _: None, timeout=self.limit)

        reports = [report for report in on_all(there.targets, one) if report]
        steps: dict[str, list[float]] = defaultdict(list)
        for step in (step for report in reports for step in report.steps):
            steps[f"{step.role}: {step.name}"].append(step.seconds)
        return sum(len(report.changed) for report in reports), steps

    def _play(self, call: Call) -> tuple[int, Mapping[str, Sequence[float]]]:
        outcome = engine.run(call, timeout=self.limit)
        return outcome.counts["changed"], outcome.seconds

    def _row(
        self, there: Yard, name: str, run: str, work: Callable[[], tuple[int, Mapping[str, Sequence[float]]]]
    ) -> Row:
        theirs, cpu, began = there.cpu_seconds(), cpu_seconds(), time.monotonic()
        changed, steps = work()
        row = Row(
            hosts=len(there.targets),
            engine=name,
            run=run,
            wall=time.monotonic() - began,
            cpu=cpu_seconds() - cpu,
            machines_cpu=there.cpu_seconds() - theirs,
            changed=changed,
            steps=steps,
        )
        self.show(row)
        return row

    def _compare(self, target: SshTarget) -> None:
        with connect(target, timeout=120) as session:
            engine.take_notes(session)
            report = session.run_script(self.script, lambda _: None, check_only=True, timeout=self.limit)
        differing = ", ".join(step.name for step in report.changed) or "nothing"
        print(f"       after Ansible our check of {len(report.steps)} steps finds different: {differing}", flush=True)


def show_row(row: Row) -> None:
    print(
        f"{row.hosts:>5}  {row.engine:<10} {row.run:<6} {row.wall:>8.2f} {row.cpu:>8.2f} {row.machines_cpu:>9.1f} "
        f"{row.changed:>8}",
        flush=True,
    )


def show_steps(row: Row) -> None:
    """Print the slowest steps: the median over the hosts."""
    medians = sorted(((statistics.median(took), name) for name, took in row.steps.items()), reverse=True)
    rest = sum(median for median, _ in medians[MOST_SHOWN:])
    for median, name in medians[:MOST_SHOWN]:
        print(f"       {median:>8.2f}  {name}")
    print(f"       {rest:>8.2f}  {max(0, len(medians) - MOST_SHOWN)} others", flush=True)


def show_ratios(rows: Sequence[Row]) -> None:
    """Print how many times less ours took, and at the size the goals are for, whether they are reached."""
    ours = {row.run: row for row in rows if row.engine == "ours"}
    for row in (row for row in rows if row.engine != "ours"):
        for run, what, goal in GOALS:
            if row.run != run:
                continue
            ratio = getattr(row, what) / getattr(ours[run], what)
            verdict = (
                f"goal {goal:.0f}: {'reached' if ratio >= goal else 'NOT reached'}" if row.hosts == GOALS_AT else ""
            )
            name = "times faster" if what == "wall" else "times less CPU of the controller"
            print(f"       {row.hosts} hosts, {run} run: {ratio:.1f} {name} than {row.engine}  {verdict}", flush=True)
        if row.run == "first":
            apart = (row.wall - row.installing) / (ours["first"].wall - ours["first"].installing)
            print(f"       {row.hosts} hosts, first run, apart from installing packages: {apart:.1f} times faster")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="1,4,16", help="sizes, default %(default)s")
    parser.add_argument("--against", choices=["ansible"], help="another engine to compare with")
    parser.add_argument("--forks", default="5,50", help="of Ansible, default %(default)s")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one run, default %(default)s")
    parser.add_argument("--installed", action="store_true", help="machines whose packages are installed already")
    parser.add_argument("--steps", action="store_true", help="print what the steps took")
    options = parser.parse_args()
    reason = why_not() or ("ansible-core is not installed" if options.against and not engine.program() else "")
    if reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the machines are removed

    def show(row: Row) -> None:
        show_row(row)
        if options.steps:
            show_steps(row)

    print("hosts  engine     run      wall s    CPU s  machines  changed")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        identity = make_identity(Path(folder))
        script = compile_script(["default"], PARAMETERS, Facts(oneadmin_keys=(identity.host_key,)))
        prepared = (*(PYTHON_APT if options.against else ()), *(DEBIAN_KVM if options.installed else ()))
        bench = Bench(script, identity, Path(folder), options.limit, prepared, show)
        for count in (int(size) for size in options.hosts.split(",")):
            run_size(bench, count, [int(n) for n in options.forks.split(",")] if options.against else [])
    return 0


def run_size(bench: Bench, count: int, forks: Sequence[int]) -> None:
    """Run all engines with ``count`` hosts. More forks than hosts change nothing: then only the fewest are tried."""
    rows = bench.ours(count)
    for number in sorted(forks)[: 1 if count <= min(forks, default=0) else None]:
        rows += bench.ansible(count, number)
    show_ratios(rows)


if __name__ == "__main__":
    sys.exit(main())
