"""Which packages our roles install on each system, and which ones the archives of Debian and Ubuntu have."""

from __future__ import annotations

import lzma
import re
import shlex
import urllib.request
from collections.abc import Mapping, Sequence

from hybrid_drivers.hostconfig.steps import Step

_INSTALLED = re.compile(r"have_packages (?:\$\(choose ((?:'[^']*' ?)+)\)|(('[^']*' ?)+))")
_DEBIAN = "http://deb.debian.org/debian/dists/{}/main/binary-amd64/Packages.xz"
_UBUNTU = "http://archive.ubuntu.com/ubuntu/dists/{}/{}/binary-amd64/Packages.xz"
INDEXES: Mapping[str, Sequence[str]] = {
    "debian-12": [_DEBIAN.format("bookworm")],
    "debian-13": [_DEBIAN.format("trixie")],
    "ubuntu-22.04": [_UBUNTU.format("jammy", component) for component in ("main", "universe")],
    "ubuntu-24.04": [_UBUNTU.format("noble", component) for component in ("main", "universe")],
}


def installed(steps: Sequence[Step], names: Sequence[str]) -> set[str]:
    """Return what the steps install on the system that has these ``names``, the most exact first."""
    found: set[str] = set()
    for choices, plain, _ in (match for step in steps for match in _INSTALLED.findall(step.check)):
        values = dict(pair.split("=", 1) for pair in shlex.split(choices))
        found |= set(next(values[name] for name in names if name in values).split() if values else shlex.split(plain))
    return found


def in_archive(system: str) -> set[str]:
    """Return the names of all packages of a release, as its archive lists them now."""
    found: set[str] = set()
    for url in INDEXES[system]:
        with urllib.request.urlopen(url, timeout=60) as answer:
            text = lzma.decompress(answer.read()).decode()
        found |= set(re.findall(r"^Package: (\S+)$", text, re.MULTILINE))
    return found
