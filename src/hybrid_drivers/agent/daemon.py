"""The agent's process: one a front-end, held to one by a lock on ``<state>/agent.lock``.

    python -I -m hybrid_drivers.agent.daemon [--wait] [--foreground] [--idle-exit SECONDS]

A process that does not get the lock ends at once with 0; with ``--wait`` (for systemd) it waits for its turn. TERM
and INT end it gracefully, HUP makes it read its configuration again.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from hybrid_drivers.agent import logs, privacy
from hybrid_drivers.agent.service import Agent, Core
from hybrid_drivers.agent.settings import AgentSettings, read_settings
from hybrid_drivers.agent.sockets import ensure_private_folder
from hybrid_drivers.agent.starter import become_owner
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import HybridError

log = logging.getLogger(__name__)

CORE = "hybrid_drivers.agent.core:build"
START_LIMIT = 60  # seconds; a process that does not listen by then writes its stacks to agent.out and ends
FILES = 65536  # descriptors, as far as the hard limit allows: each call in progress holds one, each SSH session too


def take_lock(path: Path, *, wait: bool) -> int | None:
    """Take the lock that makes this process the one agent; None when another has it and ``wait`` is False.

    The descriptor stays open, and so locked, until the process ends, however it ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _serve(location: Location, options: argparse.Namespace) -> None:
    """Build everything and run it; the lock is held."""
    import faulthandler

    faulthandler.dump_traceback_later(START_LIMIT, exit=True)
    path = logs.log_path(location.log, location.state / "hybrid.log")
    to_stderr = bool(options.foreground)
    _log_to(path, AgentSettings(), to_stderr)  # so that a mistake in the settings is logged too
    settings = read_settings(location.etc / "hybrid.yaml").agent
    _log_to(path, settings, to_stderr)
    _log_stray_errors()
    _raise_file_limit()
    module, _, name = str(options.core).partition(":")
    clock = SystemClock()
    core: Core = getattr(importlib.import_module(module), name)(location, clock)
    agent = Agent(location, core, clock, idle_exit=options.idle_exit)
    agent.configure(settings)
    agent.run(faulthandler.cancel_dump_traceback_later)


def _log_to(path: Path, settings: AgentSettings, to_stderr: bool) -> None:
    size, count = settings.log_size << 20, settings.log_count
    logs.set_up(path, level=settings.log_level, size=size, count=count, to_stderr=to_stderr)


def _log_stray_errors() -> None:
    """Send what ends a thread to the log, masked, instead of to standard error."""

    def thread_error(args: threading.ExceptHookArgs) -> None:
        log.error("thread %s ended by a bug: %r", args.thread.name if args.thread else "?", args.exc_value)
        log.debug("the bug", exc_info=args.exc_value)

    threading.excepthook = thread_error


def _raise_file_limit() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent until its end; return the exit code."""
    parser = argparse.ArgumentParser(prog="hybrid-agent", description="The agent of the OpenNebula Hybrid Drivers.")
    parser.add_argument("--wait", action="store_true", help="wait until no other agent runs, instead of ending")
    parser.add_argument("--foreground", action="store_true", help="log to standard error too")
    parser.add_argument("--idle-exit", type=float, help="seconds without work after which to end; 0: never")
    parser.add_argument("--core", default=CORE, help=argparse.SUPPRESS)  # tests put a toy in its place
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to read again
    os.umask(0o077)
    location = Location.from_environment(os.environ)
    try:
        become_owner(location.state)
        privacy.keep_private()
        ensure_private_folder(location.state)
        if take_lock(location.state / "agent.lock", wait=options.wait) is None:
            return 0
        _serve(location, options)
    except (HybridError, OSError) as error:
        if logging.getLogger().handlers:
            log.error("the agent ends: %s", error)
        sys.stderr.write(f"{logs.masked(str(error))}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
