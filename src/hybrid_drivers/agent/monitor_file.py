"""How to reach monitord, kept over restarts of the agent: only START_MONITOR tells it, and may not come for hours."""

from __future__ import annotations

import base64
import logging
import os
import threading
from pathlib import Path

from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.monitord import Monitord
from hybrid_drivers.oned.xml import MonitorConfiguration, parse_start_monitor

log = logging.getLogger(__name__)


class MonitorFile:
    """Remembers the last configuration monitord sent; it holds no secret (a public key at most)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._path: Path = parts.location.state / "monitord.xml"

    def load(self) -> None:
        """Take over what an earlier run was told, if anything."""
        try:
            stored = parse_start_monitor(base64.b64encode(self._path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ConfigError) as exc:
            log.warning("%s is not used: %s", self._path, exc)
            return
        self._use(stored)

    def learn(self, configuration: MonitorConfiguration) -> None:
        """Use what monitord just sent, and keep it when it is new."""
        with self._lock:  # after a restart of oned all hosts' calls bring the same news at once
            known = self._parts.configuration
            if known and _reach(known) == _reach(configuration.xml):
                return
            self._use(configuration)
            part = self._path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(configuration.xml)
            part.replace(self._path)

    def _use(self, configuration: MonitorConfiguration) -> None:
        self._parts.configuration = configuration.xml
        self._parts.reporter.use(Monitord(configuration.address, configuration.port, configuration.public_key))


def _reach(xml: bytes) -> bytes:
    """Return the document without the host it came for."""
    return xml.partition(b"<HOST_ID>")[0]
