"""Machines whose host is gone: durable notes (tombstones) that they are to be given back.

A note only speeds things up and survives a kill of the agent; the owner tag on the machine says the same, and the
collector finds it there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Departure:
    """One machine to be given back, or (without ``machine_id``) whatever machines carry the tag of a gone host."""

    account: str
    host_id: int
    name: str  # the host's, for people
    machine_id: str = ""
    since: float  # unix seconds
    cluster_id: int | None = None  # the host's, and what it cost an hour; None: not known
    price: float | None = None
    deleted_at: float | None = None  # the last delete call the provider accepted
    missing: int = 0
    last_missing: float = 0.0  # when the last answer that lacked it was asked for

    @property
    def key(self) -> str:
        """Return the name it goes by in the work queue and on disk."""
        return hashlib.sha256(f"{self.account}/{self.machine_id or self.host_id}".encode()).hexdigest()[:20]


def noted(folder: Path) -> list[Departure]:
    """Return what the agent has noted, for who only reads; what is gone meanwhile or damaged is left to the agent."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            found.append(Departure(**json.loads(path.read_text())))
    return found


class Departures:
    """All departures, in memory and as one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._all: dict[str, Departure] = {}

    def load(self) -> list[Departure]:
        """Read the notes of an earlier run; a damaged one is dropped (the collector finds the machine by its tag)."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock:
            for path in self._folder.glob("*.json"):
                try:
                    departure = Departure(**json.loads(path.read_text()))
                except (OSError, ValueError, TypeError) as exc:
                    log.warning("the note %s cannot be read (%s): leaving that machine to the collector", path, exc)
                    path.unlink(missing_ok=True)
                    continue
                self._all[departure.key] = departure
            return list(self._all.values())

    def add(self, departure: Departure) -> Departure:
        """Take note durably; one that is there already is kept as it is."""
        with self._lock:
            known = self._all.get(departure.key)
            if known is not None:
                return known
            self._write(departure)
            return departure

    def update(self, departure: Departure, **changes: object) -> Departure:
        """Write changed fields."""
        changed = replace(departure, **changes)  # type: ignore[arg-type]  # names are checked by replace itself
        with self._lock:
            self._write(changed)
        return changed

    def get(self, key: str) -> Departure | None:
        """Return the departure called ``key``."""
        with self._lock:
            return self._all.get(key)

    def drop(self, departure: Departure) -> None:
        """Forget it: the machine is gone for sure."""
        with self._lock:
            self._all.pop(departure.key, None)
            (self._folder / f"{departure.key}.json").unlink(missing_ok=True)

    def all(self) -> list[Departure]:
        """Return every departure."""
        with self._lock:
            return list(self._all.values())

    def machine_ids(self) -> set[str]:
        """Return the ids of all machines that are being given back."""
        with self._lock:
            return {d.machine_id for d in self._all.values() if d.machine_id}

    def _write(self, departure: Departure) -> None:
        self._all[departure.key] = departure
        path = self._folder / f"{departure.key}.json"
        part = path.with_suffix(".part")
        try:
            with open(part, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as out:
                json.dump(asdict(departure), out)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError as exc:  # a full disk must not keep a machine: memory does, and after it the machine's tag
            log.error("the note %s cannot be written (%s): going on without", path, exc)
