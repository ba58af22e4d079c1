"""Looking at the hosts of a provision until each is ready, or has failed for good."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_drivers.provision.experience import Experience
from hybrid_drivers.provision.progress import HostView, view
from hybrid_drivers.provision.record import Slot
from hybrid_drivers.provision.site import Site

PATIENCE = 30.0  # seconds a host may wait with a problem that passes by itself, until it counts as failed
HOST_LIMIT = 6 * 3600.0  # seconds for one host: the agent's own limits are shorter, so it is an agent that is not there
RETRIED = 90.0  # seconds a host that is tried again may show its old failure: an agent elsewhere looks every 60 s


class HostWatch:
    """What one run has seen of the hosts."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._states: dict[int, str] = {}
        self._new: set[int] = set()
        self._learned: set[int] = set()
        self._experience = Experience(site.state / "durations.json")
        self._waits: dict[int, float] = {}  # host -> since when it shows a problem that may pass
        self._retried: dict[int, tuple[float, str]] = {}  # host -> when, and which attempt had failed
        self._began = site.clock.monotonic()

    def look(self, slots: Sequence[Slot]) -> list[HostView]:
        """Return how the hosts of these slots stand: one call of oned."""
        hosts = {host.id: host for host in self._site.oned.hosts()}
        now, usual = self._site.clock.now(), self._experience.usual(hosts.values())
        views = [view(slot, hosts.get(slot.number), now, usual) for slot in slots]
        for one in views:
            if one.ready and one.id in self._new and one.id not in self._learned:
                self._learned.add(one.id)
                self._experience.learn(hosts[one.id])
        return views

    def made(self, host_id: int) -> None:
        """Take note that this run made a host: everything about it is news."""
        self._new.add(host_id)

    def retried(self, one: HostView) -> None:
        """Take note that a host is tried again."""
        self._waits.pop(one.id, None)
        self._retried[one.id] = (self._site.clock.monotonic(), one.attempt)

    def news(self, one: HostView) -> str:
        """Return what is to be told of a host, empty when it stands as it stood."""
        known = self._states.get(one.id)
        self._states[one.id] = one.state
        if known == one.state or (known is None and one.ready and one.id not in self._new):
            return ""
        place = f" at {one.address} after {one.elapsed:.0f} s" if one.ready else ""
        return f"host {one.name} (id {one.id}): {one.state}{place}"

    def failure(self, one: HostView) -> str:
        """Return why nothing more is to be expected of a host, empty while something is."""
        now = self._site.clock.monotonic()
        if one.failed:
            at, attempt = self._retried.get(one.id, (float("-inf"), ""))
            return (
                "" if one.attempt == attempt and now - at < RETRIED else one.problem or "it failed and says no reason"
            )
        self._retried.pop(one.id, None)
        if one.state == "PENDING" and one.problem:
            return one.problem if now - self._waits.setdefault(one.id, now) > PATIENCE else ""
        self._waits.pop(one.id, None)
        if one.ready or now - self._began < HOST_LIMIT:
            return ""
        return f"not ready after {HOST_LIMIT / 3600:.0f} hours: 'onehybrid agent status' tells whether the agent works"
