"""What a new machine's disk gets before its first boot, in cloud-init's place: name, addresses, keys, resolver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid_drivers.sandbox.machines import cloudconfig


def new_host_key() -> tuple[str, str]:
    """Return a fresh ed25519 host key: private in OpenSSH's form, and the public line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def write_seed(
    root: Path, *, name: str, public_v4: str, network: Mapping[str, tuple[str, int]], user_data: str
) -> None:
    """Write the files into a machine's root folder. The key material gets mode 0600.

    Args:
        root: the machine's merged root folder; nothing has run in it yet.
        name: its host name; also stands in ``/etc/hosts``, without which sudo and mail tools wait for DNS.
        public_v4: the address of that line.
        network: path, text and mode of the files that configure its network.
        user_data: a cloud-config document.
    """
    config = cloudconfig.parse(user_data)
    if config.host_private_key:
        private, public = config.host_private_key, config.host_public_key
    else:
        private, public = new_host_key()
    short = name.partition(".")[0]
    names = name if short == name else f"{name} {short}"
    files: Mapping[str, tuple[str, int]] = {
        "etc/hostname": (f"{short}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{public_v4} {names}\n", 0o644),
        "etc/machine-id": (hashlib.md5(f"{name} {public}".encode(), usedforsecurity=False).hexdigest() + "\n", 0o444),
        **network,
        "etc/ssh/ssh_host_ed25519_key": (private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (f"{public}\n", 0o644),
        "root/.ssh/authorized_keys": ("".join(f"{line}\n" for line in config.authorized_keys), 0o600),
    }
    if config.problem:
        files = {**files, "var/log/cloud-init.log": (f"WARNING: {config.problem}\n", 0o644)}
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    for path, (text, mode) in files.items():
        _write(root / path, text, mode)


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
