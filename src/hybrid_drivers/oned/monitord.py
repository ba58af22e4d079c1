"""Messages to monitord, in its own protocol.

A message is ``TYPE STATUS HOST-ID UNIX-TIME PAYLOAD``, the payload zlib-compressed and in base64. With a public key the
payload is encrypted first (RSA, PKCS#1 v1.5, in blocks of the key's size less 11 bytes). Sources, OpenNebula 6.10:
``src/monitor/include/{UDPStream,TCPStream,Message}.h``, ``src/im_mad/remotes/lib/monitord_client.rb``.

What monitord does with it (``MonitorDriverProtocol.cc``, ``HostMonitorManager.cc``): a FAILURE of SYSTEM_HOST,
MONITOR_HOST or BEACON_HOST puts the host into ERROR with the payload as the reason; a message whose time lies before
that of the last one of its type and host is dropped (the same second is fine, a beacon's time is not looked at, and a
change of the host's state starts anew); messages for a host that is offline are dropped.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.errors import ConfigError, OnedUnreachable

Kind = Literal["SYSTEM_HOST", "MONITOR_HOST", "BEACON_HOST", "STATE_VM"]
OVER_TCP: Final = ("STATE_VM",)
MAX_DATAGRAM: Final = 65507  # bytes: what IPv4 can carry; monitord reads up to 65535
MAX_PAYLOAD: Final = 16 * 1024 * 1024  # bytes, of a message that is read
OVERHEAD: Final = 11  # bytes of a block that PKCS#1 v1.5 needs (RFC 8017, 7.2)


class Monitord:
    """monitord as seen from one front-end; thread-safe. ``timeout`` (seconds) is for TCP; UDP does not wait.

    ``public_key`` is PEM text as MONITOR_CONFIGURATION carries it (``NETWORK/PUBKEY``), or empty.

    Raises:
        ConfigError: the key cannot be read, or is not an RSA key.
    """

    def __init__(
        self, address: str, port: int, public_key: str = "", *, timeout: float = 10.0, clock: Clock | None = None
    ) -> None:
        self._address, self._port, self._timeout = address, port, timeout
        self._key = load_public_key(public_key) if public_key.strip() else None
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._last: dict[tuple[str, int], int] = {}  # unix seconds of the last message of a kind and host

    def send(self, kind: Kind, host_id: int, payload: str, *, ok: bool = True) -> None:
        """Send one message; ``ok=False`` sends a failure with ``payload`` as its reason.

        Over UDP nothing tells whether it arrived; STATE_VM, and what does not fit a datagram, goes over TCP.

        Raises:
            OnedUnreachable: the address cannot be resolved or reached, or the connection broke.
        """
        line = encode_message(kind, host_id, payload, ok=ok, when=self._when(kind, host_id), key=self._key)
        try:
            if kind in OVER_TCP or len(line) > MAX_DATAGRAM:
                with socket.create_connection((self._address, self._port), self._timeout) as stream:
                    stream.sendall(line)
            else:
                self._send_datagram(line)
        except OSError as exc:
            raise OnedUnreachable(
                f"monitord at {self._address} port {self._port} does not take the {kind} message of host {host_id} "
                f"({exc.strerror or exc}): is it running, and MONITOR_ADDRESS right?"
            ) from exc

    def _when(self, kind: str, host_id: int) -> int:
        """Return the time to put on a message: never before that of the last one, even when the clock was set back."""
        with self._lock:
            when = max(int(self._clock.now()), self._last.get((kind, host_id), 0))
            self._last[kind, host_id] = when
        return when

    def _send_datagram(self, line: bytes) -> None:
        family, kind, protocol, _, target = socket.getaddrinfo(self._address, self._port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.sendto(line, target)


def encode_message(
    kind: str, host_id: int, payload: str, *, ok: bool, when: int, key: rsa.RSAPublicKey | None = None
) -> bytes:
    """Write one message, its newline included; ``when`` is unix seconds."""
    data = payload.encode("utf-8", "replace")
    if key:
        size = key.key_size // 8 - OVERHEAD
        data = b"".join(key.encrypt(data[at : at + size], padding.PKCS1v15()) for at in range(0, len(data), size))
    packed = base64.b64encode(zlib.compress(data, 9)).decode()
    return f"{kind} {'SUCCESS' if ok else 'FAILURE'} {host_id} {when} {packed}\n".encode()


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message as monitord reads it; ``when`` is unix seconds."""

    kind: str
    ok: bool
    host_id: int
    when: int
    payload: str


def decode_message(line: bytes, private_key: rsa.RSAPrivateKey | None = None) -> Message:
    """Read one message, as monitord does; for its stand-in and for tests.

    Raises:
        ConfigError: it is not such a message, or not encrypted for this key.
    """
    parts = line.decode("ascii", "replace").split()
    if len(parts) != 5 or not all(re.fullmatch(r"-?[0-9]{1,18}", part) for part in parts[2:4]):
        raise ConfigError("a monitord message is TYPE STATUS HOST-ID TIME PAYLOAD, this one is not")
    kind, status, host_id, when, packed = parts
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_PAYLOAD)
        if not unpacker.eof:
            raise ConfigError(f"the payload of a {kind} message is cut off, or longer than {MAX_PAYLOAD} bytes")
        if private_key:
            data = _decrypt(data, private_key)
    except (binascii.Error, zlib.error, ValueError) as exc:
        raise ConfigError(f"the payload of a {kind} message of host {host_id} cannot be read: {exc}") from exc
    return Message(
        kind=kind,
        ok=status == "SUCCESS",
        host_id=int(host_id),
        when=int(when),
        payload=data.decode("utf-8", "replace"),
    )


def _decrypt(data: bytes, key: rsa.RSAPrivateKey) -> bytes:
    size = key.key_size // 8
    return b"".join(key.decrypt(data[at : at + size], padding.PKCS1v15()) for at in range(0, len(data), size))


def load_public_key(text: str) -> rsa.RSAPublicKey:
    """Read an RSA key in PEM (``RSA PUBLIC KEY`` or ``PUBLIC KEY``).

    Its line ends may have become blanks (a shell squeezed them), and all of it may stand in base64 once more.

    Raises:
        ConfigError: it is not such a key. The text may also be a path: monitord puts a key's content there only when
            it could read the file, so the sentence says so.
    """
    with suppress(binascii.Error, ValueError):
        text = base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    found = re.search(r"-+BEGIN ((?:RSA )?PUBLIC KEY)-+([A-Za-z0-9+/=\s]+)-+END \1-+", text)
    if not found:
        raise ConfigError(
            "NETWORK/PUBKEY of monitord's configuration is not a public key in PEM: "
            "does PUBKEY in monitord.conf name a file that oneadmin can read?"
        )
    label, body = found[1], "".join(found[2].split())
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    try:
        key = load_pem_public_key(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode())
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError("NETWORK/PUBKEY of monitord's configuration is a broken public key") from exc
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigError("NETWORK/PUBKEY of monitord's configuration is not an RSA key")
    return key
