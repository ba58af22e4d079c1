"""What is tried in the crash matrix: people's wishes, one after another, and how to see that each came true.

A flow runs again and again in one laboratory. Its ``steps`` are done by a patient person: the next wish only when the
one before has come true, and where oned says that something failed (its own driver call died with the agent), they
clear up and ask again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.growing_site import RUNNING, end, growing_lab, grown, set_policy, start_vm, state, wait_running
from tests.support.hybrid_vms import Guests
from tests.support.lab import AGENT, own_machines, provider_of, quick_lab, rent
from tests.support.ranges import PLACES
from tests.support.somebody import Somebody, machine_of

from hybrid_drivers.errors import NoSuchObject, OnedError
from hybrid_drivers.model import Host, HostState, MachineTags, Template
from hybrid_drivers.model_addresses import AddressTags, ReserveRequest
from hybrid_drivers.providers.base import PublicAddresses
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.packet_api import PacketSimulator

OWN = 3  # machines of the static provider


@dataclass
class Site:
    """A laboratory with one provider, and what a flow keeps there between its steps."""

    lab: Lab
    driver: str
    kept: dict[str, int] = field(default_factory=dict)
    guests: Guests | None = None
    machine: str = ""
    command: subprocess.Popen[bytes] | None = None

    def alive(self) -> list[str]:
        """Return the ids of the machines that are rented now."""
        if self.driver != "static":
            return [str(one["id"]) for one in self.lab.alive()]
        book = self.lab.location.state / "static-own.json"
        return [str(one["id"]) for one in json.loads(book.read_text())["machines"]] if book.exists() else []

    def made(self) -> int:
        """Return how many machines were ever rented; of one's own machines nobody counts that."""
        return len(self.alive()) if self.driver == "static" else self.lab.made()

    def blocks(self) -> list[str]:
        """Return the ids of the address blocks that are reserved now."""
        if self.driver == "static":
            return []
        return [str(one["id"]) for one in self.lab.simulator.blocks if one["kind"] != "public_ipv6"]

    def host(self, host_id: int) -> Host | None:
        """Return a host, None when it is gone."""
        try:
            return self.lab.oned.host(host_id)
        except NoSuchObject:
            return None

    def ready(self, host_id: int) -> bool:
        """Tell whether a host is READY, with capacity, and its machine is rented."""
        host = self.host(host_id)
        if host is None or host.template.text("PROVISION_STATE") != "READY" or not host.total_cpu:
            return False
        return host.template.vector("PROVISION").get("DEPLOY_ID") in self.alive()

    def nothing_left(self) -> bool:
        """Tell whether the provider has nothing of ours, and the agent nothing more to give back."""
        departures = self.lab.location.state / "departures"
        return not self.alive() and not self.blocks() and not list(departures.glob("*.json"))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One wish: ``ask`` once, then ``came`` is asked until it is true; it may ask again for what oned says failed."""

    ask: Callable[[Site], object]
    came: Callable[[Site], bool]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A row of wishes; ``rents``: how many machines they take, ``patience``: seconds a restarted agent gets for one.

    ``policy``: the cluster grows with it. ``prepare`` is done once for each laboratory, ``between`` before each turn,
    ``after`` behind it: people give back what they made.
    """

    name: str
    steps: Sequence[Step]
    rents: int
    patience: float = 40.0
    drivers: Sequence[str] = ("packet", "ec2", "static")
    agent: Mapping[str, object] = field(default_factory=dict)
    playbook: str = "dummy"
    provision: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, str] | None = None
    knobs: Mapping[str, object] = field(default_factory=dict)
    prepare: Callable[[Site], object] = lambda site: None
    between: Callable[[Site], object] = lambda site: None
    after: Callable[[Site], object] = lambda site: None


@contextmanager
def site(flow: Flow, driver: str) -> Iterator[Site]:
    """Yield a laboratory that is ready for turns of ``flow``."""
    base = "packet" if driver == "static" else driver
    told = {"PLAYBOOK": flow.playbook, **flow.provision}
    more: dict[str, Any] = {"agent": {**AGENT, **flow.agent}, "provision": told, "step_delay": 0.01, **flow.knobs}
    kind = quick_lab(base, **more) if flow.policy is None else growing_lab(base, flow.policy, **more)
    with kind as lab:
        made = Site(lab, driver)
        if driver == "static":
            own_machines(lab, "own", OWN)
            lab.oned.update_cluster(lab.cluster_id, Template([("PROVISION", {"PROVIDER": "own", **told})]))
        flow.prepare(made)
        yield made


# --- hosts ------------------------------------------------------------------------------------------------------------


def _create(key: str) -> Step:
    def ask(here: Site) -> None:
        here.kept[key] = here.lab.create(key)

    return Step(ask=ask, came=lambda here: here.ready(here.kept[key]))


def _delete(key: str) -> Step:
    return Step(
        ask=lambda here: here.lab.oned.delete_host(here.kept[key]),
        came=lambda here: here.host(here.kept[key]) is None and not _rented_for(here, key),
    )


def _rented_for(here: Site, key: str) -> bool:
    """Tell whether more is rented than the hosts that are left have."""
    return len(here.alive()) > len([one for one in here.lab.oned.hosts() if one.im_mad == "provision"])


def _drop_hosts(here: Site) -> None:
    for host in here.lab.oned.hosts():
        if host.im_mad == "provision":
            here.lab.oned.delete_host(host.id)


def _ready(key: str) -> Callable[[Site], None]:
    def prepare(here: Site) -> None:
        here.kept[key] = here.lab.create(key)
        here.lab.wait(lambda: here.ready(here.kept[key]))

    return prepare


# --- public addresses -------------------------------------------------------------------------------------------------


def _guests(here: Site) -> Guests:
    assert here.guests is not None  # the flow's preparation made them
    return here.guests


def _make_guests(here: Site) -> None:
    """Rent the host that the machines with addresses run on; the network that comes with it is taken away."""
    here.guests = Guests(here.lab, hosts=1, size=1)
    here.guests.networks.delete(here.guests.vnet)


def _make_network(here: Site) -> None:
    guests = _guests(here)
    pairs: list[tuple[str, Any]] = [("NAME", "public"), ("VN_MAD", "hybrid"), ("BRIDGE", "br0")]
    pairs.append(("AR", guests.networks.range(1)))
    guests.vnet = here.lab.objects.allocate("vnet", Template(pairs), cluster_id=here.lab.cluster_id)


def _network_ready(here: Site) -> bool:
    guests = _guests(here)
    state = guests.networks.get(guests.vnet).state
    if state == 5:  # ERROR: its driver's call died with the agent; people delete it and ask again
        guests.networks.delete(guests.vnet)
        _make_network(here)
    return state == 1 and len(here.blocks()) == 1


def _start_guest(here: Site) -> None:
    guests = _guests(here)
    here.kept["vm"] = guests.make()
    guests.vms.deploy(here.kept["vm"], guests.hosts[0])


def _guest_runs(here: Site) -> bool:
    guests, vm = _guests(here), here.kept["vm"]
    word = guests.word(vm)
    if word == "BOOT_FAILURE":
        guests.recover(vm, 2)  # retry
    return word == "RUNNING" and guests.where() == dict.fromkeys(guests.addresses(vm), 0)


def _guest_ended(here: Site) -> bool:
    guests, vm = _guests(here), here.kept["vm"]
    return guests.word(vm) == "DONE" and not guests.where() and not guests.networks.used(guests.vnet)


def _network_gone(here: Site) -> bool:
    guests = _guests(here)
    left = [one for one in here.lab.objects.pool("vnet") if one.id == guests.vnet]
    if left and left[0].state not in (1, 4):
        _delete_network(here)
    return not left and not here.blocks()


def _delete_network(here: Site) -> None:
    try:
        here.lab.objects.delete("vnet", _guests(here).vnet)
    except OnedError:  # refused while it is in between: asked again
        return


# --- growing ----------------------------------------------------------------------------------------------------------


def _ask_for_room(here: Site) -> None:
    here.kept["vm"] = start_vm(here.lab, "vm")


def _vm_runs(here: Site) -> bool:
    return state(here.lab, here.kept["vm"]) == RUNNING


def _end_vm(here: Site) -> None:
    end(here.lab, here.kept["vm"])


def _grown_gone(here: Site) -> bool:
    return not grown(here.lab) and here.nothing_left()


def _two_little_used(here: Site) -> None:
    """Have two hosts with a VM each, which would fit on one."""
    lab = here.lab
    set_policy(lab, SHRINK_AFTER="3600", MAX_ORDERS_HOUR="10000")
    fillers, kept = [], []
    for name in ("first", "second"):
        fillers.append(start_vm(lab, f"{name}-filler", cpu=5))
        kept.append(start_vm(lab, name, cpu=3))
        wait_running(lab, fillers[-1], kept[-1])
    end(lab, *fillers)
    here.kept["first"], here.kept["second"] = kept


def _consolidate(here: Site) -> None:
    quick = {"CONSOLIDATE": "yes", "CONSOLIDATE_AFTER": "0.5", "CONSOLIDATE_BELOW": "40"}
    set_policy(here.lab, SHRINK_AFTER="3600", MAX_ORDERS_HOUR="10000", MAX_MOVES_HOUR="10000", **quick)


def _on_one_host(here: Site) -> bool:
    both = [here.kept["first"], here.kept["second"]]
    return len(grown(here.lab)) == len(here.alive()) == 1 and all(state(here.lab, one) == RUNNING for one in both)


def _end_both(here: Site) -> None:
    set_policy(here.lab, MAX_ORDERS_HOUR="10000")
    end(here.lab, here.kept["first"], here.kept["second"])
    here.lab.wait(lambda: _grown_gone(here))


def _spot_vm_runs(here: Site) -> bool:
    return _vm_runs(here) and bool(grown(here.lab)[0].template.text("SPOT"))


def _take_back(here: Site) -> None:
    (host,) = grown(here.lab)
    here.kept["host"] = host.id
    simulator = here.lab.simulator
    assert isinstance(simulator, (Ec2Simulator, PacketSimulator))
    simulator.knobs.change({"spot_notice": 6})
    simulator.interrupt(machine_of(host))


def _goes_on_elsewhere(here: Site) -> bool:
    return here.host(here.kept["host"]) is None and _vm_runs(here) and len(here.alive()) == 1


# --- behind our back --------------------------------------------------------------------------------------------------


def _stop_machine(here: Site) -> None:
    here.machine = machine_of(here.lab.oned.host(here.kept["edge1"]))
    Somebody(here.lab).stop(here.machine)


def _end_machine(here: Site) -> None:
    here.machine = machine_of(here.lab.oned.host(here.kept["edge1"]))
    Somebody(here.lab).end(here.machine)


def _runs_again(here: Site) -> bool:
    host = here.lab.oned.host(here.kept["edge1"])
    switched = machine_of(host) == here.machine and host.template.text("PROVISION_SWITCHED_ON") != ""
    return switched and here.ready(host.id)


def _has_another(here: Site) -> bool:
    return here.ready(here.kept["edge1"]) and machine_of(here.lab.oned.host(here.kept["edge1"])) != here.machine


# --- troubles, what people ask for, what nobody has any more ---------------------------------------------------------


def _somebody_else(here: Site) -> None:
    rent(here.lab, MachineTags(owner="somebody else", host_id=1, token="theirs"))


def _create_over_quota(here: Site) -> None:
    here.lab.simulator.knobs.quota = len(here.alive())
    here.kept["edge1"] = here.lab.create("edge1")


def _failed(here: Site) -> bool:
    host = here.host(here.kept["edge1"])
    return host is not None and host.state is HostState.ERROR and host.template.text("PROVISION_STATE") == "ERROR"


def _mend_and_enable(here: Site) -> None:
    here.lab.simulator.knobs.quota = 0
    here.lab.oned.set_host_status(here.kept["edge1"], "enable")


def _configure_again(here: Site) -> None:
    """Ask for a run; the command ends with an error when the agent dies, and is given again then."""
    command = ["onehybrid", "configure", str(here.kept["edge1"])]
    environment = {**here.lab.frontend.environment, "LANG": "C.UTF-8"}
    quiet = subprocess.DEVNULL
    here.command = subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)


def _configured(here: Site) -> bool:
    if here.command is None or here.command.poll() is None:
        return False
    if here.command.returncode:
        _configure_again(here)
        return False
    return here.ready(here.kept["edge1"])


def _leave_things_behind(here: Site) -> None:
    """Have a machine and an address that no host and no network names, as a deleted database would leave them.

    Addresses are looked for once an hour where nothing is known to be left behind, so people ask for a sweep.
    """
    owner, number = here.lab.oned.zone().text("HYBRID_OWNER"), len(here.lab.simulator.machines)
    rent(here.lab, MachineTags(owner=owner, host_id=9999, token=f"left-{number}"))
    addresses = provider_of(here.lab)
    assert isinstance(addresses, PublicAddresses)
    tags = AddressTags(owner=owner, token=f"left-{number}")
    place = PLACES[here.driver]
    addresses.reserve(ReserveRequest(tags=tags, family=4, size=1, attributes=place))
    here.kept["gc"] = here.lab.run("onehybrid", "gc").returncode


def _collected(here: Site) -> bool:
    if here.kept["gc"] == 1:  # not done: the agent was killed, or somebody could not be asked
        here.kept["gc"] = here.lab.run("onehybrid", "gc").returncode
    return here.nothing_left()


FLOWS: Sequence[Flow] = (
    Flow(name="create", steps=(_create("edge1"),), rents=1, after=_drop_hosts),
    Flow(name="delete", steps=(_delete("edge1"),), rents=0, between=_ready("edge1"), after=_drop_hosts),
    Flow(
        name="scale",
        steps=(_create("edge2"), _delete("edge1")),
        rents=1,
        playbook="static_vxlan",
        between=_ready("edge1"),
        after=_drop_hosts,
    ),
    Flow(
        name="address",
        steps=(
            Step(ask=_make_network, came=_network_ready),
            Step(ask=_start_guest, came=_guest_runs),
            Step(ask=lambda here: _guests(here).end(here.kept["vm"]), came=_guest_ended),
            Step(ask=_delete_network, came=_network_gone),
        ),
        rents=0,
        drivers=("packet", "ec2"),
        prepare=_make_guests,
    ),
    Flow(
        name="growth",
        steps=(Step(ask=_ask_for_room, came=_vm_runs), Step(ask=_end_vm, came=_grown_gone)),
        rents=1,
        drivers=("packet", "ec2"),
        policy={"MAX_ORDERS_HOUR": "10000"},
    ),
    Flow(
        name="consolidation",
        patience=200.0,  # a move that was written down and may have been done is tried again after two minutes
        steps=(Step(ask=_consolidate, came=_on_one_host),),
        rents=0,
        drivers=("packet",),
        policy={"MAX_ORDERS_HOUR": "10000"},
        prepare=lambda here: here.lab.frontend.set_knobs({"vm_seconds": 0.3}),
        between=_two_little_used,
        after=_end_both,
    ),
    Flow(
        name="spot",
        steps=(
            Step(ask=_ask_for_room, came=_spot_vm_runs),
            Step(ask=_take_back, came=_goes_on_elsewhere),
            Step(ask=_end_vm, came=_grown_gone),
        ),
        rents=2,
        drivers=("packet", "ec2"),
        agent={"interruptions": 0.3},
        policy={"MAX_ORDERS_HOUR": "10000", "SPOT": "yes", "SPOT_MAX_PRICE": "1.2", "SOLD_OUT_FOR": "1"},
        knobs={"spot_price": "*@*=0.4"},
    ),
    Flow(
        name="trouble",
        steps=(
            Step(ask=_create_over_quota, came=_failed),
            Step(ask=_mend_and_enable, came=lambda here: here.ready(here.kept["edge1"])),
        ),
        rents=1,
        drivers=("packet", "ec2"),
        prepare=_somebody_else,
        after=_drop_hosts,
    ),
    Flow(
        name="stopped",
        steps=(Step(ask=_stop_machine, came=_runs_again),),
        rents=0,
        drivers=("packet", "ec2"),
        provision={"WHEN_STOPPED": "power-on"},
        between=_ready("edge1"),  # another each time: a machine is switched on three times an hour
        after=_drop_hosts,
    ),
    Flow(
        name="lost",
        steps=(Step(ask=_end_machine, came=_has_another),),
        rents=1,
        drivers=("packet", "ec2"),
        provision={"WHEN_LOST": "replace"},
        between=_ready("edge1"),
        after=_drop_hosts,
    ),
    Flow(
        name="replaced",
        steps=(Step(ask=_stop_machine, came=_has_another),),
        rents=1,
        drivers=("packet", "ec2"),
        provision={"WHEN_STOPPED": "replace"},
        between=_ready("edge1"),
        after=_drop_hosts,
    ),
    Flow(
        name="configure",
        steps=(Step(ask=_configure_again, came=_configured),),
        rents=0,
        playbook="default",
        prepare=_ready("edge1"),
    ),
    Flow(
        name="collect",
        steps=(Step(ask=_leave_things_behind, came=_collected),),
        rents=1,
        drivers=("packet", "ec2"),
    ),
)
