"""Front-ends that have the shape of OpenNebula's own files, and install.sh run on them as an operator runs it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PARTS = ("install.sh", "pyproject.toml", "setup.py", "README.md", "LICENSE", "etc", "remotes", "share", "src")

ONED = """\
# IPAM drivers
IPAM_MAD = [
    EXECUTABLE = "one_ipam",
    ARGUMENTS  = "-t 1 -i dummy,aws,equinix,vultr"
]
VN_MAD_CONF = [
    NAME = "elastic",
    BRIDGE_TYPE = "linux"
]
"""
MONITORD = """\
NETWORK = [ ADDRESS = "0.0.0.0", MONITOR_ADDRESS = "auto", PORT = 4124 ]
IM_MAD = [
    NAME          = "kvm",
    EXECUTABLE    = "one_im_ssh",
    ARGUMENTS     = "-r 3 -t 15 -w 90 kvm",
    THREADS       = 0
]
"""
EXECRC = 'LIVE_DISK_SNAPSHOTS="kvm-qcow2"\nVNMAD_LOCAL_ACTIONS="elastic-post elastic-clean"\n'
CONF = {"oned.conf": ONED, "monitord.conf": MONITORD, "vmm_exec/vmm_execrc": EXECRC}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, so that edits made to it meanwhile do not look like a change."""
    place = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        if (TOP / part).is_dir():
            shutil.copytree(TOP / part, place / part, ignore=ignore)
        else:
            shutil.copy2(TOP / part, place / part)
    return place


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A self-contained front-end."""
    place = tmp_path / "one"
    for name, text in CONF.items():
        write(place / "etc" / name, text)
    (place / "etc/oned.conf").chmod(0o640)
    write(place / "var/remotes/im/kvm.d/monitord-client_control.sh", "#!/bin/bash\n# OpenNebula's\n")
    return place


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def install(checkout: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run install.sh, see its exit code, and return all it said."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    run = subprocess.run(
        [str(checkout / "install.sh"), *arguments], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert run.returncode == code, run.stdout
    return run.stdout


def linked(checkout: Path, one: Path, *arguments: str, code: int = 0) -> str:
    """Install with -l, from the Python that runs the tests: no pip, a moment."""
    return install(checkout, "-d", str(one), "-l", "--python", sys.executable, *arguments, code=code)


def snapshot(top: Path, *, times: bool = False) -> dict[str, str]:
    """Return everything below ``top``: kind, mode, owner, content (and when it was written)."""
    found = {}
    for path in sorted(top.rglob("*")):
        info = path.lstat()
        if path.is_symlink():
            content = os.readlink(path)
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        when = str(info.st_mtime_ns) if times else ""
        found[str(path.relative_to(top))] = (
            f"{stat.filemode(info.st_mode)} {info.st_uid} {info.st_gid} {content} {when}"
        )
    return found


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777
