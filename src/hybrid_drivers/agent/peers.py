"""The hosts of a cluster as its members need to know each other, and who was configured with others than there are.

A host's address is in oned before its configuration is compiled, and the list of all addresses is read after that. So
of two hosts made at the same time at least the later one sees both; its address makes a round, which finds that the
earlier one was configured with a list that is no longer right. PROVISION_PEERS says with which: it is written only
after a run that went well, so an agent that is killed has nothing to remember.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence

from hybrid_drivers.agent.record import IM_MAD, HostRecord, read
from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import OnedError
from hybrid_drivers.hostconfig.facts import Peer
from hybrid_drivers.model import Host
from hybrid_drivers.oned.api import Oned

KEY = ("peers", "")  # in the work queue: a round over all clusters
WINDOW = 2.0  # seconds that changes are gathered for one round
WINDOW_EACH = 0.05  # seconds more for each host that was outdated in the last round: many join one after the other


class Peers:
    """The hosts of all clusters, read in one call that all who ask at the same time share."""

    def __init__(self, oned: Oned, clock: Clock) -> None:
        self._oned, self._clock = oned, clock
        self._asking = threading.Lock()
        self._asked_at = float("-inf")  # on the clock that is never set, like all times here
        self._calls = 0
        self._failed: OnedError | None = None  # what came of the last call, when it was no list
        self._clusters: Mapping[int, Sequence[HostRecord]] = {}
        self.window = WINDOW

    def of(self, host: Host, address: str, not_before: float) -> tuple[Peer, ...]:
        """Return the peers of ``host``, itself at ``address`` among them, as oned had them at ``not_before`` or later.

        ``not_before`` is a time of ``clock.monotonic()``.

        Raises:
            OnedError: oned cannot be asked.
        """
        others = self._look(not_before).get(host.cluster_id, ()) if host.cluster_id >= 0 else ()
        found = {one.host.id: one.address for one in others} | {host.id: address}
        return tuple(sorted(Peer(host_id=host_id, address=where) for host_id, where in found.items()))

    def outdated(self, hosts: Iterable[Host] | None = None) -> list[tuple[HostRecord, str]]:
        """Return the READY hosts that were configured with other peers than there are, and what is right for them.

        Raises:
            OnedError: no ``hosts`` are given and oned cannot be asked.
        """
        clusters = self._look(self._clock.monotonic()) if hosts is None else by_cluster(hosts)
        found = []
        for cluster_id, those in clusters.items():
            shared = digest(sorted(_peer(one) for one in those))
            for one in those:
                right = shared if cluster_id >= 0 else digest([_peer(one)])
                if one.ready and one.peers and one.peers != right:
                    found.append((one, right))
        self.window = WINDOW + WINDOW_EACH * len(found)
        return found

    def _look(self, not_before: float) -> Mapping[int, Sequence[HostRecord]]:
        calls = self._calls
        with self._asking:
            old_failure = self._failed is not None and self._calls == calls  # it may have passed
            if self._asked_at < not_before or old_failure:
                self._ask()
            if self._failed is not None:
                raise self._failed
            return self._clusters

    def _ask(self) -> None:
        """Ask oned; a failure is that of all who wait, or each of them would wait for one of its own."""
        asked_at = self._clock.monotonic()
        try:
            self._clusters, self._failed = by_cluster(self._oned.hosts()), None
        except OnedError as exc:
            self._failed = exc
        self._asked_at = asked_at
        self._calls += 1


def by_cluster(hosts: Iterable[Host]) -> dict[int, list[HostRecord]]:
    """Return the members of each cluster."""
    clusters: dict[int, list[HostRecord]] = {}
    for one in members(hosts):
        clusters.setdefault(one.host.cluster_id, []).append(one)
    return clusters


def members(hosts: Iterable[Host]) -> list[HostRecord]:
    """Return those of ``hosts`` that are ours and have a machine whose address is known.

    One that was given up is none: its machine may be gone, and its address a stranger's by now.
    """
    records = [read(host) for host in hosts if host.im_mad == IM_MAD]
    return [one for one in records if one.address and one.deploy_id and one.failure is None]


def digest(peers: Sequence[Peer]) -> str:
    """Return what PROVISION_PEERS says of these, ordered: how many they are, and a digest of who."""
    text = " ".join(f"{peer.host_id}={peer.address}" for peer in peers)
    return f"{len(peers)} {hashlib.sha256(text.encode()).hexdigest()[:12]}" if peers else ""


def _peer(record: HostRecord) -> Peer:
    return Peer(host_id=record.host.id, address=record.address)
