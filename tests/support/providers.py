"""One laboratory a provider: the provider under test, and how to make trouble for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from hybrid_drivers.errors import (
    CapacityExhausted,
    CredentialsRejected,
    OutcomeUnknown,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    TransientError,
)
from hybrid_drivers.model import CreateRequest, MachineTags
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Provider, ProviderEntry, Setting
from hybrid_drivers.providers.ec2 import client as ec2_client
from hybrid_drivers.providers.packet import client as packet_client
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import make_machines
from hybrid_drivers.sandbox.packet_api import PacketSimulator
from hybrid_drivers.sandbox.simulator import Simulator
from hybrid_drivers.secret import Secret

OWNER = "0f3c9a52-7d1e-4b7f-9a55-3f1d2c4b5a69"
CANARY = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry77"  # must appear in no error and no log
USER_DATA = f"""#cloud-config
ssh_keys:
  ed25519_private: |
    -----BEGIN OPENSSH PRIVATE KEY-----
    {CANARY}
    -----END OPENSSH PRIVATE KEY-----
"""


class SwiftClock:
    """The real clock, but sleeping only moves it: waits cost nothing, and ``slept`` tells them."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        return time.time() + self._ahead

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds
            self.slept.append(seconds)


class FakeClock:
    """A clock that stands still but for its sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(seconds)


@dataclass
class Lab:
    """A provider, and what a test needs to know of it.

    ``troubles`` are what can be made to go wrong for a create: name -> (how to begin it, what must be raised).
    ``stranger`` makes the same provider with credentials that nobody knows.
    """

    provider: Provider
    attributes: Mapping[str, str]
    unknown_id: str
    troubles: Mapping[str, tuple[Callable[[], None], type[ProviderError]]] = field(default_factory=dict)
    lose_next_reply: Callable[[], None] | None = None
    stranger: Callable[[], Provider] | None = None
    unreachable: Callable[[], Provider] | None = None
    small_pages: Callable[[pytest.MonkeyPatch], None] | None = None
    capacity: int = 100
    spot: Mapping[str, str] = field(default_factory=dict)  # attributes of a spot machine, where there are any
    market: Simulator | None = None  # whose knobs are the spot market


def entry(
    driver: str, settings: Mapping[str, Setting], limits: Mapping[str, float] = MappingProxyType({})
) -> ProviderEntry:
    return ProviderEntry(
        name=f"{driver}-lab", driver=driver, settings=settings, limits=limits, source=f"file {driver}-lab.yaml"
    )


def request(
    lab: Lab, token: str = "token-1", host_id: int = 7, owner: str = OWNER, name: str = "edge1"
) -> CreateRequest:
    return CreateRequest(
        token=token,
        tags=MachineTags(owner=owner, host_id=host_id, token=token, name=name),
        hostname="edge1",
        placement=lab.provider.placements(lab.attributes)[0],
        attributes=lab.attributes,
        user_data=USER_DATA,
    )


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait in small steps for what a simulator does in its own threads."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the simulator did not get there"
        time.sleep(0.01)


def swift_knobs() -> Knobs:
    knobs = Knobs()
    knobs.change({"queued": 0, "provisioning": 0, "booting": 0, "starting": 0, "stopping": 0, "slow_delete": 0})
    return knobs


def _refusing(knobs: Knobs, status: int) -> Callable[[], None]:
    return lambda: knobs.change({"error_rate": 1, "error_status": status})


@contextlib.contextmanager
def packet_lab(tmp_path: Path, *, gone_is_403: bool = False) -> Iterator[Lab]:
    knobs = swift_knobs()
    knobs.change({"gone_is_403": gone_is_403})
    simulator = PacketSimulator(make_machines("none", tmp_path / "machines"), knobs, token=CANARY)
    simulator.start()

    def provider(endpoint: str = simulator.url, token: str = CANARY) -> Provider:
        settings: dict[str, Setting] = {
            "endpoint": endpoint,
            "token": Secret(token),
            "project": simulator.project,
            "burst": 1000,
        }
        return registry.make_provider(entry("packet", settings), SwiftClock(), state_dir=tmp_path)

    try:
        yield Lab(
            provider=provider(f"{simulator.url}/metal/v1"),
            attributes={"PLAN": "c3.small.x86,m3.small.x86", "METRO": "am,da", "OS": "debian_12", "PROVISION_ID": "3"},
            unknown_id="0b5c9f6e-0000-4000-8000-00000000dead",
            troubles={
                "capacity": (lambda: knobs.change({"capacity": "c3.small.x86@am=0"}), CapacityExhausted),
                "quota": (lambda: _fill_quota(knobs), QuotaExceeded),
                "throttled": (_refusing(knobs, 429), RateLimited),
                "broken": (_refusing(knobs, 500), OutcomeUnknown),
                "unavailable": (_refusing(knobs, 503), OutcomeUnknown),
            },
            lose_next_reply=lambda: knobs.change({"lost_reply": 1}),
            stranger=lambda: provider(token="nobody-knows-this-token"),
            unreachable=lambda: provider("http://127.0.0.1:9/metal/v1"),
            small_pages=lambda patch: patch.setattr(packet_client, "PAGE", 5),
            spot={"SPOT_INSTANCE": "YES", "SPOT_PRICE_MAX": "0.5"},
            market=simulator,
        )
    finally:
        simulator.stop()


@contextlib.contextmanager
def ec2_lab(tmp_path: Path) -> Iterator[Lab]:
    knobs = swift_knobs()
    simulator = Ec2Simulator(make_machines("none", tmp_path / "machines"), knobs, secret_access_key=CANARY)
    simulator.start()

    def provider(endpoint: str = simulator.url, secret: str = CANARY) -> Provider:
        settings: dict[str, Setting] = {
            "endpoint": endpoint,
            "region": simulator.region,
            "access_key": Secret(simulator.access_key_id),
            "secret_key": Secret(secret),
        }
        return registry.make_provider(entry("ec2", settings), SwiftClock(), state_dir=tmp_path)

    try:
        yield Lab(
            provider=provider(),
            attributes={
                "AMI": simulator.image,
                "PLAN": "c5.metal,m5.metal",
                "SECURITYGROUPIDS": "sg-1,sg-2",
                "WAIT": "NO",
            },
            unknown_id="i-0000000000000dead",
            troubles={
                "capacity": (lambda: knobs.change({"capacity": "c5.metal@*=0"}), CapacityExhausted),
                "quota": (lambda: _fill_quota(knobs), QuotaExceeded),
                "throttled": (_refusing(knobs, 429), RateLimited),
                "broken": (_refusing(knobs, 500), OutcomeUnknown),
                "unavailable": (_refusing(knobs, 503), OutcomeUnknown),
            },
            lose_next_reply=lambda: knobs.change({"lost_reply": 1}),
            stranger=lambda: provider(secret="nobody-knows-this-secret"),
            unreachable=lambda: provider("http://127.0.0.1:9"),
            small_pages=lambda patch: patch.setattr(ec2_client, "PAGE", 5),
            spot={"SPOT_INSTANCE": "YES", "SPOT_PRICE_MAX": "0.5"},
            market=simulator,
        )
    finally:
        simulator.stop()


def _fill_quota(knobs: Knobs) -> None:
    knobs.change({"quota": 1})


@contextlib.contextmanager
def dummy_lab(tmp_path: Path, *, state: str = "") -> Iterator[Lab]:
    settings: dict[str, Setting] = {"state": state, "sold_out": ()}

    def begin(kind: str) -> Callable[[], None]:
        return lambda: settings.update(fail=kind)

    def lose() -> None:
        lab.provider = registry.make_provider(
            entry("dummy", {**settings, "fail": "lost", "fail_times": 1, "state": "lost.json"}),
            SwiftClock(),
            state_dir=tmp_path,
        )

    lab = Lab(
        provider=registry.make_provider(entry("dummy", settings), SwiftClock(), state_dir=tmp_path),
        attributes={"PLAN": "big,small", "METRO": "here"},
        unknown_id="dummy-000000000000",
        troubles={
            "capacity": (begin("capacity"), CapacityExhausted),
            "quota": (begin("quota"), QuotaExceeded),
            "throttled": (begin("throttled"), RateLimited),
            "broken": (begin("transient"), TransientError),
            "credentials": (begin("credentials"), CredentialsRejected),
        },
        lose_next_reply=lose,
    )
    yield lab


@contextlib.contextmanager
def static_lab(tmp_path: Path) -> Iterator[Lab]:
    machines = tuple(f"203.0.113.{number}" for number in range(1, 13))
    settings: dict[str, Setting] = {"machines": machines, "trust_first_use": True}

    def take_all() -> None:
        other = Lab(provider=lab.provider, attributes={}, unknown_id="")
        with contextlib.suppress(CapacityExhausted):
            for number in range(len(machines)):
                lab.provider.create(request(other, token=f"else-{number}", owner="somebody-else"))

    lab = Lab(
        provider=registry.make_provider(entry("static", settings), SwiftClock(), state_dir=tmp_path),
        attributes={"OS": "debian_12"},
        unknown_id="203.0.113.1.00000000",
        troubles={"capacity": (take_all, CapacityExhausted)},
        capacity=len(machines),
    )
    yield lab


LABS: Mapping[str, Callable[[Path], contextlib.AbstractContextManager[Lab]]] = {
    "packet": packet_lab,
    "packet-gone-is-403": lambda path: packet_lab(path, gone_is_403=True),
    "ec2": ec2_lab,
    "dummy": dummy_lab,
    "dummy-in-file": lambda path: dummy_lab(path, state="dummy.json"),
    "static": static_lab,
}
