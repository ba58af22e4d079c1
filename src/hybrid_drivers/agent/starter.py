"""Start the agent's process and wait until it listens; run by the thin client that found none, and by ``onehybrid``.

    python -I -m hybrid_drivers.agent.starter        exit 0: an agent listens; else one sentence on standard output

The caller holds ``start.lock``, so of many callers one runs this. That there is never a second agent is not its work
but that of the lock the agent itself takes.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hybrid_drivers.agent.sockets import ensure_private_folder, short_path
from hybrid_drivers.config import Location
from hybrid_drivers.errors import AgentError

START_LIMIT = 45.0  # seconds from starting the process to its socket; several times what a busy machine needs
OUTPUT_LIMIT = 1 << 20  # bytes of agent.out after which it is begun anew
DAEMON = ("-I", "-m", "hybrid_drivers.agent.daemon")
ENVIRONMENT = ("ONE_LOCATION", "ONE_XMLRPC", "ONE_AUTH", "HOME", "PATH", "LANG")


def listening(path: Path) -> bool:
    """Tell whether somebody listens on the agent's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with short_path(path) as name:
                probe.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def start_agent(location: Location, *, limit: float = START_LIMIT, options: Sequence[str] = ()) -> None:
    """Start the agent and return when it listens; ``options`` are further arguments of its process.

    A process that ends with 0 found another agent alive, one that is ending or that starts by itself: ours is started
    again until somebody listens.

    Raises:
        AgentError: it ended with an error (its last line is told), or did not listen within ``limit`` seconds.
    """
    become_owner(location.state)
    ensure_private_folder(location.state)
    output = location.state / "agent.out"
    if output.exists() and output.stat().st_size > OUTPUT_LIMIT:
        os.truncate(output, 0)
    since = output.stat().st_size if output.exists() else 0
    until = time.monotonic() + limit
    python = location.lib / "venv/bin/python"
    command = [str(python) if python.exists() else sys.executable, *DAEMON, *options]
    process = _spawn(output, command)
    while time.monotonic() < until:
        if listening(location.socket):
            return
        if process.poll() is None:
            time.sleep(0.02)
        elif process.returncode:
            raise AgentError(f"The agent did not start: {_last_words(output, since)} (see {output}).")
        else:
            time.sleep(0.2)
            process = _spawn(output, command)
    raise AgentError(f"The agent (process {process.pid}) opened no socket within {limit:.0f} s: see {output}.")


def become_owner(state: Path) -> None:
    """As root, go on for good as the user the state folder (or the folder it will be made in) belongs to.

    The agent is oneadmin's: as root it would leave files behind that oneadmin's own agent could not open.
    """
    if os.geteuid() != 0:
        return
    owner = (state if state.exists() else state.parent).stat()
    if owner.st_uid == 0:
        return
    os.environ.pop("ONE_AUTH", None)  # root's own
    try:
        user = pwd.getpwuid(owner.st_uid)
        os.environ["HOME"] = user.pw_dir
        os.initgroups(user.pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def _spawn(output: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the agent apart from us: own session, no file of ours but its output, scrubbed environment.

    MALLOC_ARENA_MAX: with an arena for each of many threads, glibc keeps twice the memory that is in use.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(os.open(output, flags, 0o600), "wb") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",
            env={"MALLOC_ARENA_MAX": "2", **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ}},
            start_new_session=True,
        )


def _last_words(output: Path, since: int) -> str:
    with output.open("rb") as file:
        file.seek(since)
        lines = file.read(OUTPUT_LIMIT).decode("utf-8", "replace").splitlines()
    return next((line.strip()[:300].rstrip(".") for line in reversed(lines) if line.strip()), "it said nothing")


def main() -> int:
    """Run the starter."""
    try:
        start_agent(Location.from_environment(os.environ))
    except (AgentError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
