"""The agent's end of its unix socket: the address, who may talk, reading a frame in bounded time and size."""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hybrid_drivers.agent import protocol
from hybrid_drivers.errors import AgentError

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 107  # bytes; sun_path of unix(7) less its final NUL


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of ``path`` that fits into a unix socket address: by way of its open folder when it is too long."""
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_allowed(connection: socket.socket) -> bool:
    """Tell whether the client is of our own user or root; the kernel says so (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    if uid in (0, os.geteuid()):
        return True
    log.warning("refused a connection of user id %d (process %d)", uid, pid)
    return False


def read_request(connection: socket.socket, timeout: float) -> bytes:
    """Read the frame of a call and return its body.

    Raises:
        ConnectionAbortedError: the peer left without a word (somebody looked whether we listen).
        BadFrame: another version, too large, cut short, or not complete after ``timeout`` seconds.
    """
    until = time.monotonic() + timeout
    version = _receive(connection, 1, until, first=True)
    if version != protocol.VERSION:
        raise protocol.BadFrame("it is not a call in this agent's version of the protocol")
    size = int.from_bytes(_receive(connection, protocol.LENGTH_SIZE, until), "big")
    if size > protocol.REQUEST_LIMIT:
        raise protocol.BadFrame(f"it is larger than {protocol.REQUEST_LIMIT >> 20} MiB")
    return _receive(connection, size, until)


def _receive(connection: socket.socket, size: int, until: float, *, first: bool = False) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        connection.settimeout(max(until - time.monotonic(), 0.001))
        try:
            part = connection.recv(min(size - len(parts), 1 << 20))
        except TimeoutError as exc:
            raise protocol.BadFrame("it did not come in time") from exc
        if not part and not parts and first:
            raise ConnectionAbortedError("nothing was sent")
        if not part:
            raise protocol.BadFrame("it was cut short")
        parts += part
    return bytes(parts)


def shut(connection: socket.socket) -> None:
    """Wake whoever waits on the connection (or in accept()): it ends for both sides."""
    with suppress(OSError):  # already gone
        connection.shutdown(socket.SHUT_RDWR)


def ensure_private_folder(folder: Path) -> None:
    """Make ``folder`` (0700) when missing and take everybody else's rights on it away.

    Raises:
        AgentError: it is another user's, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise AgentError(f"{folder} belongs to another user: run the agent as its owner.")
        folder.chmod(0o700)
    except OSError as exc:
        raise AgentError(f"{folder} cannot be used as the agent's folder: {exc.strerror}.") from exc
