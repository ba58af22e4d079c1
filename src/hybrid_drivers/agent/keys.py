"""The front-end's SSH keys: the one it logs in with, and the host keys it gives to new machines."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.hostkeys import HostKey, generate

# Where OneProvision 6.x keeps the key it makes for provisions, then oneadmin's own (ssh-keygen's names).
USUAL_KEYS = (".ssh-oneprovision/id_rsa", ".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa")


class FrontEndKeys:
    """Finds or makes the keys; ``state`` is the agent's folder, ``home`` oneadmin's."""

    def __init__(self, state: Path, home: Path) -> None:
        self._state = state
        self._home = home

    def private_key(self, connection: Mapping[str, str]) -> Path:
        """Return the file to log in with: PRIVATE_KEY, else a usual one, else one made now and kept.

        Raises:
            ConfigError: PRIVATE_KEY names a file that is not there.
        """
        if named := connection.get("PRIVATE_KEY"):
            path = Path(named).expanduser()
            if not path.is_file():
                raise ConfigError(f"PRIVATE_KEY {path} of PROVISION_CONNECTION is not there: name a readable key file")
            return path
        for name in USUAL_KEYS:
            if (self._home / name).is_file():
                return self._home / name
        return self._own_key()

    def private_text(self, connection: Mapping[str, str]) -> str:
        """Return what is in :meth:`private_key`.

        Raises:
            ConfigError: it cannot be read.
        """
        return _text(self.private_key(connection))

    def public_lines(self, connection: Mapping[str, str]) -> list[str]:
        """Return the ``authorized_keys`` lines that belong to :meth:`private_key`, and PUBLIC_KEY when given.

        Raises:
            ConfigError: a key cannot be read.
        """
        lines = [_public_line(self.private_key(connection))]
        if named := connection.get("PUBLIC_KEY"):
            path = Path(named).expanduser()
            text = _text(path) if path.is_file() else named
            lines += [line.strip() for line in text.splitlines() if line.strip()]
        return list(dict.fromkeys(lines))

    def host_key(self, token: str) -> HostKey:
        """Return the host key of the machine made with ``token``: always the same, so that repeats are the same."""
        return generate(hmac.new(self._secret(), token.encode(), hashlib.sha256).digest())

    def _own_key(self) -> Path:
        path = self._state / "ssh/id_ed25519"
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = Ed25519PrivateKey.generate()
            text = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
            _write_once(path, text)
        return path

    def _secret(self) -> bytes:
        path = self._state / "hostkeys.secret"
        if not path.is_file():
            _write_once(path, secrets.token_bytes(32))
        return path.read_bytes()


def _write_once(path: Path, content: bytes) -> None:
    """Write a secret file that never exists half; who comes second keeps the first one's."""
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(part, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the key {path} cannot be read: {exc}; give it to the user of the agent") from exc


def _public_line(private: Path) -> str:
    beside = private.with_name(private.name + ".pub")
    if beside.is_file():
        return " ".join(_text(beside).split()[:2])
    data = _text(private).encode()
    try:
        load = (
            serialization.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else serialization.load_pem_private_key
        )
        key = load(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"the private key {private} cannot be read without a passphrase") from exc
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode()
