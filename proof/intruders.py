"""Who is not let in: false machines over SSH, other users and rude callers at the agent's socket, files others read.

Each case is decided by what reached the other side, not only by the error: a server that was refused must have been
sent nothing after the key exchange, a call that was refused must not have been carried out.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
from tests.support.impostor import WEAK, Impostor, Thief

from hybrid_drivers.agent import protocol
from hybrid_drivers.agent.server import Server
from hybrid_drivers.errors import ConfigError, HostKeyMismatch, HostUnreachable
from hybrid_drivers.hostconfig.hostkeys import HostKey, generate
from hybrid_drivers.hostconfig.runner import SshTarget, connect
from hybrid_drivers.oned.process import Answer, Call
from hybrid_drivers.providers.entries import load_entry

from .rows import Outcome, Row, folder, seeded

NOBODY = 65534
PATIENCE = 20.0  # seconds for what is not refused at once
REQUEST = 0.5  # seconds the server under test gives a caller
MOST_MEMORY = 96  # MiB that rude callers may cost
ENTRY = "driver: packet\ntoken: aaaaaaaaaaaaaaaa\nproject: p\n"
CALL = Call(family="im", driver="packet", action="x", argv=("a",), stdin=b"in")

Case = Callable[[Path, random.Random], str]  # returns what is wrong; the folder is its own


# --- false machines ---------------------------------------------------------------------------------------------------


def _paramiko(key: HostKey) -> paramiko.PKey:
    import io

    return paramiko.Ed25519Key.from_private_key(io.StringIO(key.private_openssh))


def _target(path: Path, chance: random.Random, port: int, pinned: str) -> SshTarget:
    login = path / "login"
    login.write_text(generate(chance.randbytes(32)).private_openssh)
    login.chmod(0o600)
    return SshTarget("127.0.0.1", port, "root", login, (pinned,) if pinned else (), trust_first=not pinned)


def _tried(path: Path, chance: random.Random, server: Impostor, pinned: str, *, refused: bool) -> str:
    try:
        connect(_target(path, chance, server.port, pinned), timeout=PATIENCE).close()
    except (HostKeyMismatch, HostUnreachable) as exc:
        wrong = f"was sent {server.asked}" if server.asked else ""
        return wrong if refused else f"the true machine is refused: {exc}"
    return "is believed" if refused else ""


def the_true_machine(path: Path, chance: random.Random) -> str:
    """So that what is refused is refused for what it is."""
    key = generate(chance.randbytes(32))
    with Impostor(_paramiko(key)) as server:
        wrong = _tried(path, chance, server, key.public, refused=False)
        return wrong or ("" if "key of root" in server.asked else "nobody logged in")


def a_swapped_host_key(path: Path, chance: random.Random) -> str:
    """Another key of the same kind."""
    true, other = generate(chance.randbytes(32)), generate(chance.randbytes(32))
    with Impostor(_paramiko(other)) as server:
        return _tried(path, chance, server, true.public, refused=True)


def a_shown_key_that_he_has_not(path: Path, chance: random.Random) -> str:
    """A man in the middle who shows the true key and cannot sign with it."""
    true, other = generate(chance.randbytes(32)), generate(chance.randbytes(32))
    with Impostor(Thief(_paramiko(other), _paramiko(true).asbytes())) as server:
        return _tried(path, chance, server, true.public, refused=True)


def _weak(name: str, *, trust_first: bool) -> Case:
    def case(path: Path, chance: random.Random) -> str:
        key = generate(chance.randbytes(32))
        with Impostor(_paramiko(key), WEAK[name]) as server:
            return _tried(path, chance, server, "" if trust_first else key.public, refused=True)

    return case


# --- rude callers -----------------------------------------------------------------------------------------------------


@contextmanager
def _serving(path: Path) -> Iterator[list[Call]]:
    """Serve calls in ``path``; yield what was carried out."""
    done: list[Call] = []

    def handler(call: Call) -> Answer:
        done.append(call)
        return Answer(stdout=b"done")

    server = Server(path / "agent.sock", handler, request_timeout=REQUEST, answer_timeout=REQUEST, limit=64)
    server.start()
    try:
        yield done
    finally:
        server.stop(PATIENCE)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    connection.connect(str(path / "agent.sock"))
    return connection


def _said(connection: socket.socket) -> bytes:
    found = b""
    with suppress(OSError):
        while part := connection.recv(65536):
            found += part
    return found


def _still_serves(path: Path, done: list[Call], before: int = 0) -> str:
    if len(done) != before:
        return "a call was carried out"
    with _connected(path) as connection:
        connection.sendall(protocol.encode_call(CALL))
        return "" if b"done" in _said(connection) else "honest callers are not served any more"


def another_user(path: Path, _: random.Random) -> str:
    """Somebody else came past the rights of folder and socket."""
    if os.geteuid() != 0:
        return ""
    with _serving(path) as done:
        path.chmod(0o711)
        (path / "agent.sock").chmod(0o777)
        pid = os.fork()
        if pid == 0:
            with suppress(OSError):
                os.setgroups([])
                os.setgid(NOBODY)
                os.chdir(path)
                os.setuid(NOBODY)
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.connect("agent.sock")
                    connection.settimeout(PATIENCE)
                    with suppress(OSError):
                        connection.sendall(protocol.encode_call(CALL))
                    os._exit(min(len(_said(connection)), 100))
            os._exit(101)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return f"another user got an answer ({code})" if code else _still_serves(path, done)


def oversize_calls(path: Path, chance: random.Random) -> str:
    """Callers that announce, or send, more than a call may have."""
    with _serving(path) as done:
        began = _peak()
        for size in (protocol.REQUEST_LIMIT + 1, 2**31, 2**32 - 1):
            with _connected(path) as connection, suppress(OSError):
                connection.sendall(protocol.VERSION + struct.pack(">I", size))
                block = chance.randbytes(1 << 20)
                for _ in range(64):
                    connection.sendall(block)
        grown = _peak() - began
        return f"oversize calls cost {grown} MiB" if grown > MOST_MEMORY else _still_serves(path, done)


def slow_callers(path: Path, chance: random.Random) -> str:
    """Twice as many callers as are served at once, who send a byte now and then, or nothing."""
    with _serving(path) as done:
        frame = protocol.encode_call(CALL)
        began = time.monotonic()
        rude = [_connected(path) for _ in range(128)]
        for connection in rude:
            with suppress(OSError):
                connection.sendall(frame[: chance.randrange(len(frame))])
        wrong = _still_serves(path, done)
        waited = time.monotonic() - began
        for connection in rude:
            connection.close()
        return wrong or (f"an honest caller waited {waited:.0f} s" if waited > PATIENCE else "")


def calls_of_garbage(path: Path, chance: random.Random) -> str:
    """Frames cut, changed and made up."""
    whole = protocol.encode_call(CALL)
    with _serving(path) as done:
        for _ in range(30):
            at = chance.randrange(5, len(whole) - 1)
            garbage = chance.choice((whole[:at], whole[:at] + b"\xff\xff" + whole[at:-2], chance.randbytes(40)))
            with _connected(path) as connection, suppress(OSError):
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                _said(connection)
        return _still_serves(path, done, before=len(done))  # some of it was a call, with another standard input


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# --- files that others may read ---------------------------------------------------------------------------------------


def _refused_file(path: Path) -> bool:
    try:
        load_entry(path)
    except ConfigError:
        return True
    return False


def open_provider_files(path: Path, _: random.Random) -> str:
    """Every mode that gives others anything is refused; 0600 and 0400 are not."""
    file = path / "ams.yaml"
    file.write_text(ENTRY)
    for mode in range(0o1000):
        if not mode & 0o400:
            continue
        file.chmod(mode)
        if _refused_file(file) != bool(mode & 0o077):
            return f"a provider file with mode {mode:o} is {'refused' if not mode & 0o077 else 'read'}"
    return ""


def provider_files_of_others(path: Path, _: random.Random) -> str:
    """A file of another user, also by way of a link."""
    if os.geteuid() != 0:
        return ""
    file, link = path / "theirs", path / "ams.yaml"
    file.write_text(ENTRY)
    file.chmod(0o600)
    os.chown(file, NOBODY, NOBODY)
    link.symlink_to(file)
    return "" if _refused_file(link) else "a provider file of another user is read"


CASES: dict[str, Case] = {
    "the true machine": the_true_machine,
    "swapped host key": a_swapped_host_key,
    "man in the middle": a_shown_key_that_he_has_not,
    **{f"only {name}": _weak(name, trust_first=False) for name in WEAK},
    **{f"only {name}, first contact": _weak(name, trust_first=True) for name in WEAK},
    "another user": another_user,
    "oversize calls": oversize_calls,
    "slow callers": slow_callers,
    "garbage": calls_of_garbage,
    "open provider files": open_provider_files,
    "provider files of others": provider_files_of_others,
}


def story(seed: int) -> Outcome:
    """Play all cases once; keys, sizes and garbage are of the seed."""
    chance = random.Random(seed)
    violations = []
    for name, case in CASES.items():
        with folder() as path:
            if wrong := case(path, chance):
                violations.append(f"{name}: {wrong}")
    return Outcome(seed=seed, violations=violations, figures={"cases": len(CASES)})


ROWS = (
    Row(name="intruders", what="false machines, other users, rude callers, open files", runs=20, run=seeded(story)),
)
