"""How long hosts took on this front-end, kept for the estimates of later runs. Losing it costs nothing but those."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from statistics import median

from hybrid_drivers.model import Host
from hybrid_drivers.provision.progress import Kind, took

KEPT = 20  # times of each kind
MOST = 500  # kinds


class Experience:
    """Times by provider and plan, in a file of the state folder; seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times: dict[Kind, list[float]] = _read(path)

    def usual(self, hosts: Iterable[Host]) -> dict[Kind, float]:
        """Return how long hosts usually take: those of earlier runs, and those that are in oned now."""
        found = {kind: list(times) for kind, times in self._times.items()}
        for kind, seconds in took(hosts):
            found.setdefault(kind, []).append(seconds)
        return {kind: median(times) for kind, times in found.items()}

    def learn(self, host: Host) -> None:
        """Remember how long a host took that has just become ready."""
        for kind, seconds in took([host]):
            self._times[kind] = [*self._times.get(kind, []), round(seconds, 1)][-KEPT:]
        rows = [[*kind, times] for kind, times in list(self._times.items())[-MOST:]]
        with suppress(OSError):  # somebody else's front-end: no estimates then
            self._path.write_text(json.dumps(rows))


def _read(path: Path) -> dict[Kind, list[float]]:
    try:
        rows = json.loads(path.read_text())
        return {(str(one[0]), str(one[1])): [float(value) for value in one[2]] for one in rows}
    except (OSError, ValueError, TypeError, IndexError, KeyError):
        return {}
