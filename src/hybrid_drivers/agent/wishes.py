"""Runs of the configuration that people asked for: one a host at a time, told step by step to who asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from hybrid_drivers.hostconfig.report import RunReport, StepReport


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended; ``problem`` is empty when it went well, and there may be no ``run`` when it did not."""

    problem: str = ""
    run: RunReport | None = None


class Listener(Protocol):
    """Who asked."""

    def step(self, report: StepReport) -> None:
        """Hear of a step that begins or ended; must not block."""

    def end(self, ended: Ended) -> None:
        """Hear of the end; nothing follows."""


@dataclass(frozen=True)
class Wish:
    """A run, or with ``check_only`` a look, that somebody waits for."""

    check_only: bool
    listener: Listener


class Wishes:
    """The open wishes by host; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Wish] = {}

    def put(self, host_id: int, wish: Wish) -> bool:
        """Open a wish; False when the host has one already."""
        with self._lock:
            return self._open.setdefault(host_id, wish) is wish

    def of(self, host_id: int) -> Wish | None:
        """Return the host's open wish."""
        with self._lock:
            return self._open.get(host_id)

    def step(self, host_id: int, report: StepReport) -> None:
        """Tell a step to who asked, if anybody did."""
        if wish := self.of(host_id):
            wish.listener.step(report)

    def end(self, host_id: int, wish: Wish | None, ended: Ended) -> None:
        """Close ``wish`` when it is still open, and tell how it ended."""
        with self._lock:
            if wish is None or self._open.get(host_id) is not wish:
                return
            del self._open[host_id]
        wish.listener.end(ended)
