"""Public keys as lines: of ``authorized_keys``, and of hosts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError

# [options] type base64 [comment], as in sshd(8), AUTHORIZED_KEYS FILE FORMAT
_LINE = re.compile(r"(?:\S.*?\s)?((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w@.-]+)\s+([A-Za-z0-9+/]{32,}={0,2})(?:\s.*)?\Z")


@dataclass(frozen=True)
class PublicKey:
    """One line; ``blob`` is its type and key without options and comment."""

    line: str

    def __post_init__(self) -> None:
        if "\n" in self.line or not _LINE.match(self.line):
            raise ConfigError(f"'{self.line[:40]}' is not an SSH public key: expected one line 'ssh-ed25519 AAAA...'")

    @property
    def kind(self) -> str:
        """Return what names its private half: ``id_<kind>``."""
        return self.blob.split("-", 1)[1].split("-")[0].split()[0] if self.blob.startswith("ssh-") else "ecdsa"

    @property
    def blob(self) -> str:
        """Return ``type base64``."""
        match = _LINE.match(self.line)
        return f"{match[1]} {match[2]}" if match else ""


def type_and_key(line: str) -> tuple[str, str]:
    """Split a host key line ``ssh-ed25519 AAAA... [comment]``.

    Raises:
        ConfigError: it is none.
    """
    parts = line.split()
    if len(parts) < 2:
        raise ConfigError(f"'{line}' is not an SSH host key: expected 'ssh-ed25519 AAAA...'")
    return parts[0], parts[1]
