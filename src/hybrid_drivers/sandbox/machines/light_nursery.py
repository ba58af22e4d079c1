"""Starts the processes that hold light machines: one process has everything imported and forks one for each yard.

Importing takes ten times what a fork takes, and tests make hundreds of yards. There is one nursery for each process
that has yards, it ends with that. ``python -m hybrid_drivers.sandbox.machines.light_nursery FD`` is it: FD is a socket,
each message on it carries three files to be standard input, output and error, and is answered with the process id.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import IO, TextIO

from hybrid_drivers.errors import SandboxError

_END_LIMIT = 5.0  # seconds a process gets to end by itself
_lock = threading.Lock()


@dataclass(frozen=True)
class Holder:
    """A process that holds a yard's machines: :mod:`.light_server` with its ends of the pipes."""

    pid: int
    orders: TextIO
    answers: TextIO

    def end(self) -> None:
        """End it: it goes with its orders. Returns when it is gone."""
        with suppress(BrokenPipeError):
            self.orders.close()
        until = time.monotonic() + _END_LIMIT
        with suppress(ProcessLookupError):
            while True:
                os.kill(self.pid, signal.SIGKILL if time.monotonic() > until else 0)
                time.sleep(0.002)
        self.answers.close()


def start(log: IO[bytes]) -> Holder:
    """Start a process for a yard; ``log`` is its standard error.

    Raises:
        SandboxError: the nursery is gone.
    """
    theirs_in, orders = os.pipe()
    answers, theirs_out = os.pipe()
    try:
        with _lock:
            nursery, _ = _nursery(os.getpid())
            socket.send_fds(nursery, [b"+"], [theirs_in, theirs_out, log.fileno()])
            pid = nursery.recv(16)
    except OSError:
        pid = b""
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    if not pid:
        os.close(orders)
        os.close(answers)
        raise SandboxError("the process that starts light machines is gone")
    return Holder(int(pid), os.fdopen(orders, "w"), os.fdopen(answers))


@cache
def _nursery(owner: int) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the way to the nursery of this process; a forked child has one of its own, so ``owner`` is part of it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "hybrid_drivers.sandbox.machines.light_nursery", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours, process


def main() -> None:
    """Fork until the socket ends."""
    from hybrid_drivers.sandbox.machines import light_server

    gc.freeze()  # what is imported is shared with every child, and stays so
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        while True:
            _, files, _, _ = socket.recv_fds(orders, 1, 3)
            if not files:
                return
            pid = os.fork()
            if pid == 0:
                break
            for one in files:
                os.close(one)
            orders.send(str(pid).encode())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for number, one in enumerate(files):
        os.dup2(one, number)
        os.close(one)
    light_server.main()
    os._exit(0)  # taking every module apart would cost more than all before


if __name__ == "__main__":
    main()
