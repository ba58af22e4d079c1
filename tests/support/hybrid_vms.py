"""Virtual machines with public addresses on the rented hosts of a laboratory, as people start and move them."""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tests.support.lab import provider_of
from tests.support.ranges import ERROR, READY, Networks

from hybrid_drivers.model import Template
from hybrid_drivers.oned.vms import VmAction, Vms
from hybrid_drivers.providers.base import PublicAddresses
from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.vmm_exec import document
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.machines.light import LightMachines

ACTIVE, POWEROFF, DONE, RUNNING = 3, 8, 6, 3


class Guests:
    """Two hosts and a network of VN_MAD hybrid."""

    def __init__(self, lab: Lab, hosts: int = 2, size: int = 3) -> None:
        self.lab, self.networks, self.vms = lab, Networks(lab), Vms(lab.oned)
        lab.objects.add_to_cluster(lab.cluster_id, "datastore", 0)
        self.hosts = [lab.create(f"edge{number}") for number in range(hosts)]
        for one in self.hosts:
            lab.wait_ready(one)
        self.vnet = self.network("public", self.networks.range(size))

    def network(self, name: str, ar: Mapping[str, str]) -> int:
        """Make a network of VN_MAD hybrid and wait until it is ready."""
        pairs: list[tuple[str, Any]] = [("NAME", name), ("VN_MAD", "hybrid"), ("BRIDGE", "br0"), ("AR", dict(ar))]
        made = self.lab.objects.allocate("vnet", Template(pairs), cluster_id=self.lab.cluster_id)
        self.lab.wait(lambda: self.networks.get(made).state in (READY, ERROR))
        assert self.networks.get(made).state == READY, self.networks.problem(made)
        return made

    # --- what people do -------------------------------------------------------------------------------------------

    def make(self, *aliases: Mapping[str, str], vnet: int | None = None) -> int:
        """Make a machine that waits, with an address (and aliases beside)."""
        card = {"NETWORK_ID": str(self.vnet if vnet is None else vnet)}
        pairs: list[tuple[str, Any]] = [("CPU", "1"), ("MEMORY", "64"), ("NIC", card)]
        pairs += [("NIC_ALIAS", {**card, "PARENT": "NIC0", **one}) for one in aliases]
        return self.lab.objects.allocate("vm", Template(pairs))

    def deploy(self, vm: int, host: int) -> None:
        self.vms.deploy(vm, self.hosts[host])
        self.settled(vm)

    def start(self, host: int) -> int:
        """Make one and start it on the host with this number; return its id when it runs."""
        vm = self.make()
        self.deploy(vm, host)
        assert self.word(vm) == "RUNNING", self.error(vm)
        return vm

    def action(self, vm: int, name: VmAction) -> None:
        self.vms.action(vm, name)
        self.settled(vm)

    def end(self, vm: int) -> None:
        """Begin to terminate it."""
        self.vms.action(vm, "terminate")

    def move(self, vm: int, host: int, *, live: bool) -> None:
        self.vms.migrate(vm, self.hosts[host], live=live)
        self.settled(vm)

    def attach(self, vm: int, kind: str = "NIC", **more: str) -> None:
        template = Template([(kind, {"NETWORK_ID": str(self.vnet), **more})])
        self.lab.oned.write("vm.attachnic", f"vm {vm}", vm, template.render())
        self.settled(vm)

    def detach(self, vm: int, nic_id: int) -> None:
        self.lab.oned.write("vm.detachnic", f"vm {vm}", vm, nic_id)
        self.settled(vm)

    def recover(self, vm: int, operation: int) -> None:
        self.lab.oned.write("vm.recover", f"vm {vm}", vm, operation)
        self.settled(vm)

    # --- what is looked at ----------------------------------------------------------------------------------------

    def settled(self, vm: int) -> None:
        """Wait until oned's drivers have nothing to do with it."""
        self.lab.wait(lambda: self.is_settled(vm))

    def is_settled(self, vm: int) -> bool:
        still = {"RUNNING", "POWEROFF", "DONE", "PENDING", "BOOT_FAILURE", "BOOT_MIGRATE_FAILURE"}
        return self.word(vm) in still

    def word(self, vm: int) -> str:
        return self.lab.frontend.store.machines[vm].word

    def error(self, vm: int) -> str:
        return self.lab.frontend.store.machines[vm].user.text("ERROR")

    def addresses(self, vm: int) -> list[str]:
        """Return the public addresses of its cards."""
        ar = self.networks.ar(self.vnet)
        outside = [one for one in ar.get("EXTERNAL_IP", "").split(",") if one]
        first = ar["IP"]
        found = []
        for kind in ("NIC", "NIC_ALIAS"):
            for card in self.lab.frontend.store.machines[vm].vectors(kind):
                number = int(card["IP"].rpartition(".")[2]) - int(first.rpartition(".")[2])
                found.append(outside[number] if outside else card["IP"])
        return found

    def free_address(self, vm: int) -> tuple[str, str]:
        """Return a public address that the machine has not, and its block."""
        blocks = self.networks.blocks()
        found = [(one["network"].partition("/")[0], one["id"]) for one in blocks.values()]
        if self.networks.driver == "packet":  # one block of several
            first = ipaddress.IPv4Address(found[0][0])
            found = [(str(first + number), found[0][1]) for number in range(3)]
        return next(one for one in found if one[0] not in self.addresses(vm))

    def repeat(self, vm: int, action: str) -> int:
        """Run an executable for a machine again, as one_vmm_exec does; return its exit code."""
        machine = self.lab.frontend.store.machines[vm]
        host = machine.history[-1].host_name
        argv = [machine.deploy_id, host] if action == "post" else [host]
        return self.run(action, argv, document(machine).encode()).returncode

    def run(self, action: str, argv: Sequence[str], told: bytes) -> subprocess.CompletedProcess[bytes]:
        """Run an executable as OpenNebula's drivers do."""
        path = self.lab.frontend.location / f"var/remotes/vnm/hybrid/{action}"
        return subprocess.run(
            [str(path), *argv],
            env={**self.lab.frontend.environment, "LANG": "C"},
            input=base64.b64encode(told),
            capture_output=True,
            timeout=90,
            check=False,
        )

    def machine(self, host: int) -> str:
        """Return the provider's id of a host's machine."""
        return self.lab.host(self.hosts[host]).template.vector("PROVISION")["DEPLOY_ID"]

    def where(self) -> dict[str, int]:
        """Return which host each public address goes to."""
        numbers = {self.machine(number): number for number in range(len(self.hosts))}
        found: dict[str, int] = {}
        for one in self.lab.simulator.blocks:
            at = cast(Mapping[str, str], one["assigned"])
            found.update((address, numbers.get(machine, -1)) for address, machine in at.items())
        return found

    def assignment6(self, vnet: int, address: str) -> str:
        """Return the machine that an IPv6 address of a network goes to, empty when it goes nowhere."""
        provider = provider_of(self.lab)
        assert isinstance(provider, PublicAddresses)
        found = provider.assignment(address, self.networks.ar(vnet)["DEPLOY_ID6"])
        return found.machine_id if found else ""

    def runs(self) -> list[DriverRun]:
        """Return what network drivers were run for machines."""
        return [one for one in self.lab.frontend.events if one.executable.startswith("vnm/hybrid/")]

    def on_node(self, host: int) -> list[tuple[str, str]]:
        """Return what the node of a host was asked to do: program and document."""
        machines = self.lab.machines
        assert isinstance(machines, LightMachines)
        return machines.networks(self.machine(host))
