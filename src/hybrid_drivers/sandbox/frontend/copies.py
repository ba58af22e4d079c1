"""Copies of a front-end's tree, for laboratories: ``install.sh`` runs once a process and its result is moved about.

What names its own place (configuration, the thin client's first line, links, the installer's record with the digests of
both) names the new one afterwards, so that a copy is what ``install.sh`` would have put there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

RECORD = "lib/hybrid/manifest.json"  # of share/install/manifest.py


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree to a place where nothing is, and have it name that place."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    old, new = str(source).encode(), str(target).encode()
    digests: dict[bytes, bytes] = {}
    for folder, folders, files in os.walk(target):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                _point(path, str(source), str(target))
            elif path.is_file() and old in (content := path.read_bytes()):
                changed = content.replace(old, new)
                digests[_digest(content)] = _digest(changed)
                path.write_bytes(changed)
    record = target / RECORD
    content = record.read_bytes()
    for was, now in digests.items():
        content = content.replace(was, now)
    record.write_bytes(content)


def _point(link: Path, old: str, new: str) -> None:
    goal = os.readlink(link)
    if goal.startswith(f"{old}/"):
        link.unlink()
        link.symlink_to(new + goal.removeprefix(old))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
