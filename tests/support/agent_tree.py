"""A self-contained tree (ONE_LOCATION) with the thin client, ``remotes/`` and an agent that carries the toy core."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
CLIENT = TOP / "src/hybrid_drivers/agent/client.py"
TOY = "tests.support.toy_core:build"
# What the tree has for its venv's Python: ours with our modules, and the agent's process gets the toy core.
PYTHON = """#!/bin/sh
module=$3
shift 3
if [ "$module" = hybrid_drivers.agent.daemon ]; then set -- --core {core} "$@"; fi
exec {python} -c "import runpy, sys; sys.path[:0] = {paths}
runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)" "$module" "$@"
"""
PATHS = [str(TOP), str(TOP / "src"), sysconfig.get_paths()["purelib"]]


class AgentTree:
    """The tree and its agent. ``core`` is what the agent's process carries, ``python`` what runs it and the client."""

    def __init__(self, top: Path, *, core: str = TOY, python: str = sys.executable) -> None:
        self.top = top
        self.state = top / "var/hybrid"
        self.lib = top / "lib/hybrid"
        self.client = self.lib / "hybrid-client"
        for folder in (top / "etc/hybrid", self.lib / "venv/bin", top / "var"):
            folder.mkdir(parents=True)
        shutil.copytree(TOP / "remotes", top / "var/remotes")
        self.use_python(PYTHON.format(python=shlex.quote(python), paths=PATHS, core=core))
        source = CLIENT.read_text().partition("\n")[2]
        self.client.write_text(f"#!{os.path.realpath(python)} -IS\n{source}")
        self.client.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """What oned would run drivers with."""
        return {"ONE_LOCATION": str(self.top), "PATH": os.environ["PATH"], "HOME": str(self.top), "LANG": "C.UTF-8"}

    def use_python(self, script: str) -> None:
        """Put ``script`` in the place of the venv's Python."""
        python = self.lib / "venv/bin/python"
        python.write_text(script)
        python.chmod(0o755)

    def popen(self, *words: str, program: Path | None = None, **more: Any) -> subprocess.Popen[bytes]:
        """Start one client, or another executable of the tree."""
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        command = [str(program or self.client), *words]
        started: subprocess.Popen[bytes] = subprocess.Popen(command, env=self.environment, cwd="/", **settings)
        return started

    def call(self, *words: str, stdin: bytes = b"", program: Path | None = None) -> tuple[int, bytes, bytes]:
        """Run one client to its end."""
        process = self.popen(*words, program=program, stdin=subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=100)
        return process.returncode, out, err

    def daemon(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the agent's process itself."""
        words = ["-I", "-m", "hybrid_drivers.agent.daemon", *options]
        return self.popen(*words, program=self.lib / "venv/bin/python")

    def agents(self) -> list[int]:
        """Return the processes that are agents of this tree (from /proc, so nobody's word is trusted)."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                ours = any(b"agent.daemon" in word for word in words)
                if ours and f"ONE_LOCATION={self.top}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
        return found

    def status(self) -> dict[str, Any]:
        """Return what the agent says of itself."""
        code, out, err = self.call("agent", "agent", "status")
        assert code == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer

    def listening(self) -> bool:
        """Tell whether the socket is there."""
        return (self.state / "agent.sock").exists()

    def clean(self) -> None:
        """End the agents of this tree."""
        for pid in self.agents():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.agents(), "the agents have ended")


@contextmanager
def agent_tree(top: Path, *, python: str = sys.executable) -> Iterator[AgentTree]:
    """Make a tree, and end its agents at the end."""
    tree = AgentTree(top, python=python)
    try:
        yield tree
    finally:
        tree.clean()


def eventually(true: Callable[[], object], what: str, limit: float = 30.0) -> None:
    """Wait until ``true()``; fail after ``limit`` seconds."""
    until = time.monotonic() + limit
    while not true():
        assert time.monotonic() < until, f"not within {limit} s: {what}"
        time.sleep(0.01)
