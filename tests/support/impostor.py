"""An SSH server that is not the machine it stands for, or offers only what can be broken; it notes what it is sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

import paramiko


class Thief(paramiko.Ed25519Key):
    """A key that shows the public part of another one, and signs with its own."""

    def __init__(self, own: paramiko.PKey, shown: bytes) -> None:
        self._own, self._shown = own, shown

    def asbytes(self) -> bytes:
        return self._shown

    def get_name(self) -> str:
        return "ssh-ed25519"

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Any:
        return self._own.sign_ssh_data(data)

    def can_sign(self) -> bool:
        return True


class _Note(paramiko.ServerInterface):
    def __init__(self, outer: Impostor) -> None:
        self._outer = outer

    def get_allowed_auths(self, username: str) -> str:
        self._outer.asked.append(f"allowed for {username}")
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._outer.asked.append(f"key of {username}")
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._outer.asked.append(kind)
        return paramiko.common.OPEN_SUCCEEDED


class Impostor:
    """Serves on loopback until its end. ``offers`` are lists by paramiko's names: kex, ciphers, macs, keys.

    ``asked`` is everything a client asked for after the key exchange, its login first.
    """

    def __init__(self, key: paramiko.PKey, offers: Mapping[str, Sequence[str]] | None = None) -> None:
        self._key, self._offers = key, offers or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked: list[str] = []
        self._open: list[paramiko.Transport] = []

    def __enter__(self) -> Impostor:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            one.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                connection, _ = self._listener.accept()
                transport: Any = paramiko.Transport(connection)
                self._open.append(transport)
                transport.add_server_key(self._key)
                for name, values in self._offers.items():
                    setattr(transport, f"_preferred_{name}", tuple(values))
                with suppress(paramiko.SSHException, EOFError, OSError):
                    transport.start_server(event=threading.Event(), server=_Note(self))


WEAK: Mapping[str, Mapping[str, Sequence[str]]] = {
    "diffie-hellman-group1-sha1": {"kex": ["diffie-hellman-group1-sha1"]},
    "diffie-hellman-group14-sha1": {"kex": ["diffie-hellman-group14-sha1"]},
    "diffie-hellman-group-exchange-sha1": {"kex": ["diffie-hellman-group-exchange-sha1"]},
    "3des-cbc": {"ciphers": ["3des-cbc"]},
    "aes128-cbc": {"ciphers": ["aes128-cbc"]},
    "hmac-md5": {"macs": ["hmac-md5"]},
    "hmac-sha1": {"macs": ["hmac-sha1"]},
    "hmac-sha1-96": {"macs": ["hmac-sha1-96"]},
}
