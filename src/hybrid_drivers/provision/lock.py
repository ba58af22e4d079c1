"""One run at a time on a provision, whichever front-end it is started on.

oned has no lock that keeps the same user out twice, and no compare-and-swap. So the lock is a plain attribute of the
provision's document: written, and believed only when it is still ours a moment later (the last writer wins, and all
read the same). Who holds it renews it; one that was not renewed for ``STALE`` seconds belongs to nobody.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, OnedError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned

ATTRIBUTE = "PROVISION_LOCK"
RENEW = 15.0  # seconds between two signs of life
STALE = 90.0  # seconds without one after which the holder counts as dead: several times what oned may be away
SETTLE = 0.4  # seconds until a lock that was written is looked at again


class Held(ConfigError):
    """Somebody else works on the provision."""


class Lock:
    """The lock of one provision; a context manager. ``what`` is told to who comes second, like ``create``."""

    def __init__(self, oned: Oned, provision_id: int, clock: Clock, what: str) -> None:
        self._oned, self._id, self._clock = oned, provision_id, clock
        self._host, self._pid, self._token = socket.gethostname(), os.getpid(), uuid.uuid4().hex
        self._holder = f"{_user()}@{self._host} (process {self._pid}, {what})"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    def __enter__(self) -> Lock:
        self._refuse_if_held(self._read())
        self._write()
        self._clock.sleep(SETTLE)
        self._refuse_if_held(self._read())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(OnedError):  # the provision is gone, or oned is: then it becomes stale
            if self._read().get("TOKEN") == self._token:
                self._put({"TOKEN": "-"})

    def _refuse_if_held(self, lock: Mapping[str, str]) -> None:
        if lock.get("TOKEN") != self._token and (holder := self._alive(lock)):
            raise Held(f"provision {self._id} is being worked on by {holder}: wait until that has ended")

    def _alive(self, lock: Mapping[str, str]) -> str:
        """Return who holds the lock, empty when nobody does any more."""
        if lock.get("TOKEN", "-") == "-":
            return ""
        if lock.get("HOST") == self._host and not _runs(lock.get("PID", "")):
            return ""
        return "" if self._clock.now() - _number(lock.get("RENEWED", "")) > STALE else lock.get("HOLDER", "somebody")

    def _renew(self) -> None:
        while not self._stop.wait(RENEW):
            with suppress(OnedError):
                self._write()

    def _write(self) -> None:
        self._put(
            {
                "TOKEN": self._token,
                "HOLDER": self._holder,
                "HOST": self._host,
                "PID": str(self._pid),
                "RENEWED": f"{self._clock.now():.0f}",
            }
        )

    def _put(self, fields: Mapping[str, str]) -> None:
        self._oned.update_document(self._id, None, Template([(ATTRIBUTE, fields)]))

    def _read(self) -> Mapping[str, str]:
        return self._oned.document(self._id, decrypt=False).lock


def _runs(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
