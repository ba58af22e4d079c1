"""A provider of each kind with its simulator, for tests of public addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, cast

from tests.support.providers import OWNER, SwiftClock, entry, swift_knobs, until

from hybrid_drivers.model import CreateRequest, MachineState, MachineTags
from hybrid_drivers.model_addresses import AddressTags, Block, ReserveRequest
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Provider, PublicAddresses, Setting
from hybrid_drivers.sandbox import ec2_catalogue
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PacketSimulator
from hybrid_drivers.secret import Secret

CANARY = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry99"
Simulator = Union[PacketSimulator, Ec2Simulator]
REFUSALS = (429, 500, 503)


@dataclass
class Bench:
    """A provider that has addresses: ``place`` are the attributes that say where, ``attributes`` of a machine there."""

    simulator: Simulator
    make: Callable[[str, str], Provider]
    place: Mapping[str, str]
    attributes: Mapping[str, str]
    unknown: str  # a block that never was

    def __post_init__(self) -> None:
        self.provider = self.make(self.simulator.url, CANARY)
        assert isinstance(self.provider, PublicAddresses)
        self.addresses: PublicAddresses = self.provider
        self._made = 0

    def machine(self) -> str:
        """Rent a machine and return its id when it runs."""
        self._made += 1
        tags = MachineTags(owner=OWNER, host_id=self._made, token=f"machine-{self._made}")
        placement = self.provider.placements(self.attributes)[0]
        made = self.provider.create(
            CreateRequest(token=tags.token, tags=tags, hostname="e", placement=placement, attributes=self.attributes)
        )
        until(lambda: self.provider.get(made.id).state is MachineState.RUNNING)
        return made.id

    def wish(self, size: int = 1, *, family: int = 4, token: str = "token-1", **more: Any) -> ReserveRequest:
        """Return a request."""
        tags = AddressTags(owner=more.pop("owner", OWNER), token=token, **more.pop("tags", {}))
        return ReserveRequest(tags=tags, family=family, size=size, attributes={**self.place, **more})

    def block(self, size: int = 1, **more: Any) -> Block:
        """Reserve a block."""
        return self.addresses.reserve(self.wish(size, **more))

    def blocks(self) -> dict[str, Any]:
        """Return what is reserved at the simulator, without what the provider gives to everybody."""
        return {str(one["id"]): one for one in self.simulator.blocks if one["kind"] != "public_ipv6"}

    def assigned(self) -> dict[str, str]:
        """Return where addresses go: address -> machine."""
        found: dict[str, str] = {}
        for one in self.simulator.blocks:
            found.update(cast(Mapping[str, str], one["assigned"]))
        return found


@contextlib.contextmanager
def packet_bench(tmp_path: Path, *, gone_is_403: bool = False) -> Iterator[Bench]:
    knobs = swift_knobs()
    knobs.change({"gone_is_403": gone_is_403})
    simulator = PacketSimulator(NoMachines(), knobs, token=CANARY)

    def make(endpoint: str, token: str) -> Provider:
        settings: dict[str, Setting] = {"endpoint": endpoint, "token": Secret(token), "project": simulator.project}
        return registry.make_provider(entry("packet", {**settings, "burst": 1000}), SwiftClock(), state_dir=tmp_path)

    simulator.start()
    try:
        machine = {"PLAN": "c3.small.x86", "METRO": "am", "OS": "debian_12"}
        yield Bench(simulator, make, {"METRO": "am"}, machine, "0b5c9f6e-0000-4000-8000-00000000dead")
    finally:
        simulator.stop()


@contextlib.contextmanager
def ec2_bench(tmp_path: Path) -> Iterator[Bench]:
    simulator = Ec2Simulator(NoMachines(), swift_knobs(), secret_access_key=CANARY)

    def make(endpoint: str, secret: str) -> Provider:
        settings: dict[str, Setting] = {
            "endpoint": endpoint,
            "region": simulator.region,
            "access_key": Secret(simulator.access_key_id),
            "secret_key": Secret(secret),
            "create_burst": 100,
        }
        return registry.make_provider(entry("ec2", settings), SwiftClock(), state_dir=tmp_path)

    subnet = ec2_catalogue.default_subnet(ec2_catalogue.zones(simulator.region)[0])
    simulator.start()
    try:
        machine = {"AMI": simulator.image, "PLAN": "c5.metal", "SUBNETID": subnet}
        yield Bench(simulator, make, {"SUBNETID": subnet}, machine, "eipalloc-0000000000000dead")
    finally:
        simulator.stop()


BENCHES: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[Bench]]] = {
    "packet": packet_bench,
    "packet-gone-is-403": lambda path: packet_bench(path, gone_is_403=True),
    "ec2": ec2_bench,
}
