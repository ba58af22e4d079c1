"""Runs the executables of ``remotes/`` as OpenNebula's drivers do.

``one_im_sh`` (OpenNebula ``one_im_exec.rb``, ``OpenNebulaDriver.rb``, ``CommandManager.rb``, ``run_monitord_client``)
runs every executable of ``im/<IM>.d/`` one after another from inside that folder as ``./name``; standard input is one
line of base64; standard error is joined into standard output and white space squeezed; it reads until **every** writer
has closed the output, so a child left behind with it holds the answer back. The time limit (``-w``) covers all of them,
ends with SIGTERM to the process group and the code 255. ``-t`` is the number of actions at once; ``-r`` (tries) only
counts for actions carried out over SSH, so here a failure is final.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.sandbox.frontend.knobs import Knobs

START, STOP = "START_MONITOR", "STOP_MONITOR"
_LAST_WORDS = 0.2  # seconds the output stays open after SIGTERM (CommandManager.rb: 0.1 and scheduling)
_LEFTOVERS = (".rpmnew", ".rpmsave", ".dpkg-")


@dataclass(frozen=True, kw_only=True)
class DriverRun:
    """One executable that was run: ``started`` is unix seconds, ``seconds`` how long it took, ``output`` as it came."""

    action: str
    host_id: int
    executable: str
    argv: tuple[str, ...]
    code: int
    output: str
    started: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Order:
    """What monitord asks of a driver: ``stdin`` is the monitor configuration for this host, base64."""

    action: str
    im_mad: str
    host_id: int
    host_name: str
    stdin: bytes

    @property
    def argv(self) -> tuple[str, ...]:
        """Return what follows the executable's name (recorded: ``im.start_monitor``, ``im.stop_monitor``)."""
        words = (self.im_mad, str(self.host_id), self.host_name)
        return ("stop", *words) if self.action == STOP else words


class Drivers:
    """A queue an IM, so many workers as ``monitord.conf`` says.

    ``threads`` names the known IMs; ``environment`` is all the executables get; ``on_run`` is told of every run.
    """

    def __init__(
        self,
        remotes: Path,
        environment: Mapping[str, str],
        threads: Mapping[str, int],
        knobs: Knobs,
        on_run: Callable[[DriverRun], None],
    ) -> None:
        self._remotes, self._environment, self._knobs, self._on_run = remotes, dict(environment), knobs, on_run
        self._pools = {name: ThreadPoolExecutor(count, f"im-{name}") for name, count in threads.items()}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def knows(self, im_mad: str) -> bool:
        """Tell whether ``monitord.conf`` has this IM."""
        return im_mad in self._pools

    def submit(self, order: Order, done: Callable[[int, str], None]) -> None:
        """Run ``order`` when its turn comes and call ``done(exit code, output)``; nothing is called after ``close``."""
        with contextlib.suppress(RuntimeError):  # the pool was shut down meanwhile
            self._pools[order.im_mad].submit(self._carry_out, order, done)

    def close(self, *, terminate: bool) -> None:
        """End: waiting orders are dropped; running executables get SIGTERM, or go on unheard (``terminate`` false)."""
        self._closed = True
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = list(self._running) if terminate else []
        for process in running:
            _terminate(process)

    def _carry_out(self, order: Order, done: Callable[[int, str], None]) -> None:
        code, output = self.run(order)
        if not self._closed:
            done(code, output)

    def run(self, order: Order) -> tuple[int, str]:
        """Run every executable that takes part; return the exit code and output one_im_sh would report."""
        deadline = time.monotonic() + self._knobs.driver_timeout
        folder = self._remotes / "im" / f"{order.im_mad}.d"
        said: list[str] = []
        for path in _executables(folder, only_control=order.action == STOP):
            run = self._run_one(order, path, deadline)
            self._on_run(run)
            if run.code == 255 and run.output.startswith("Timeout executing"):
                return run.code, run.output
            if run.code != 0:
                return run.code, f"Error executing {path.name}: {run.output}"
            said.append(" ".join(run.output.split()))
        return 0, "\n".join(said)

    def _run_one(self, order: Order, path: Path, deadline: float) -> DriverRun:
        started, began = time.time(), time.monotonic()
        code, output = self._execute(order, path, deadline)
        return DriverRun(
            action=order.action,
            host_id=order.host_id,
            executable=path.name,
            argv=order.argv,
            code=code,
            output=output,
            started=started,
            seconds=time.monotonic() - began,
        )

    def _execute(self, order: Order, path: Path, deadline: float) -> tuple[int, str]:
        try:
            process = subprocess.Popen(
                [f"./{path.name}", *order.argv],
                cwd=path.parent,
                env={**self._environment, "LANG": "C"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:  # a script without its interpreter: the shell would say 126
            return 126, f"{path.name}: {exc.strerror}"
        with self._lock:
            self._running.add(process)
        try:
            output, _ = process.communicate(order.stdin + b"\n", timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _terminate(process)
            return 255, f"Timeout executing {path}"
        finally:
            with self._lock:
                self._running.discard(process)
        return process.returncode if process.returncode >= 0 else 255, output.decode("utf-8", "replace")


def _executables(folder: Path, *, only_control: bool) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and os.access(path, os.X_OK)
        and not any(mark in path.name for mark in _LEFTOVERS)
        and (not only_control or path.name.endswith("_control.sh"))
    ]


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole group, and no more: whatever ignores it stays behind, as with OpenNebula."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired, ValueError, OSError):
        process.communicate(timeout=_LAST_WORDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
