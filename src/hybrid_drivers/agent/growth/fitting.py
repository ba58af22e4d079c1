"""Where the VMs of a host fit on the others, room and disk taken together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hybrid_drivers.agent.growth.model import NOTHING, Guest
from hybrid_drivers.agent.growth.packing import Size


class Disks:
    """What disk hosts have left, MiB (``Placed.free_disk``), as VMs are put on them.

    ``arrived`` are VMs that came a short while ago: the disk they take may not have been measured yet.
    """

    def __init__(self, free: Mapping[int, Mapping[int, int]], arrived: Iterable[Guest]) -> None:
        self._free = free
        self._taken: dict[tuple[int, int], int] = {}
        for one in arrived:
            self.take(one.host, one)

    def holds(self, host: int, guest: Guest) -> bool:
        """Tell whether a VM's disks fit on a host."""
        known = self._free.get(host, {})
        free = known.get(guest.datastore, known.get(-1, 0)) - self._taken.get((host, guest.datastore), 0)
        return not guest.disk or guest.disk <= free

    def take(self, host: int, guest: Guest) -> None:
        """Put a VM on a host."""
        key = (host, guest.datastore)
        self._taken[key] = self._taken.get(key, 0) + guest.disk


def fit(guests: Iterable[Guest], rooms: Mapping[int, Size], disks: Disks) -> tuple[dict[int, int], int | None]:
    """Put VMs on hosts, the largest first, each on the fullest that holds it: VM -> host.

    The second value is the first VM that fits on none.
    """
    left, whole = dict(rooms), total(rooms.values())
    found: dict[int, int] = {}
    for guest in sorted(guests, key=lambda one: (-one.size.share(whole), one.id)):
        able = [one for one in guest.hosts & left.keys() if left[one].holds(guest.size) and disks.holds(one, guest)]
        if not able:
            return found, guest.id
        target = min(able, key=lambda one: (left[one].share(whole), one))
        left[target] = left[target].less(guest.size)
        disks.take(target, guest)
        found[guest.id] = target
    return found, None


def total(sizes: Iterable[Size]) -> Size:
    """Return the sum."""
    whole = NOTHING
    for one in sizes:
        whole = Size(whole.cpu + one.cpu, whole.memory + one.memory)
    return whole
