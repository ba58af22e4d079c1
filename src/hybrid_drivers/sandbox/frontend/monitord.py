"""monitord's port: the same number over UDP and TCP, one message a datagram or connection.

``<TYPE> <SUCCESS|FAILURE> <host id> <unix seconds> <base64(zlib(payload))>``; with a key the payload is encrypted with
its public half (PKCS#1 v1.5, blocks of key size - 11 bytes) before it is compressed
(OpenNebula ``monitord_client.rb``).
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import zlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hybrid_drivers.sandbox.frontend.monitor import KINDS, Message

_LARGEST = 16 * 1024 * 1024  # bytes of one message over TCP
_UNPACKED = 64 * 1024 * 1024  # bytes after decompression


class BadMessage(ValueError):
    """What came in is no message of a monitoring client."""


class Key:
    """The RSA key pair that ``monitord.conf`` may name in PUBKEY and PRIKEY."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_pem(self) -> str:
        """Return the public half as OpenNebula hands it to clients: PKCS#1 in PEM."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    def decrypt(self, data: bytes) -> bytes:
        """Undo the encryption block by block.

        Raises:
            BadMessage: it was not encrypted for this key.
        """
        size = self._private.key_size // 8
        try:
            blocks = [
                self._private.decrypt(data[at : at + size], padding.PKCS1v15()) for at in range(0, len(data), size)
            ]
        except ValueError as exc:
            raise BadMessage("the payload is not encrypted for monitord's key") from exc
        return b"".join(blocks)


def read_message(data: bytes, key: Key | None = None) -> Message:
    """Read one message as it came over the wire.

    Raises:
        BadMessage: and why.
    """
    try:
        kind, status, host_id, stamp, *rest = data.decode("ascii").split()
        numbers = int(host_id), int(stamp)
        packed = base64.b64decode(rest[0], validate=True) if rest else b""
    except (ValueError, UnicodeDecodeError) as exc:
        raise BadMessage("not TYPE STATUS ID TIME PAYLOAD") from exc
    if kind not in KINDS:
        raise BadMessage(f"{kind} is no kind of message")
    payload = _inflate(packed) if packed else b""
    if key is not None and payload:
        payload = key.decrypt(payload)
    return Message(
        kind=kind,
        ok=status == "SUCCESS",
        host_id=numbers[0],
        timestamp=numbers[1],
        payload=payload.decode("utf-8", "replace"),
    )


def _inflate(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _UNPACKED)
    except zlib.error as exc:
        raise BadMessage("the payload is not compressed with zlib") from exc


class Listener:
    """Holds ``address``:``port`` (0: a free one) for UDP and TCP from the beginning, listens from ``start`` on."""

    def __init__(self, address: str, port: int) -> None:
        self._tcp, self._udp = _bind(address, port)
        self.port: int = self._udp.getsockname()[1]
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._datagrams, self._connections)]
        self._closing = False

    def start(self, key: Key | None, on_message: Callable[[Message], None], log: Callable[[str], None]) -> None:
        """Hand every message to ``on_message``; what is none is told to ``log``."""
        self._key, self._on_message, self._log = key, on_message, log
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Give the port back."""
        self._closing = True
        for one in (self._tcp, self._udp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _datagrams(self) -> None:
        with contextlib.suppress(OSError):  # closed by stop()
            while not self._closing:
                self._take(self._udp.recv(65535))

    def _connections(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                threading.Thread(target=self._one_connection, args=(connection,), daemon=True).start()

    def _one_connection(self, connection: socket.socket) -> None:
        data = bytearray()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            while len(data) <= _LARGEST and (piece := connection.recv(65536)):
                data += piece
            self._take(bytes(data[:_LARGEST]))

    def _take(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._on_message(read_message(data, self._key))
        except BadMessage as exc:
            self._log(f"message ignored: {exc}")


def _bind(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for _ in range(20):  # a free TCP port may be taken for UDP
        tcp = socket.socket(family, socket.SOCK_STREAM)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)  # a thousand beacons at once
            tcp.bind((address, port))
            udp.bind((address, tcp.getsockname()[1]))
            tcp.listen(128)
        except OSError:
            tcp.close()
            udp.close()
            if port:
                raise
            continue
        return tcp, udp
    raise OSError(f"no port of {address} is free for both UDP and TCP")
