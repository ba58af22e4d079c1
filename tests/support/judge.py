"""Who sees everything that is made and deleted at a provider, and says what must never have been."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from tests.support.agent_fakes import OnedStore, Truth, VirtualClock, Witness

TRACE = 4000  # lines kept of what happened


class Judge(Witness):
    """Compares what happens with oned's objects, which are the reference: one machine for each host, and no others.

    ``duplicates``: machines made for a host while another usable one of it was there that nobody was giving back.
    ``false_deletes``: deletes of a machine that a host in oned had, or was about to get, and that worked.
    ``strangers``: deletes of machines that are not ours. ``too_young``: deletes of machines without a host that nobody
    was told of, before the quarantine was over.
    """

    def __init__(self, store: OnedStore, clock: VirtualClock) -> None:
        self.store, self.clock = store, clock
        self.truths: Callable[[], Iterable[Truth]] = list
        self.leaving: Callable[[], set[str]] = set
        self.owner = ""
        self.quarantine = 0.0
        self.orphans: dict[str, float] = {}  # machines put there without a host -> when
        self.duplicates: list[str] = []
        self.false_deletes: list[str] = []
        self.strangers: list[str] = []
        self.too_young: list[str] = []
        self.created = self.deleted = 0
        self.trace: deque[str] = deque(maxlen=TRACE)

    def note(self, text: str) -> None:
        """Keep what happens for whoever has to understand a failure."""
        self.trace.append(f"{self.clock.now() - 1_000_000:10.3f} {text}")

    def made(self, truth: Truth) -> None:
        self.created += 1
        self.note(f"machine {truth.id} made for host {truth.host_id}")
        others = [one for one in self.truths() if one.host_id == truth.host_id and one.usable and one.id != truth.id]
        others = [one for one in others if one.owner == self.owner]
        if others and (left := {one.id for one in others} - self.leaving()):
            self._hold(self.duplicates, f"machine {truth.id} made for host {truth.host_id}, which has {sorted(left)}")

    def deleting(self, truth: Truth) -> None:
        self.deleted += 1
        self.note(f"machine {truth.id} of host {truth.host_id} deleted")
        what = f"machine {truth.id} of host {truth.host_id}"
        if truth.owner != self.owner or truth.host_id < 0:
            self._hold(self.strangers, f"{what}, owner {truth.owner}")
            return
        since = self.orphans.get(truth.id)
        if since is not None and self.clock.now() - since < self.quarantine:
            self._hold(self.too_young, f"{what} after {self.clock.now() - since:.1f} s")
        host = self.store.hosts.get(truth.host_id)
        if host is None or not truth.usable:
            return
        recorded = host.template.vector("PROVISION").get("DEPLOY_ID", "")
        intent = host.template.vector("PROVISION_INTENT").get("TOKEN", "")
        if recorded == truth.id or (not recorded and intent == truth.token):
            self._hold(self.false_deletes, f"{what}, recorded {recorded or 'none'}")

    def _hold(self, against: list[str], what: str) -> None:
        self.note(f"VIOLATION {what}")
        against.append(what)

    def violations(self) -> dict[str, list[str]]:
        """Return what must not have been, by name; without what was not."""
        found = {
            "duplicates": self.duplicates,
            "false deletes": self.false_deletes,
            "strangers deleted": self.strangers,
            "too young deleted": self.too_young,
        }
        return {name: what for name, what in found.items() if what}
