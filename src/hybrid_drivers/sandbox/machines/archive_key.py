"""The key by which a suite's archive is known: this computer's own keyring, or Ubuntu's key by its fingerprint.

Debian 12 has no package of Ubuntu's keys. Ubuntu's own package is fetched from its archive over HTTP, and only the key
with this fingerprint is taken from it: "Ubuntu Archive Automatic Signing Key (2018)", the same as in Debian 13's
package ``ubuntu-keyring`` 2023.11.28.1-0.2, which Debian signs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hybrid_drivers.errors import SandboxError
from hybrid_drivers.sandbox.machines.commands import run
from hybrid_drivers.sandbox.machines.sources import fetch
from hybrid_drivers.sandbox.machines.suites import Suite

UBUNTU_FINGERPRINT = "F6ECB3762474EDA9D21B7022871920D1991BC93C"
# Of the release pocket of Ubuntu 24.04, which never changes any more.
_PACKAGE = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
_FILE = "etc/apt/trusted.gpg.d/ubuntu-keyring-2018-archive.gpg"


def keyring(suite: Suite, mirror: str, cache: Path) -> Path:
    """Return a keyring that verifies the suite's archive; Ubuntu's is fetched from ``mirror`` into ``cache``.

    Raises:
        SandboxError: there is none, or what was fetched has another fingerprint.
    """
    own = Path(suite.keyring)
    if own.is_file():
        return own
    if suite.distribution != "ubuntu":
        raise SandboxError(f"{own} (Debian package {suite.distribution}-archive-keyring) is not there: install it")
    kept = cache / "ubuntu-archive-key.gpg"
    if not kept.is_file():
        key = _of_package(fetch(f"{mirror}/{_PACKAGE}"))
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(key)
        check(fresh)
        fresh.replace(kept)
    check(kept)
    return kept


def check(path: Path, fingerprint: str = UBUNTU_FINGERPRINT) -> None:
    """Make sure that a keyring holds one key and that it is the one with this fingerprint.

    Raises:
        SandboxError: it holds another, or several.
    """
    with tempfile.TemporaryDirectory() as home:
        argv = ["gpg", "--homedir", home, "--batch", "--with-colons", "--show-keys", str(path)]
        lines = [line.split(":") for line in run(argv).splitlines()]
    keys = [line for line in lines if line[0] in ("pub", "sub", "sec", "ssb")]
    prints = [line[9] for line in lines if line[0] == "fpr"]
    if len(keys) != 1 or prints != [fingerprint]:
        raise SandboxError(f"{path} holds the keys {', '.join(prints) or 'none'}; only {fingerprint} is trusted")


def _of_package(package: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keyring.deb")
        path.write_bytes(package)
        run(["dpkg-deb", "--extract", str(path), f"{folder}/tree"])
        return Path(folder, "tree", _FILE).read_bytes()
