"""The record of everything install.sh put on this front-end: ``<lib>/hybrid/manifest.json``.

It is what makes a second run change nothing, lets ``-r`` remove exactly what was put, and tells our files from those
of OpenNebula and of the operator. Paths are as the front-end sees them, without ``DESTDIR``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edit_conf import Change


@dataclass
class Manifest:
    """``files``: path -> ``KIND SHA256``, ``link TARGET`` or ``venv`` (``plan.Kind``); the others: by conf file."""

    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)  # made by us, parents first
    changes: dict[str, list[Change]] = field(default_factory=dict)
    backups: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read it; an absent file is an empty record."""
        if not path.exists():
            return cls()
        raw = json.loads(path.read_text())
        changes = {
            conf: [Change(one["kind"], one["label"], one["inserted"], tuple(one["words"])) for one in changes]
            for conf, changes in raw["changes"].items()
        }
        return cls(raw["files"], raw["folders"], changes, raw["backups"])

    def render(self) -> str:
        """Return it as JSON text, the same for the same record."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def digest(content: bytes) -> str:
    """Return the sha256 of ``content`` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
