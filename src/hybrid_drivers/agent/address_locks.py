"""One lock for each address at each account, so that nobody moves it while another does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator

from hybrid_drivers.errors import TransientError


class AddressLocks:
    """The locks; they are few and stay."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def hold(self, keys: Iterable[str], limit: float) -> Iterator[None]:
        """Hold the locks of all ``keys`` (account/address), always taken in the same order.

        Raises:
            TransientError: not within ``limit`` seconds.
        """
        until = time.monotonic() + limit
        with contextlib.ExitStack() as held:
            for key in sorted(set(keys)):
                with self._guard:
                    lock = self._locks.setdefault(key, threading.Lock())
                if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
                    address = key.rpartition("/")[2]
                    raise TransientError(f"another action on address {address} has not ended within {limit:.0f} s")
                held.callback(lock.release)
            yield
