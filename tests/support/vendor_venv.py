"""Published packages in venvs of their own, made once and kept in the cache folder."""

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
    return python_with(PACKAGE, "packet")


class Unavailable(Exception):
    """A package cannot be installed here."""


def python_with(package: str, module: str) -> Path:
    """Return what :func:`venv_with` does; skips the test when it cannot be had."""
    try:
        return venv_with(package, module)
    except Unavailable as exc:
        pytest.skip(str(exc))


def venv_with(package: str, module: str) -> Path:
    """Return the interpreter of a venv that has ``package`` (NAME==VERSION), proved by importing ``module``.

    Raises:
        Unavailable: it cannot be had.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onehybrid"
    name = f"venv-{package.partition('==')[0]}"
    venv = cache / name
    interpreter = venv / "bin/python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come at once
        if _works(interpreter, module):
            return interpreter
        steps = (
            [sys.executable, "-m", "venv", "--clear", str(venv)],
            [str(interpreter), "-m", "pip", "install", package],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=300)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no output"])[-1]
                raise Unavailable(f"the published package {package} cannot be installed here: {last}")
    return interpreter


def _works(interpreter: Path, module: str) -> bool:
    if not interpreter.exists():
        return False
    return subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, timeout=60).returncode == 0
