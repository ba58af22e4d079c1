#!/usr/bin/env -S python3 -IS
"""The thin client: hands one call of oned to the agent and relays its answer; starts the agent when there is none.

    hybrid-client <family> <driver> <action> [argument...]        (standard input goes along, except for ``pm``)

``install.sh`` copies this one file to ``<lib>/hybrid/hybrid-client``. It imports nothing of the package and runs on
Python 3.8 and later with ``-IS``. ``os`` and three C modules are all it loads on the way of a call (``socket`` or
``json`` alone would double its start); starting an agent is the work of ``agent/starter.py``. The wire
format is described in ``agent/protocol.py``, the failure text in ``oned/process.py``; tests hold the copies together.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # not in typeshed; `signal` would load `enum` on the way of each call
import _socket
import os
import sys

VERSION = b"\x01"
STDIN_LIMIT = 16 << 20  # bytes
ANSWER_LIMIT = 64 << 20  # bytes
SOCKET_PATH_LIMIT = 107  # bytes; sun_path of unix(7) less its final NUL
# Seconds in all. one_im_sh kills after 90, oned forgets an IPAM request after 90, `pm` has no limit (0).
LIMITS = {"im": 85, "ipam": 60, "pm": 0, "agent": 85}
OTHER_LIMIT = 600
REPEATABLE = ("im", "ipam", "vnm")  # the same call again finds what the first one did
AGENT_ENVIRONMENT = ("ONE_LOCATION", "ONE_XMLRPC", "ONE_AUTH", "HOME", "PATH", "LANG")
PREFIXES = ("ERROR:", "INFO:", "WARN:", "WARNING:", "DEBUG:")  # what oned's log pattern takes for its own


class Failed(Exception):
    """The call cannot be made; the text is the sentence for people."""


class NoAgent(Exception):
    """Nobody listens on the socket."""


class Lost(Exception):
    """The connection ended before the whole answer; ``begun`` tells whether the agent had taken the call."""

    def __init__(self, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class Place:
    """The folders of this front-end, as ``config.Location`` has them."""

    def __init__(self, one_location: str) -> None:
        top = os.path.abspath(one_location) if one_location else ""
        self.one_location = top
        self.lib = top + "/lib/hybrid" if top else "/usr/lib/one/hybrid"
        self.state = top + "/var/hybrid" if top else "/var/lib/one/hybrid"
        self.python = self.lib + "/venv/bin/python"


def blob(data: bytes) -> bytes:
    """Put the length before ``data``: four bytes, big-endian."""
    return len(data).to_bytes(4, "big") + data


def request(names: list[bytes], arguments: list[bytes], environment: list[bytes], stdin: bytes) -> bytes:
    """Write the frame of a call; ``names`` are family, driver and action."""
    lists = [b"".join(text + b"\0" for text in texts) for texts in (arguments, environment)]
    return VERSION + blob(b"".join(map(blob, [*names, *lists, stdin])))


def receive(sock: _socket.socket, size: int, begun: bool) -> bytes:
    """Read exactly ``size`` bytes, or raise ``Lost``."""
    parts = []
    while size:
        try:
            part = sock.recv(min(size, 1 << 20))
        except OSError:
            part = b""
        if not part:
            raise Lost(begun)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def ask(sock: _socket.socket, frame: bytes) -> tuple[int, bytes, bytes]:
    """Send a call and return exit code, standard output and standard error of the answer."""
    try:  # noqa: SIM105 - contextlib is not loaded on the way of a call
        sock.sendall(frame)
    except OSError:
        pass  # what the agent said before it closed is still to be read
    if receive(sock, 1, False) != VERSION:
        raise Failed("The agent speaks another version than this client: stop it with 'onehybrid agent stop'.")
    size = int.from_bytes(receive(sock, 4, True), "big")
    if size > ANSWER_LIMIT:
        raise Failed(f"The agent's answer is too large ({size >> 20} MiB): see its log.")
    body = receive(sock, size, True)
    fields = []
    while body:
        end = 4 + int.from_bytes(body[:4], "big")
        fields.append(body[4:end])
        body = body[end:]
    return int(fields[0]), fields[1], fields[2]


def connect(state: str) -> _socket.socket:
    """Connect to the agent in folder ``state``; raise ``NoAgent`` when nobody listens."""
    path, opened = state + "/agent.sock", -1
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
            opened = os.open(state, os.O_PATH | os.O_DIRECTORY)
            path = f"/proc/self/fd/{opened}/agent.sock"
        sock.connect(path)
        peer = int.from_bytes(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
        me = os.geteuid()
        if peer not in (0, me) and (me != 0 or peer != os.stat(state).st_uid):
            raise Failed(f"{state}/agent.sock belongs to user id {peer}, not to the agent: remove it.")
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        raise NoAgent from None
    except OSError as exc:
        sock.close()
        raise Failed(f"Cannot use {state}/agent.sock: {exc.strerror}; run this as oneadmin.") from exc
    finally:
        if opened >= 0:
            os.close(opened)
    return sock


def wait_for_turn(place: Place) -> int:
    """Take the lock of those who find no agent, so that one starts it and the others wait; return its descriptor."""
    import fcntl

    try:
        os.mkdir(place.state, 0o700)
        if os.geteuid() == 0:  # the agent is no root process: it runs as the owner of its folder
            above = os.stat(os.path.dirname(place.state))
            os.chown(place.state, above.st_uid, above.st_gid)
    except FileExistsError:
        pass
    lock = os.open(place.state + "/start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = os.stat(place.state)
        os.fchown(lock, owner.st_uid, owner.st_gid)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def run_starter(place: Place) -> None:
    """Run ``hybrid_drivers.agent.starter``, which ends when the agent listens; ``Failed`` with its words otherwise."""
    import subprocess

    environment = {name: os.environ[name] for name in AGENT_ENVIRONMENT if name in os.environ}
    if place.one_location:
        environment["ONE_LOCATION"] = place.one_location
    command = [place.python, "-I", "-m", "hybrid_drivers.agent.starter"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        check=False,
    )
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "its starter said nothing")
        raise Failed(said if said.startswith("The agent") else "The agent cannot be started: " + said)


def start(place: Place) -> _socket.socket:
    """Connect to the agent, starting it when there is none. Of any number of callers one starts it, the others wait.

    The one that failed leaves its sentence in the lock file for those that were waiting meanwhile.
    """
    import time

    arrived = time.time()
    try:
        lock = wait_for_turn(place)
        try:
            try:
                return connect(place.state)
            except NoAgent:
                pass
            told = os.read(lock, 1000)
            if told and os.fstat(lock).st_mtime > arrived:
                raise Failed(told.decode("utf-8", "replace"))
            os.ftruncate(lock, 0)
            try:
                run_starter(place)
                return connect(place.state)
            except Failed as failed:
                os.pwrite(lock, str(failed).encode("utf-8", "replace"), 0)
                raise
        finally:
            os.close(lock)
    except OSError as exc:
        raise Failed(f"Cannot start the agent: {exc.filename or place.state}: {exc.strerror}.") from exc


def call(place: Place, frame: bytes, repeatable: bool) -> tuple[int, bytes, bytes]:
    """Make the call, whatever state the agent is in; a call the agent had begun is repeated only when ``repeatable``.

    A connection lost before the agent took the call (it was ending) is no failure: the call goes to the next agent.
    """
    for attempt in range(5):
        try:
            sock = start(place) if attempt else connect(place.state)
        except NoAgent:
            continue  # none yet, or the one just started was told to end
        try:
            return ask(sock, frame)
        except Lost as lost:
            if lost.begun and not repeatable:
                raise Failed("The agent ended during the call, which may be done in part: see its log.") from None
            repeatable = repeatable and not lost.begun
        finally:
            sock.close()
    raise Failed("The agent ends again and again before it takes the call: see its log.")


def plain_line(text: str) -> str:
    """Fold ``text`` into one line oned cannot misread (the rule of ``oned.process.plain_line``)."""
    line = " ".join(text.split()) or "unknown failure"
    if line.startswith(PREFIXES) or line[0].isdecimal():
        line = "failed: " + line
    return line.replace("--8<", "--8 <").replace(">8--", "> 8--")


def failure(text: str, family: str) -> tuple[int, bytes, bytes]:
    """Return exit code, output and error output of a failure (the rule of ``oned.process.failure``)."""
    line = plain_line(text).encode("utf-8", "replace") + b"\n"
    if family == "pm":
        return 255, b"", b"ERROR MESSAGE --8<------\n" + line + b"ERROR MESSAGE ------>8--\n"
    return (1, line, b"") if family == "im" else (1, b"", line)


def read_stdin() -> bytes:
    """Return standard input; nothing of a terminal or a closed one."""
    parts, size = [], 0
    try:
        while not os.isatty(0):
            part = os.read(0, 1 << 20)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > STDIN_LIMIT:
                raise Failed(f"Standard input is larger than {STDIN_LIMIT >> 20} MiB.")
    except OSError:
        pass  # closed
    return b"".join(parts)


def folder() -> bytes:
    """Return the working folder, which relative file names among the arguments mean; empty when it is gone."""
    try:
        return os.fsencode(os.getcwd())
    except OSError:
        return b""


def write(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; a reader that left is not our failure."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass


def main() -> int:
    """Run one call of oned and return its exit code."""
    words = [os.fsencode(word) for word in sys.argv[1:]]
    family = os.fsdecode(words[0]) if words else ""
    seconds = LIMITS.get(family, OTHER_LIMIT)

    def time_is_up(_number: int, _frame: object) -> None:
        raise Failed(f"No answer within {seconds} s: the agent is busy or hangs; see its log.")

    _signal.signal(_signal.SIGALRM, time_is_up)
    _signal.setitimer(_signal.ITIMER_REAL, seconds)
    try:
        if len(words) < 3:
            raise Failed("Usage: hybrid-client <family> <driver> <action> [argument...]")
        stdin = b"" if family == "pm" else read_stdin()
        frame = request(words[:3], words[3:], [b"PWD=" + folder()], stdin)
        code, output, errors = call(Place(os.environ.get("ONE_LOCATION", "")), frame, family in REPEATABLE)
    except Failed as failed:
        code, output, errors = failure(str(failed), family)
    _signal.setitimer(_signal.ITIMER_REAL, 0)
    write(1, output)
    write(2, errors)
    return code


if __name__ == "__main__":
    sys.exit(main())
