"""Runs the network drivers of virtual machines as ``one_vmm_exec`` does.

Facts: OpenNebula 7's ``one_vmm_exec.rb`` (``get_vnm_drivers``, ``execute_steps``), ``one_vnm.rb`` (one driver after the
other, the first failure ends the step) and ``DriverExecHelper.rb``: what ``VNMAD_LOCAL_ACTIONS`` of ``vmm_execrc``
names is run on the front-end with the document as base64 in one line, everything else on the host over SSH. Nothing is
run on hosts here: such an action is only noted.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hybrid_drivers.sandbox.frontend.attributes import cdata
from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.vm_objects import VmObject
from hybrid_drivers.sandbox.frontend.vmm_steps import VMM, Step

CARDS = ("NIC", "NIC_ALIAS")
NOT_RUN = "on the host: not run"


class VmmExec:
    """Runs steps beside the calls. ``lock`` is the store's; ``local`` the actions that are run on the front-end."""

    def __init__(
        self,
        remotes: Path,
        environment: Mapping[str, str],
        *,
        local: frozenset[str],
        lock: threading.RLock,
        on_run: Callable[[DriverRun], None],
    ) -> None:
        self._remotes, self._environment, self._local = remotes, dict(environment), local
        self._lock, self._on_run = lock, on_run
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def begin(self, vm: VmObject, steps: Sequence[Step], done: Callable[[str], None]) -> None:
        """Carry out ``steps`` and call ``done(why it failed)`` with the lock held; at once when nothing is to be run.

        The document is that of now. Called with the lock held.
        """
        drivers = [one for one in _drivers(vm) if (self._remotes / "vnm" / one).is_dir()]
        if not drivers:
            done(next((one.fails for one in steps if one.fails and not one.no_fail), ""))
            return
        work = _Work(self, drivers, base64.b64encode(document(vm).encode()), vm.history[-1].host_id)

        def carry_out() -> None:
            why = work.run(steps)
            with self._lock:
                if not self._closed:
                    done(why)

        threading.Thread(target=carry_out, name=f"vmm-{vm.id}", daemon=True).start()

    def close(self, *, terminate: bool) -> None:
        """End: nothing is concluded any more; what runs gets SIGTERM, or goes on unheard (``terminate`` false)."""
        with self._lock:
            self._closed = True
            running = list(self._running) if terminate else []
        for process in running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)

    def run(self, driver: str, step: Step, stdin: bytes, host_id: int) -> str:
        """Run one action of one driver; return why it failed."""
        path = self._remotes / "vnm" / driver / step.action
        here = f"{driver}-{step.action}" in self._local
        started, began = time.time(), time.monotonic()
        code, output, why = self._execute(path, step.argv, stdin) if here else (0, NOT_RUN, "")
        self._on_run(
            DriverRun(
                action=step.action.upper(),
                host_id=host_id,
                executable=f"vnm/{driver}/{step.action}",
                argv=step.argv,
                code=code,
                output=output,
                started=started,
                seconds=time.monotonic() - began,
            )
        )
        return why

    def _execute(self, path: Path, argv: tuple[str, ...], stdin: bytes) -> tuple[int, str, str]:
        try:
            process = subprocess.Popen(
                [str(path), *argv],
                cwd="/",
                env={**self._environment, "LANG": "C"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as exc:
            return 127, "", f"{path}: {exc.strerror}"
        with self._lock:
            self._running.add(process)
        out, err = (one.decode("utf-8", "replace") for one in process.communicate(stdin))
        with self._lock:
            self._running.discard(process)
        plain = [line.strip() for line in err.splitlines() if not re.match(r"(ERROR|INFO|WARN|DEBUG):\s", line)]
        return process.returncode, out + err, ("".join(plain) or "-") if process.returncode else ""


class _Work:
    """One action of oned: its drivers, its document and the host it is about."""

    def __init__(self, vmm: VmmExec, drivers: Sequence[str], stdin: bytes, host_id: int) -> None:
        self._vmm, self._drivers, self._stdin, self._host_id = vmm, drivers, stdin, host_id

    def run(self, steps: Sequence[Step]) -> str:
        """Carry out steps until one fails; return why, empty when none did."""
        for step in steps:
            why = step.fails if step.action == VMM else self._network(step)
            if why:
                self.run(step.undo)
                if not step.no_fail:
                    return why
        return ""

    def _network(self, step: Step) -> str:
        for driver in self._drivers:
            if why := self._vmm.run(driver, step, self._stdin, self._host_id):
                return f"{driver}: {why}"
        return ""


def document(vm: VmObject) -> str:
    """Return what network drivers are told of a machine (recorded: ``vnm.post.xml``)."""
    last = vm.history[-1]
    host = {"HOSTNAME": last.host_name, "HID": str(last.host_id), "DS_ID": str(last.datastore_id)}
    records = "".join(f"<{key}>{value}</{key}>\n" for key, value in host.items())
    records += f"<VM_MAD>{cdata(last.vm_mad)}</VM_MAD>"
    told = "".join(f"<HISTORY_RECORDS><HISTORY>{one}</HISTORY></HISTORY_RECORDS>" for one in records.split("\n"))
    user = vm.user.xml("USER_TEMPLATE") if list(vm.user.template()) else "<USER_TEMPLATE/>"
    deploy = f"<DEPLOY_ID>{vm.deploy_id}</DEPLOY_ID>" if vm.deploy_id else "<DEPLOY_ID/>"
    cards = "".join(f"<TEMPLATE>{one}</TEMPLATE>" for one in _cards(vm))
    return f"<VM><ID>{vm.id}</ID>{deploy}{user}{told}{cards}</VM>"


def _cards(vm: VmObject) -> Iterator[str]:
    for kind in CARDS:
        for one in vm.vectors(kind):
            if one.get("VN_MAD"):
                yield f"<{kind}>{''.join(f'<{key}>{cdata(one[key])}</{key}>' for key in sorted(one))}</{kind}>"


def _drivers(vm: VmObject) -> list[str]:
    return list(dict.fromkeys(one["VN_MAD"] for kind in CARDS for one in vm.vectors(kind) if one.get("VN_MAD")))


def local_actions(execrc: Path) -> frozenset[str]:
    """Read ``VNMAD_LOCAL_ACTIONS`` of ``vmm_execrc``: ``<driver>-<action>`` words."""
    with contextlib.suppress(OSError):
        for line in reversed(execrc.read_text().splitlines()):
            if line.startswith("VNMAD_LOCAL_ACTIONS="):
                return frozenset(line.partition("=")[2].strip().strip("\"'").split())
    return frozenset()
