"""Ending a process with all it started, also what left its process group (Ansible's workers begin their own)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

_Found = dict[int, str]  # process id -> when it was started, which tells it from a later one of the same number


def end_tree(process: subprocess.Popen[bytes], *, grace: float) -> None:
    """Ask a process and its descendants to end; what is there after it ended, or after ``grace`` seconds, is killed."""
    if process.poll() is not None:
        return
    found = _descendants(process.pid)
    _signal(found, signal.SIGTERM)
    end = time.monotonic() + grace
    # Not waited for in the usual way: until then nobody else can get its number.
    while time.monotonic() < end and not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.05)
    _signal({**found, **_descendants(process.pid)}, signal.SIGKILL)
    process.wait()


def _signal(found: _Found, number: signal.Signals) -> None:
    now = _processes()
    for pid, started in found.items():
        if now.get(pid, ("", ""))[1] == started:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _descendants(root: int) -> _Found:
    now = _processes()
    family = {root} & now.keys()
    while new := {pid for pid, (parent, _) in now.items() if int(parent) in family} - family:
        family |= new
    return {pid: now[pid][1] for pid in family}


def _processes() -> dict[int, tuple[str, str]]:
    """Return the parent and the start time of every process, as /proc/PID/stat has them (proc(5))."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            # After the name, which may hold anything: state, parent, ... the start time is the 22nd field of all.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            found[int(entry.parent.name)] = (fields[1], fields[19])
    return found
