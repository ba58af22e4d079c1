"""Control groups: one per machine, which also tells exactly which processes are the machine's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from hybrid_drivers.errors import SandboxError

ROOT = Path("/sys/fs/cgroup")
# The cgroup v1 hierarchies a launcher gets its own group in; those absent are skipped. (cpuset is left out: a new group
# there takes no process before it is given processors.)
_V1 = ("systemd", "unified", "memory", "cpuacct", "pids", "devices", "freezer")


def _tops() -> list[Path]:
    if (ROOT / "cgroup.controllers").is_file():  # version 2 only
        return [ROOT]
    return [ROOT / one for one in _V1 if (ROOT / one).is_dir()]


def folders(name: str) -> list[Path]:
    """Return the folders of the group ``name``: one on cgroup version 2, one a hierarchy on version 1."""
    return [top / name for top in _tops()]


def enter(name: str, pid: int) -> None:
    """Make the group and put a process into it, and so all it will start."""
    for folder in folders(name):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").write_text(str(pid))


def names(prefix: str) -> list[str]:
    """Return the names of the groups that start with ``prefix``."""
    return sorted({path.name for top in _tops() for path in top.glob(f"{prefix}*")})


def processes(name: str) -> list[int]:
    """Return the ids of all processes in the group ``name`` and below it."""
    found: set[int] = set()
    for top in folders(name):
        for folder, _, _ in os.walk(top):  # passes over what goes away meanwhile, as rglob() does not
            with contextlib.suppress(OSError):
                found.update(int(word) for word in (Path(folder) / "cgroup.procs").read_text().split())
    return sorted(found - {0})


def kill(name: str, limit: float = 10.0) -> None:
    """End every process of the group by force.

    Raises:
        SandboxError: some process is still there after ``limit`` seconds.
    """
    until = time.monotonic() + limit
    while left := processes(name):
        if time.monotonic() > until:
            raise SandboxError(f"processes {left} of sandbox machine {name} do not end")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def remove(name: str, limit: float = 5.0) -> None:
    """Remove the group, which has no process any more; one that is busy for long is left to the next clean-up."""
    until = time.monotonic() + limit
    for top in folders(name):
        while top.is_dir() and not _remove_tree(top) and time.monotonic() < until:
            time.sleep(0.02)


def _remove_tree(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # busy until its last process is reaped
            return False
    return True
