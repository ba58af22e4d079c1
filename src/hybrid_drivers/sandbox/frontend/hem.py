"""Runs hooks as OpenNebula's hook execution manager does. Facts: ``onehem-server.rb``, ``HookAPI.cc``, ``Request.cc``.

A hook's command is run by a shell, below ``remotes/hooks`` unless it begins with a slash, ten at a time; what it is
handed is in ``hook_actions.py`` of the package. Nobody waits for it, and its failure has no effect. Hooks with
``REMOTE`` are run here too.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.hook_objects import HookObject
from hybrid_drivers.sandbox.frontend.vm_objects import VmObject

_AT_ONCE: Final = 10  # onehem-server.conf, concurrency


class HookExecution:
    """The events of one front-end. Its methods but ``close`` are called with the store's lock held."""

    def __init__(
        self,
        remotes: Path,
        environment: Mapping[str, str],
        hooks: Callable[[], Iterable[HookObject]],
        on_run: Callable[[DriverRun], None],
    ) -> None:
        self._folder, self._environment = remotes / "hooks", dict(environment)
        self._hooks, self._on_run = hooks, on_run
        self._pool = ThreadPoolExecutor(_AT_ONCE, "hook")
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def close(self, *, terminate: bool) -> None:
        """End: what waits is dropped; what runs gets SIGTERM, or goes on unheard (``terminate`` false)."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            running = list(self._running) if terminate else []
        for process in running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)

    def vm_changed(self, vm: VmObject) -> None:
        """Run the hooks on the state a machine has come into."""
        found = [one for one in self._hooks() if one.on_state(vm.state.name, vm.lcm_state.name)]
        if found:
            self._submit(found, "$TEMPLATE", vm.xml())

    def called(self, call: str, arguments: tuple[object, ...], reply: list[int | str | bool]) -> None:
        """Run the hooks on a call that was answered, well or not; the session is not shown."""
        found = [one for one in self._hooks() if one.on_call(call)]
        if found:
            told = _parameters("IN", ("****", *arguments[1:])) + _parameters("OUT", reply[:3])
            document = f"<RESULT>{int(bool(reply[0]))}</RESULT><PARAMETERS>{told}</PARAMETERS><EXTRA/>"
            self._submit(found, "$API", f"<CALL_INFO>{document}</CALL_INFO>")

    def _submit(self, hooks: Iterable[HookObject], word: str, document: str) -> None:
        given = base64.b64encode(document.encode()).decode()
        for one in hooks:
            values = {"$TEMPLATE": "", "$API": "", word: given}
            arguments = " ".join(values.get(part, part) for part in one.template.text("ARGUMENTS").split()).strip()
            command = one.template.text("COMMAND")
            path = command if command.startswith("/") else f"{self._folder}/{command}"
            with contextlib.suppress(RuntimeError):  # it was closed
                if one.template.text("ARGUMENTS_STDIN").lower() == "yes":
                    self._pool.submit(self._run, one.name, path, arguments)
                else:
                    self._pool.submit(self._run, one.name, f"{path} {arguments}".strip(), "")

    def _run(self, name: str, command: str, stdin: str) -> None:
        started, began = time.time(), time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd="/",
            env={**self._environment, "LANG": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with self._lock:
            self._running.add(process)
        out, _ = process.communicate(stdin.encode())
        with self._lock:
            self._running.discard(process)
        self._on_run(
            DriverRun(
                action="HOOK",
                host_id=-1,
                executable=command.partition(" ")[0],
                argv=(name,),
                code=process.returncode,
                output=out.decode("utf-8", "replace"),
                started=started,
                seconds=time.monotonic() - began,
            )
        )


def _parameters(kind: str, values: Iterable[object]) -> str:
    return "".join(
        f"<PARAMETER><POSITION>{at}</POSITION><TYPE>{kind}</TYPE><VALUE>{escape(_shown(one))}</VALUE></PARAMETER>"
        for at, one in enumerate(values, 1)
    )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
