"""SSH host keys of the machines we make: one known before the first contact, replaced right after it.

The first key travels in user-data, so the provider knows it; it proves only that the machine we reach is the one
we ordered. Then the machine makes its own key (:func:`stage_new_key`), the caller pins that one besides the first,
and :func:`activate_new_key` puts it into use. A crash between any two of these leaves a host that shows one of the
pinned keys.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid_drivers.errors import HostError

if TYPE_CHECKING:
    from hybrid_drivers.hostconfig.runner import Session

_SECONDS = 30.0  # for staging or activating a key


@dataclass(frozen=True)
class HostKey:
    """An ed25519 key: ``public`` is ``ssh-ed25519 AAAA...``, ``private_openssh`` the OpenSSH file and a secret."""

    public: str
    private_openssh: str = field(repr=False)


def generate(seed: bytes) -> HostKey:
    """Make the key that belongs to a seed of 32 secret bytes: the same seed gives the same bytes.

    User-data with the same token must be the same each time it is made, so the file is written here: libraries put
    random check bytes into it. Format: OpenSSH PROTOCOL.key.

    Raises:
        ValueError: the seed is not 32 bytes long.
    """
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(*raw)
    blob = _string(b"ssh-ed25519") + _string(public)
    check = hashlib.sha256(b"check" + seed).digest()[:4] * 2
    private = check + blob + _string(seed + public) + _string(b"")
    private += bytes(range(1, -len(private) % 8 + 1))
    whole = b"openssh-key-v1\0" + _string(b"none") + _string(b"none") + _string(b"")
    whole += struct.pack(">I", 1) + _string(blob) + _string(private)
    text = base64.b64encode(whole).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    file = "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----", ""])
    return HostKey(f"ssh-ed25519 {base64.b64encode(blob).decode()}", file)


def stage_new_key(session: Session) -> str:
    """Make a new host key on the host, not yet in use, and return its public line; one already staged is returned.

    Raises:
        HostError: the host could not make it; the text says why.
    """
    return _run(session, "stage-host-key")


def activate_new_key(session: Session) -> None:
    """Put the staged key into use, erase the one the provider knows, and make sshd read it.

    Does nothing when no key is staged (it was done before). The running connection stays. When sshd would not
    accept the new key, the old one stays in use.

    Raises:
        HostError: the new key is not in use; the text says why.
    """
    _run(session, "activate-host-key")


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _run(session: Session, name: str) -> str:
    script = resources.files("hybrid_drivers.hostconfig").joinpath("hostkeys.sh").read_bytes()
    result = session.run(session.as_root(f"sh -s hybrid-{name}"), script, timeout=_SECONDS)
    if result.code != 0:
        reason = " ".join(result.stderr.split())[-300:] or f"exit code {result.code}"
        raise HostError(f"{session.host}: its SSH host key cannot be replaced: {reason}")
    return result.stdout.strip()
