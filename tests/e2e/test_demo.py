"""``make demo`` as a new user runs it, on real machines: it does what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_drivers.sandbox.machines.nspawn import why_not

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=f"{why_not()}")]
COMMAND = (sys.executable, "-u", "-m", "hybrid_drivers.sandbox", "demo")


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def agents(folder: Path) -> list[str]:
    """The command lines of processes that were started from below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile
            continue
        if str(folder) in command:
            found.append(command)
    return found


def test_it_rents_configures_and_gives_back(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        told, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, told
    assert "edge1    READY" in told
    assert "Running hypervisor: QEMU" in told
    assert told.rstrip().endswith("machines left at the provider: 0")
    assert agents(tmp_path) == []


def test_ended_in_the_middle_it_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "CONFIGURING" in line)
        demo.send_signal(signal.SIGTERM)
        told, _ = demo.communicate(timeout=120)
    assert demo.returncode != 0
    assert "everything made was removed" in told
    assert agents(tmp_path) == []
    assert list(tmp_path.glob("onehybrid-lab-*")) == []
