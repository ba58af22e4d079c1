"""SSH to a host: pinned host key, one key to log in with, a time limit on everything.

The only importer of paramiko, which is loaded at the first connection: it costs 0.1 s, and the command line imports
this module without ever connecting. The commands sent say what they are, so that a stand-in can answer them:
``sh -s hybrid-configure apply|check`` (``script.py``), ``sh -s hybrid-stage-host-key`` and
``sh -s hybrid-activate-host-key`` (``hostkeys.sh``), ``grep -qsxF 'DIGEST OWNER' PATH/.hybrid-checksum`` and
``sh -c '...' hybrid-put-tree PATH OWNER DIGEST`` (``tree.py``). A user other than root is expected to have ``sudo -n``.
"""

from __future__ import annotations

import io
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hybrid_drivers.errors import ConfigError, HostError, HostKeyMismatch, HostUnreachable, LoginRefused
from hybrid_drivers.hostconfig import privatekey
from hybrid_drivers.hostconfig.publickey import type_and_key
from hybrid_drivers.hostconfig.report import ReportReader, RunReport, StepReport
from hybrid_drivers.hostconfig.script import Script
from hybrid_drivers.hostconfig.tree import pack as pack_tree
from hybrid_drivers.hostconfig.tree import put_command, up_to_date_command

if TYPE_CHECKING:
    import paramiko

_KEEPALIVE = 15  # seconds between keepalives
_SILENCE = 60_000  # milliseconds of unacknowledged data after which the connection is dead (RFC 5482)
_DRAIN = 0.5  # seconds to wait for output after the command has ended: a daemon it left may hold the pipe
_CHUNK = 65536
_MOST_OUTPUT = 16 << 20  # bytes of one command's stdout, or stderr
_RSA = ("rsa-sha2-512", "rsa-sha2-256")  # what a key of type ssh-rsa signs with (RFC 8332)
# Parts of the names of what paramiko would still use, were it all a server has: a man in the middle may say so for it.
_WEAK = ("sha1", "md5", "cbc", "arcfour", "blowfish", "ssh-dss", "group1-")
_SHA1_SIGNATURES = ("ssh-rsa", "ssh-rsa-cert-v01@openssh.com")

_KEYS: Mapping[str, str] = {"ed25519": "Ed25519Key", "rsa": "RSAKey", "ecdsa": "ECDSAKey"}  # classes of paramiko
# It logs tracebacks of refused and broken connections, which our errors tell in one line.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class SshTarget:
    """Where and as whom to log in. ``host_keys`` are the only keys accepted, as lines ``ssh-ed25519 AAAA...``.

    Without any, ``trust_first`` must be set: the key shown is then accepted, for the caller to pin it.
    """

    address: str
    port: int
    user: str
    private_key: Path
    host_keys: tuple[str, ...] = ()
    trust_first: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a command left: exit code (-1: ended by a signal), stdout, stderr (undecodable bytes replaced)."""

    code: int
    stdout: str
    stderr: str


def connect(target: SshTarget, *, timeout: float) -> Session:
    """Open a connection: TCP, key exchange, host key, login, all within ``timeout`` seconds.

    Raises:
        ConfigError: no host keys and no trust on first use, or the private key cannot be used.
        HostUnreachable: no SSH server answers (yet).
        HostKeyMismatch: the server has none of the pinned keys; nothing was sent to it.
        LoginRefused: the server does not accept the key for this user.
    """
    key = _login_key(target.private_key)
    end = time.monotonic() + timeout
    pinned = tuple(type_and_key(line) for line in target.host_keys)
    if not pinned and not target.trust_first:
        raise ConfigError(f"{target.address}: no SSH host key is known and trust on first use is not allowed")
    transport = _open(target, end)
    try:
        _exchange_keys(transport, target, pinned, end)
        _log_in(transport, target, key, end)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(_KEEPALIVE)
    return Session(target, transport)


def _login_key(path: Path) -> paramiko.PKey:
    import paramiko

    kind, text = privatekey.read(path)
    made: type[paramiko.PKey] = getattr(paramiko, _KEYS[kind])
    return made.from_private_key(io.StringIO(text))


def _broken() -> tuple[type[Exception], ...]:
    """Return what a call of paramiko raises when the connection broke, or never became one."""
    from paramiko import SSHException

    return SSHException, OSError, EOFError


def answers(target: SshTarget, *, timeout: float) -> bool:
    """Tell within ``timeout`` seconds whether anything listens on the host's SSH port; nothing is sent."""
    try:
        socket.create_connection((target.address, target.port), timeout=timeout).close()
    except OSError:
        return False
    return True


class Session:
    """A logged-in connection; a context manager. Not for use by several threads at once."""

    def __init__(self, target: SshTarget, transport: paramiko.Transport) -> None:
        self._target, self._transport = target, transport

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; again is harmless."""
        self._transport.close()

    @property
    def host(self) -> str:
        """Return the address, for messages."""
        return self._target.address

    @property
    def target(self) -> SshTarget:
        """Return where and as whom we are logged in."""
        return self._target

    @property
    def host_key(self) -> str:
        """Return the key the server proved to have, as ``ssh-ed25519 AAAA...``."""
        key = self._transport.get_remote_server_key()
        return f"{key.get_name()} {key.get_base64()}"

    def as_root(self, command: str) -> str:
        """Return ``command`` as root runs it, whoever logged in."""
        return command if self._target.user == "root" else f"sudo -n -- {command}"

    def run(self, command: str, stdin: bytes = b"", *, timeout: float) -> RunResult:
        """Run a command and wait for its end, at most ``timeout`` seconds.

        Raises:
            HostUnreachable: the connection broke; whether the command went on is unknown.
            HostError: it did not end in time.
        """
        out, err = _Output(self.host), _Output(self.host)
        code = self._run(_Command(command, stdin, out.add, err.add), timeout)
        return RunResult(code, out.text(), err.text())

    def run_script(
        self, script: Script, on_step: Callable[[StepReport], None], *, check_only: bool = False, timeout: float
    ) -> RunReport:
        """Run a compiled script; ``on_step`` is called as each step begins and as it ends, in this thread.

        Raises:
            StepFailed: a step failed; the steps after it were not run.
            HostUnreachable: the connection broke; running the script again goes on from there.
            HostError: it could not start, or did not end within ``timeout`` seconds.
        """
        began = time.monotonic()
        reader = ReportReader(self.host, script, on_step)
        command = self.as_root(script.command(check_only=check_only))
        err = _Output(self.host)
        code = self._run(_Command(command, script.text.encode(), reader.feed, err.add), timeout)
        return reader.result(code, err.text(), time.monotonic() - began)

    def put_tree(self, local: Path, remote: str, *, owner: str, timeout: float = 300.0) -> bool:
        """Make ``remote`` a copy of the folder ``local``, links followed, owned by ``owner`` (and its group).

        Nothing is sent when it is one already (True: sent). It is unpacked beside its place and moved in whole.

        Raises:
            ConfigError: ``local`` cannot be read.
            HostError: the host could not take it; the text says why.
        """
        tree = pack_tree(local)
        if self.run(self.as_root(up_to_date_command(tree, remote, owner)), timeout=timeout).code == 0:
            return False
        result = self.run(self.as_root(put_command(tree, remote, owner)), tree.data, timeout=timeout)
        if result.code != 0:
            reason = " ".join(result.stderr.split())[-300:] or f"exit code {result.code}"
            raise HostError(f"{self.host}: {local} cannot be put to {remote}: {reason}")
        return True

    def _run(self, command: _Command, timeout: float) -> int:
        end = time.monotonic() + timeout
        try:
            channel = self._transport.open_session(timeout=timeout)
        except _broken() as exc:
            raise HostUnreachable(f"{self.host}: the SSH connection is lost ({_reason(exc)})") from exc
        try:
            _start(channel, command.text, end)
            _send(channel, command.stdin, end)
            return _receive(channel, command, end)
        except TimeoutError as exc:
            raise HostError(f"{self.host}: no end of '{command.text[:60]}' within {timeout:.0f} s") from exc
        except _broken() as exc:
            raise HostUnreachable(f"{self.host}: the SSH connection broke ({_reason(exc)})") from exc
        finally:
            with suppress(*_broken()):  # must not take the place of the real error
                channel.close()


class _Output:
    """Output of a command, which may not grow without end: a node that was taken over must not fill our memory."""

    def __init__(self, host: str) -> None:
        self._host, self._data = host, bytearray()

    def add(self, data: bytes) -> None:
        if len(self._data) + len(data) > _MOST_OUTPUT:
            raise HostError(f"{self._host}: a command printed more than {_MOST_OUTPUT >> 20} MiB and was given up")
        self._data += data

    def text(self) -> str:
        return self._data.decode(errors="replace")


@dataclass(frozen=True)
class _Command:
    text: str
    stdin: bytes
    on_out: Callable[[bytes], object]
    on_err: Callable[[bytes], object]


def _receive(channel: paramiko.Channel, command: _Command, end: float) -> int:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)  # readable: something in stdout or stderr, or the end of both
    while not (channel.eof_received or channel.closed):
        ended = channel.exit_status_ready()
        ready = poll.poll(1000 * min(_DRAIN if ended else 1.0, _left(end)))
        _drain(channel, command)
        if ended and not ready:
            break
    _drain(channel, command)
    channel.status_event.wait(_left(end))
    if not channel.exit_status_ready() or (channel.exit_status == -1 and not channel.get_transport().is_active()):
        raise EOFError("closed by the host before the command ended")
    return channel.exit_status


def _start(channel: paramiko.Channel, command: str, end: float) -> None:
    stop = threading.Timer(_left(end), channel.close)  # exec_command itself waits for ever
    stop.daemon = True
    stop.start()
    try:
        channel.exec_command(command)  # nosec B601 # whose makers quote
    finally:
        stop.cancel()


def _send(channel: paramiko.Channel, stdin: bytes, end: float) -> None:
    try:
        for at in range(0, len(stdin), _CHUNK):
            channel.settimeout(_left(end))
            channel.sendall(stdin[at : at + _CHUNK])
        channel.shutdown_write()
    except OSError as exc:
        if isinstance(exc, TimeoutError) or not channel.get_transport().is_active():
            raise
        # Otherwise the command ended without reading all: its exit code says more than this does.


def _drain(channel: paramiko.Channel, command: _Command) -> None:
    while channel.recv_ready():
        command.on_out(channel.recv(_CHUNK))
    while channel.recv_stderr_ready():
        command.on_err(channel.recv_stderr(_CHUNK))


def _open(target: SshTarget, end: float) -> paramiko.Transport:
    import paramiko

    try:
        sock = socket.create_connection((target.address, target.port), timeout=_left(end))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each small answer waits 40 ms for an ACK
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE)
        return paramiko.Transport(sock)
    except _broken() as exc:
        raise HostUnreachable(f"{target.address}: no SSH on port {target.port} ({_reason(exc)})") from exc


def _exchange_keys(
    transport: paramiko.Transport, target: SshTarget, pinned: tuple[tuple[str, str], ...], end: float
) -> None:
    from paramiko.ssh_exception import IncompatiblePeer

    _refuse_weak(transport)
    if pinned:
        kinds = [sign for kind, _ in pinned for sign in (_RSA if kind == "ssh-rsa" else (kind,))]
        transport.get_security_options().key_types = tuple(dict.fromkeys(kinds))
    wrong = f"{target.address}: the SSH host key is not the expected one: not the machine we made, nothing was sent"
    try:
        transport.banner_timeout = transport.handshake_timeout = _left(end)
        transport.start_client(timeout=_left(end))
        shown = transport.get_remote_server_key()
    except _broken() as exc:
        if isinstance(exc, IncompatiblePeer) and "host key" in str(exc):
            raise HostKeyMismatch(wrong) from exc
        raise HostUnreachable(f"{target.address}: no SSH key exchange ({_reason(exc)})") from exc
    if pinned and (shown.get_name(), shown.get_base64()) not in pinned:
        raise HostKeyMismatch(wrong)


def _refuse_weak(transport: paramiko.Transport) -> None:
    """Take from the lists of what we offer whatever OpenSSH's servers have not had for years."""
    options = transport.get_security_options()
    options.kex, options.ciphers = _strong(options.kex), _strong(options.ciphers)
    options.digests, options.key_types = _strong(options.digests), _strong(options.key_types)


def _strong(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not any(weak in name for weak in _WEAK) and name not in _SHA1_SIGNATURES)


def _log_in(transport: paramiko.Transport, target: SshTarget, key: paramiko.PKey, end: float) -> None:
    from paramiko import AuthenticationException

    refused = f"{target.address}: login as {target.user} with the key {target.private_key} is refused"
    try:
        transport.auth_timeout = _left(end)
        transport.auth_publickey(target.user, key)
    except _broken() as exc:
        # paramiko calls a connection lost meanwhile an authentication failure too.
        if isinstance(exc, AuthenticationException) and transport.is_active() and "timeout" not in str(exc):
            raise LoginRefused(refused) from exc
        raise HostUnreachable(f"{target.address}: the connection broke during login ({_reason(exc)})") from exc
    if not transport.is_authenticated():
        raise LoginRefused(f"{refused}: it asks for more than a key")


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("time limit")
    return left


def _reason(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
