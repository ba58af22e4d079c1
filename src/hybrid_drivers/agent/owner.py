"""HYBRID_OWNER: the id of this OpenNebula zone, made once, on every machine we rent."""

from __future__ import annotations

import logging
import threading
import uuid
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.model import RaftState, Template
from hybrid_drivers.oned.api import Oned

ATTRIBUTE = "HYBRID_OWNER"

log = logging.getLogger(__name__)


class Owner:
    """Reads the id from the zone, or makes it; two that make it at once end with the same one.

    ``copy`` is a file that keeps the id on this front-end: when somebody empties the zone's template, the machines
    that carry the id must not become strangers.
    """

    def __init__(self, oned: Oned, zone_id: int, copy: Path, clock: Clock) -> None:
        self._oned = oned
        self._zone_id = zone_id
        self._copy = copy
        self._hold = copy.with_name("collector.hold")
        self._clock = clock
        self._lock = threading.Lock()
        self._id = ""

    def __call__(self) -> str:
        """Return the id.

        Raises:
            OnedError: the zone cannot be read or written.
        """
        with self._lock:
            if not self._id:
                self._id = self._read() or self._make()
                self._copy.write_text(self._id)
            return self._id

    def held(self) -> bool:
        """Tell whether machines without a host are to be left alone: the zone had lost the id (see :meth:`_make`)."""
        return self._hold.is_file()

    def _read(self) -> str:
        return self._oned.zone(self._zone_id).text(ATTRIBUTE)

    def _make(self) -> str:
        kept = self._copy.read_text().strip() if self._copy.is_file() else ""
        if kept:
            # Somebody emptied the zone's template, or this is another database: then every machine looks forgotten.
            self._hold.write_text("The zone had lost HYBRID_OWNER. Remove this file when oned has all its hosts.\n")
            log.error(
                "the zone had lost %s, it is written again; machines without a host are left alone until %s is removed",
                ATTRIBUTE,
                self._hold,
            )
        self._oned.update_zone(self._zone_id, Template([(ATTRIBUTE, kept or str(uuid.uuid4()))]), append=True)
        if self._oned.raft_state() is not RaftState.SOLO:
            self._clock.sleep(1.0)  # another front-end may have written meanwhile: the last writer wins, for both
        return self._read()
