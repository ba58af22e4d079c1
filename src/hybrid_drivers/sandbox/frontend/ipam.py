"""Runs the executables of ``remotes/ipam`` as oned and its ``one_ipam`` do.

Facts: OpenNebula ``one_ipam.rb``, ``IPAMManager.cc``, ``IPAMRequest.cc``, ``SyncRequest.h``: one request at a time;
standard input is one line of base64; whoever asks waits 90 seconds for the answer while the network stays locked (calls
for that network wait, its pool does not); a request that oned has forgotten runs on and holds up the next.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

NO_ADDRESS = "<ADDRESS><MAC/><IP/><IP6_GLOBAL/><IP6_ULA/><IP6/><SIZE/></ADDRESS>"


class Lockable(Protocol):
    """What one thread at a time works on, while others may have the store's lock in between."""

    busy: bool


@dataclass(frozen=True)
class IpamAnswer:
    """What a request came to: the answer's attributes, or why it failed."""

    ok: bool
    template: Template = field(default_factory=Template)
    message: str = ""


class OneIpam:
    """The queue of requests. Every method but ``close`` is called with the store's lock held.

    ``known`` are the drivers that may be asked for (None: all); ``timeout`` says how long an answer is waited for.
    """

    def __init__(
        self,
        remotes: Path,
        environment: Mapping[str, str],
        *,
        known: frozenset[str] | None,
        lock: threading.RLock,
        timeout: Callable[[], float],
        on_run: Callable[[DriverRun], None],
    ) -> None:
        self._remotes, self._environment, self._known = remotes, dict(environment), known
        self._changed = threading.Condition(lock)
        self._timeout, self._on_run = timeout, on_run
        self._ids = itertools.count()
        self._one = ThreadPoolExecutor(1, "one-ipam")
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False

    def close(self, *, terminate: bool) -> None:
        """End: nobody is answered any more; what runs gets SIGTERM, or goes on unheard (``terminate`` false)."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._one.shutdown(wait=False, cancel_futures=True)
        process = self._running
        if process is not None and terminate:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)

    @contextlib.contextmanager
    def hold(self, one: Lockable) -> Iterator[None]:
        """Keep others from ``one``, as a lock of its own would; the store's lock is free while this waits."""
        self._changed.wait_for(lambda: self._closed or not one.busy)
        one.busy = True
        try:
            yield
        finally:
            one.busy = False
            self._changed.notify_all()

    def ask(self, action: str, driver: str, ar: str, address: str = NO_ADDRESS) -> IpamAnswer:
        """Run ``ipam/<driver>/<action>`` and return its answer; the store's lock is free meanwhile."""
        if self._known is not None and driver not in self._known:
            return IpamAnswer(False, message=f"IPAM driver '{driver}' not available")
        document = f"<IPAM_DRIVER_ACTION_DATA>{ar}{address}</IPAM_DRIVER_ACTION_DATA>"
        return self._ask([f"ipam/{driver}/{action}", str(next(self._ids))], document)

    def tell(self, action: str, vn_mad: str, vnet_id: int, document: str) -> str:
        """Run ``vnm/<VN_MAD>/<action>`` (vnet_create, vnet_delete; ``do_vnet_action``); return why it failed.

        Only drivers of ours are here: those of OpenNebula answer without doing anything.
        """
        name = f"vnm/{vn_mad}/{action}"
        if not self.has(vn_mad, action):
            return ""
        answer = self._ask([name, str(vnet_id)], document)
        return "" if answer.ok else answer.message or "-"

    def has(self, vn_mad: str, action: str) -> bool:
        """Tell whether a network driver has an executable of this name."""
        return (self._remotes / "vnm" / vn_mad / action).is_file()

    def _ask(self, words: list[str], document: str) -> IpamAnswer:
        answers: list[IpamAnswer] = []

        def work() -> None:
            answer = _read(*self._run(words, base64.b64encode(document.encode()) + b"\n"))
            with self._changed:
                answers.append(answer)
                self._changed.notify_all()

        try:
            self._one.submit(work)
        except RuntimeError:  # it was closed
            return IpamAnswer(False, message="Could not find the IPAM driver")
        self._changed.wait_for(lambda: self._closed or bool(answers), self._timeout())
        return answers[0] if answers else IpamAnswer(False, message="The request timed out")

    def _run(self, words: list[str], stdin: bytes) -> tuple[int, str, str]:
        started, began = time.time(), time.monotonic()
        code, out, err = self._execute(words, stdin)
        self._on_run(
            DriverRun(
                action=words[0].rpartition("/")[2].upper(),
                host_id=-1,
                executable=words[0],
                argv=tuple(words[1:]),
                code=code,
                output=out + err,
                started=started,
                seconds=time.monotonic() - began,
            )
        )
        return code, out, err

    def _execute(self, words: list[str], stdin: bytes) -> tuple[int, str, str]:
        try:
            process = subprocess.Popen(
                [str(self._remotes / words[0]), *words[1:]],
                cwd="/",
                env={**self._environment, "LANG": "C"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            return 127, "", f"{words[0]}: {exc.strerror}"
        self._running = process
        out, err = process.communicate(stdin)
        self._running = None
        return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


@contextlib.contextmanager
def held(ipam: OneIpam | None, one: Lockable) -> Iterator[None]:
    """Keep others from ``one`` where there are drivers, whose answers are waited for without the store's lock."""
    with ipam.hold(one) if ipam is not None else contextlib.nullcontext():
        yield


def _read(code: int, out: str, err: str) -> IpamAnswer:
    if code != 0:
        return IpamAnswer(False, message="".join(err.splitlines()))
    try:
        return IpamAnswer(True, parse(out))
    except TemplateSyntaxError as exc:
        return IpamAnswer(False, message=str(exc))
