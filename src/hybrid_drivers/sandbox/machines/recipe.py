"""What is in the image of a sandbox machine: the packages and the settings of a plain rented Debian 12.

Everything here is part of the recipe's hash, so a change makes a new image.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hybrid_drivers.hostconfig.node import PACKAGES as NODE_PACKAGES
from hybrid_drivers.sandbox.machines.commands import run

SUITE = "bookworm"
DEFAULT_MIRROR = "http://deb.debian.org/debian"

# What a provider's image brings.
BASE_PACKAGES: tuple[str, ...] = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "udev", "kmod", "procps"),
    *("openssh-server", "sudo", "iproute2", "iputils-ping", "iptables", "nftables"),
    *("python3-minimal", "python3", "ca-certificates", "curl"),
)

# Only fetched, so that configuring is quick and needs no mirror.
PLAYBOOK_PACKAGES: tuple[str, ...] = NODE_PACKAGES

# Units that only cost time or fight over apt's lock in a laboratory.
MASKED_UNITS: tuple[str, ...] = (
    *("console-getty.service", "getty@tty1.service", "systemd-networkd-wait-online.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
)

# Files of the image. journald keeps to memory: hundreds of machines share one disk.
FILES: Mapping[str, str] = {
    "etc/systemd/journald.conf.d/sandbox.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n",
    "etc/ssh/sshd_config.d/50-sandbox.conf": "PermitRootLogin prohibit-password\n"
    "PasswordAuthentication no\nUseDNS no\n",
    "etc/dpkg/dpkg.cfg.d/sandbox": "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n"
    "path-exclude=/usr/share/locale/*\n",
    "etc/apt/apt.conf.d/50sandbox": 'Binary::apt::APT::Keep-Downloaded-Packages "true";\nAPT::Keep-Downloaded-Packages'
    ' "true";\nAcquire::Languages "none";\nAcquire::Retries "2";\n',
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One apt source: ``uri suite components``, as a one-line entry writes it."""

    uri: str
    suite: str
    components: tuple[str, ...]

    def line(self) -> str:
        """Return the ``deb`` line."""
        return f"deb {self.uri} {self.suite} {' '.join(self.components)}"


def host_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Return this computer's own sources of the image's suite, the main one first; Debian's default without any.

    Both forms are read: one-line ``*.list`` and deb822 ``*.sources`` (sources.list(5)).
    """
    found: list[Source] = []
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    for path in (one for one in lists if one.is_file()):
        found += _one_line(path.read_text(errors="replace").splitlines())
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        found += _deb822(path.read_text(errors="replace"))
    ours = [one for one in found if one.suite.split("-")[0] == SUITE and one.uri.startswith(("http://", "https://"))]
    ours = [one for one in ours if "main" in one.components]
    if not any(one.suite == SUITE for one in ours):
        return [Source(uri=DEFAULT_MIRROR, suite=SUITE, components=("main",))]
    return sorted(ours, key=lambda one: one.suite != SUITE)


def _one_line(lines: Iterable[str]) -> list[Source]:
    entries = (re.sub(r"\[[^]]*\]", "", line.partition("#")[0]).split() for line in lines)
    return [
        Source(uri=words[1].rstrip("/"), suite=words[2], components=tuple(words[3:]))
        for words in entries
        if len(words) > 3 and words[0] == "deb"
    ]


def _deb822(text: str) -> list[Source]:
    found = []
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", bare):
        fields = {key.lower(): value for key, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", stanza)}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            found += [
                Source(uri=uri.rstrip("/"), suite=s, components=components) for s in fields.get("suites", "").split()
            ]
    return found


def host_apt_settings() -> str:
    """Return this computer's apt settings that decide whether its mirror works: proxies and date checks."""
    wanted = re.compile(r"^Acquire::(https?::Proxy|ftp::Proxy|Check-Date|Check-Valid-Until)\b")
    return "".join(f"{line}\n" for line in run(["apt-config", "dump"]).splitlines() if wanted.match(line))


def fetch_script(packages: Sequence[str]) -> str:
    """Return the shell program that runs inside the new image: lists and archives of ``packages``, then tidy up."""
    names = " ".join(shlex.quote(name) for name in packages)
    masks = " ".join(MASKED_UNITS)
    return f"""set -e
apt-get -q update
apt-get -qy --download-only --no-install-recommends install {names}
for unit in {masks}; do ln -sf /dev/null "/etc/systemd/system/$unit"; done
systemctl enable systemd-networkd.service
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id
: >/etc/machine-id
"""
