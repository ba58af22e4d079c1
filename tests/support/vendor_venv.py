"""The published packet client in a venv of its own, made once and kept in the cache folder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "packet-python==1.44.3"


def packet_python() -> Path:
    """Return the interpreter of a venv that has packet-python; skips the test when it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onehybrid"
    venv = cache / "venv-packet-python"
    interpreter = venv / "bin/python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "venv-packet-python.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if _works(interpreter):
            return interpreter
        steps = (
            [sys.executable, "-m", "venv", "--clear", str(venv)],
            [str(interpreter), "-m", "pip", "install", PACKAGE],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=300)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no output"])[-1]
                pytest.skip(f"the published client {PACKAGE} cannot be installed here: {last}")
    return interpreter


def _works(interpreter: Path) -> bool:
    if not interpreter.exists():
        return False
    return subprocess.run([interpreter, "-c", "import packet"], capture_output=True, timeout=60).returncode == 0
