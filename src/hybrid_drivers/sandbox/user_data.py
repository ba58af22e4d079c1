"""What the simulators read from, and change in, a cloud-config user-data document: the SSH host key."""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_HEADER = "#cloud-config"


def host_key(user_data: str) -> str:
    """Return the public ed25519 host key the document gives the machine, or an empty string."""
    keys = _document(user_data).get("ssh_keys")
    return str(keys.get("ed25519_public", "")).strip() if isinstance(keys, Mapping) else ""


def with_other_host_key(user_data: str) -> str:
    """Return the document with a fresh host key in place of its own, as a machine in the middle would show.

    A document that is no cloud-config is returned as it is.
    """
    if not user_data.startswith(_HEADER):
        return user_data
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    changed = {**_document(user_data), "ssh_keys": {"ed25519_private": private, "ed25519_public": public}}
    return f"{_HEADER}\n{yaml.safe_dump(changed, sort_keys=False)}"


def _document(user_data: str) -> Mapping[str, object]:
    try:
        read = yaml.safe_load(user_data) if user_data.startswith(_HEADER) else None
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, Mapping) else {}
