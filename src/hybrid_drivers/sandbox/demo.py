"""``make demo``: the main job from one end to the other, on this computer, with nothing rented.

A front-end stand-in, a packet simulator and machines with SSH servers; hosts are created as ``onehost create`` does,
watched until they have capacity, taken offline and back, and deleted again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hybrid_drivers.errors import HybridError
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.model import Host, HostState
from hybrid_drivers.sandbox.lab import ENTRIES, Lab, LabOptions

READY_LIMIT = 1800.0  # seconds; eight real machines on two cores take a few minutes
STATES = {HostState.INIT: "init", HostState.MONITORED: "on", HostState.ERROR: "err", HostState.OFFLINE: "off"}


class Demo:
    """One run of the show."""

    def __init__(self, lab: Lab, console: Console, began: float) -> None:
        self._lab = lab
        self._console = console
        self._began = began
        self._named: dict[int, str] = {}

    def run(self, hosts: int) -> bool:
        """Run it; tell whether everything ended as it should."""
        self._hosts("before")
        names = "edge1" if hosts == 1 else f"edge1 ... edge{hosts}"
        self.say(f"onehost create {names} -i provision -v kvm -c edge")
        self._named = {self._lab.create(f"edge{number}"): f"edge{number}" for number in range(1, hosts + 1)}
        good = self._watch(self._ready)
        self._hosts("now")
        if good:
            self._prove()
            self._offline(next(iter(self._named)))
        self.say(f"onehost delete {names}")
        for host_id in self._named:
            self._lab.oned.delete_host(host_id)
        self._until_empty()
        self._hosts("after")
        left = len(self._lab.alive())
        self.say(f"machines left at the provider: {left}")
        return good and left == 0

    # --- what is shown ------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        self._console.print(
            f"[{time.monotonic() - self._began:6.1f} s] {text}", markup=False, highlight=False, soft_wrap=True
        )

    def _hosts(self, when: str) -> None:
        table = Table(title=f"onehost list, {when}", title_justify="left")
        for column in ("ID", "NAME", "CLUSTER", "TOTAL CPU", "TOTAL MEM", "STAT", "PROVISION"):
            table.add_column(column)
        for host in sorted(self._lab.oned.hosts(), key=lambda one: one.id):
            memory = f"{host.total_memory / 1024 / 1024:.1f}G"
            state = STATES.get(host.state, host.state.name.lower())
            told = host.template.text("PROVISION_STATE")
            table.add_row(str(host.id), host.name, "edge", str(host.total_cpu), memory, state, told)
        self._console.print(table)

    def _watch(self, done: Callable[[list[Host]], bool]) -> bool:
        """Show every host on its way until ``done``; on a terminal in place, otherwise a line a change."""
        until = time.monotonic() + READY_LIMIT
        seen: dict[int, str] = {}
        live = Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        with live or nullcontext():
            while time.monotonic() < until:
                hosts = sorted((one for one in self._lab.oned.hosts() if one.id in self._named), key=lambda one: one.id)
                if live is not None:
                    live.update(self._table(hosts), refresh=True)
                self._changes(hosts, seen, quiet=live is not None)
                if done(hosts):
                    return True
                time.sleep(0.2)
        self.say(f"not done within {READY_LIMIT:.0f} s")
        return False

    def _changes(self, hosts: list[Host], seen: dict[int, str], *, quiet: bool) -> None:
        for host in hosts:
            line = _line(host)
            if seen.get(host.id) != line:
                seen[host.id] = line
                if not quiet or host.total_cpu:
                    self.say(f"{self._named[host.id]:8} {line}")

    def _table(self, hosts: list[Host]) -> Table:
        table = Table(box=None)
        for host in hosts:
            table.add_row(f"{time.monotonic() - self._began:6.1f} s", self._named[host.id], _line(host))
        return table

    # --- the steps ----------------------------------------------------------------------------------------------

    def _ready(self, hosts: list[Host]) -> bool:
        return len(hosts) == len(self._named) and all(host.total_cpu > 0 for host in hosts)

    def _prove(self) -> None:
        """Ask a node itself, as oneadmin, what it has become."""
        if self._lab.options.machines != "nspawn":
            return
        for host_id, name in self._named.items():
            host = self._lab.host(host_id)
            target = SshTarget(
                address=host.name,
                port=self._lab.machines.ssh_port,
                user="oneadmin",
                private_key=_front_end_key(self._lab),
                host_keys=(host.template.text("PROVISION_HOST_KEY"),),
            )
            with connect(target, timeout=10) as session:
                command = "virsh -q -c qemu:///system version | grep Running; ip -brief address show br0"
                told = session.run(command, timeout=30)
            lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
            self.say(f"{name:8} oneadmin@{host.name}: {' | '.join(lines)}")

    def _offline(self, host_id: int) -> None:
        name = self._named[host_id]
        self.say(f"onehost offline {name}: monitoring stops, the machine stays")
        self._lab.oned.set_host_status(host_id, "offline")
        self._lab.wait(lambda: self._lab.host(host_id).state is HostState.OFFLINE)
        self.say(f"machines at the provider: {len(self._lab.alive())}; onehost enable {name}")
        self._lab.oned.set_host_status(host_id, "enable")
        self._lab.wait(lambda: self._lab.host(host_id).total_cpu > 0, 120)
        self.say(f"{name} is monitored again")

    def _until_empty(self) -> None:
        try:
            self._lab.wait_empty(120)
        except TimeoutError as exc:
            self.say(str(exc))


def _line(host: Host) -> str:
    template = host.template
    if host.total_cpu:
        memory = host.total_memory // 1024
        return f"READY        {host.name}: {host.total_cpu // 100} cores, {memory} MiB"
    state, step = template.text("PROVISION_STATE") or "-", template.text("PROVISION_STEP")
    return f"{state:12} {step or template.text('PROVISION_ERROR')}".rstrip()


def _front_end_key(lab: Lab) -> Path:
    return lab.location.state / "ssh/id_ed25519"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hybrid_drivers.sandbox demo", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1, help="how many hosts (default 1)")
    parser.add_argument("--machines", choices=("auto", "nspawn", "light"), default="auto")
    options = parser.parse_args(argv)
    if options.hosts < 1:
        parser.error("--hosts must be at least 1")
    kind = options.machines
    if kind == "auto":
        kind = "nspawn" if os.geteuid() == 0 else "light"
    logging.basicConfig(level=logging.WARNING)
    return _run(kind, options.hosts)


def _run(kind: str, hosts: int) -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()
    if kind == "nspawn":
        console.print("real machines: systemd-nspawn, each with its own systemd, sshd and network", highlight=False)
        console.print("(the first run builds their image, about a minute)", highlight=False)
    else:
        console.print("light machines: an SSH server each, which plays a node (root gets real ones)", highlight=False)
    with Lab(LabOptions(machines=kind, step_delay=0.2)) as lab:
        demo = Demo(lab, console, began)
        demo.say(f"front-end stand-in at {lab.frontend.endpoint}, packet simulator at {lab.simulator.url}")
        demo.say(f"provider entry {ENTRIES['packet']}, named by PROVISION of cluster edge")
        try:
            good = demo.run(hosts)
        except (HybridError, TimeoutError) as exc:
            demo.say(f"failed: {exc}")
            good = False
        if not good:
            console.print(lab.log()[-4000:], markup=False, highlight=False)
    return 0 if good else 1
