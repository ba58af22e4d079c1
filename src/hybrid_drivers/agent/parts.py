"""What the agent is made of, handed to each of its pieces."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

from hybrid_drivers.agent.accounts import Accounts
from hybrid_drivers.agent.departures import Departure, Departures
from hybrid_drivers.agent.keys import FrontEndKeys
from hybrid_drivers.agent.owner import Owner
from hybrid_drivers.agent.peers import Peers
from hybrid_drivers.agent.reporter import Reporter
from hybrid_drivers.agent.settings import Settings
from hybrid_drivers.agent.upkeep import UpkeepMemory
from hybrid_drivers.agent.wishes import Wishes
from hybrid_drivers.clock import Clock
from hybrid_drivers.config import Location
from hybrid_drivers.oned.api import Oned


@dataclass
class HostMemory:
    """What this process knows of a host beyond oned and the provider; losing it costs time, never a machine.

    Times are unix seconds.
    """

    looked_from: float  # only provider answers asked for after this count
    called_at: float = float("-inf")  # when oned last called us for it
    own_tokens: set[str] = field(default_factory=set)  # of intents this process wrote
    uncertain_since: float | None = None  # this and the next on the clock that is never set: what follows costs money
    absent_since: float | None = None
    running_since: float | None = None
    stopped_since: float | None = None
    switch_problem: str = ""  # why its machine could not be switched on
    unreachable_since: float | None = None  # since when SSH does not answer
    left_init: bool = True  # the host has been in another state than INIT since its failure
    enabled: bool = False  # since its failure oned called us for the host in INIT: its answer ends that state
    failed_machines: int = 0
    retries: int = 0  # passing errors in a row
    failed_runs: int = 0  # configuration runs in a row
    failed_probes: int = 0  # tries to start or stop the probes in a row
    lost_capacity: int = 0  # times in a row that oned had none although the probes had told it
    problem: str = ""
    rented: tuple[str, str] | None = None  # account and machine, as last seen
    cluster_id: int | None = None  # with ``rented``; and what the host costs an hour
    price: float | None = None
    monitoring: bool | None = None  # True: start the probes, False: stop them, None: nothing to do
    configuration: bytes = b""  # monitord's XML, from the last START_MONITOR
    upkeep: UpkeepMemory = field(default_factory=UpkeepMemory)


@dataclass
class Parts:
    """The agent's pieces."""

    agent_id: str  # of this front-end: kept over restarts
    started: float  # unix seconds
    location: Location
    settings: Settings
    clock: Clock
    oned: Oned
    owner: Owner
    accounts: Accounts
    departures: Departures
    reporter: Reporter
    keys: FrontEndKeys
    configuration: bytes = b""  # monitord's XML, of whatever host it came for last
    wishes: Wishes = field(default_factory=Wishes)
    peers: Peers = field(init=False)
    begun: float = field(init=False)  # ``started`` on the clock that is never set
    _memories: dict[int, HostMemory] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Make what follows from the others."""
        self.peers = Peers(self.oned, self.clock)
        self.begun = self.clock.monotonic()

    def memory(self, host_id: int) -> HostMemory:
        """Return what is known of the host, beginning anew when nothing is."""
        with self._lock:
            return self._memories.setdefault(host_id, HostMemory(looked_from=self.started))

    def known(self, host_id: int) -> HostMemory:
        """Return what is known of the host to one who only reads: nothing begins by that."""
        with self._lock:
            return self._memories.get(host_id) or HostMemory(looked_from=self.started)

    def renting(self) -> list[int]:
        """Return the hosts that were seen with a machine."""
        with self._lock:
            return [host_id for host_id, memory in self._memories.items() if memory.rented]

    def leaving(self, hosts: Collection[int]) -> list[Departure]:
        """Return all machines on their way back; also those whose host oned has no more, and nobody told us yet."""
        now = self.clock.now()
        with self._lock:
            memories = list(self._memories.items())
        unnoted = [
            Departure(
                account=known.rented[0],
                host_id=host_id,
                name=str(host_id),
                machine_id=known.rented[1],
                since=now,
                cluster_id=known.cluster_id,
                price=known.price,
            )
            for host_id, known in memories
            if known.rented and host_id not in hosts
        ]
        return [*unnoted, *self.departures.all()]  # noted meanwhile, one is in both

    def begin_anew(self, host_id: int) -> None:
        """Drop what earlier failures left; what oned told us stays."""
        with self._lock:
            old = self._memories.get(host_id, HostMemory(looked_from=self.started))
            self._memories[host_id] = HostMemory(
                looked_from=old.looked_from,
                called_at=old.called_at,
                own_tokens=old.own_tokens,
                uncertain_since=old.uncertain_since,
                configuration=old.configuration,
            )

    def forget(self, host_id: int) -> None:
        """Drop what is known of the host."""
        with self._lock:
            self._memories.pop(host_id, None)
        self.reporter.forget(host_id)
