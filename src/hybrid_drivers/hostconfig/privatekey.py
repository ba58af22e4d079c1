"""Reading the private key we log in with, whatever its format."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hybrid_drivers.errors import ConfigError

_KINDS = {ed25519.Ed25519PrivateKey: "ed25519", rsa.RSAPrivateKey: "rsa", ec.EllipticCurvePrivateKey: "ecdsa"}


def read(path: Path) -> tuple[str, str]:
    """Return the kind (``ed25519``, ``rsa`` or ``ecdsa``) of an unencrypted key and its text in OpenSSH's format.

    Raises:
        ConfigError: it cannot be read, or is of another kind.
    """
    try:
        data = path.read_bytes()
        openssh = b"OPENSSH PRIVATE KEY" in data
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        key = load(data, password=None)
    except OSError as exc:
        raise ConfigError(f"the SSH private key {path} cannot be read: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"the SSH private key {path} cannot be used: damaged, or it has a passphrase") from exc
    for kind, name in _KINDS.items():
        if isinstance(key, kind):
            text = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
            return name, text.decode()
    raise ConfigError(f"the SSH private key {path} cannot be used: ed25519, RSA or ECDSA is needed")
