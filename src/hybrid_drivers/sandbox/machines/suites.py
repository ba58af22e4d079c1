"""The systems that real sandbox machines can run, as they are rented: each by the name of its suite in its archive.

What is in an image besides the base follows the distributions' own metapackages for cloud images: Ubuntu's
``ubuntu-minimal``, ``ubuntu-standard`` and ``ubuntu-cloud-minimal`` (their Depends and Recommends in the archive's
``dists/noble/main/binary-amd64/Packages``) name netplan.io, systemd-resolved, nftables, iptables, ufw (installed, not
enabled) and openssh-server, which is started by ``ssh.socket`` since Ubuntu 22.10 and by ``ssh.service`` before and on
Debian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError

_EVERYWHERE: tuple[str, ...] = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "udev", "kmod", "procps"),
    *("openssh-server", "sudo", "iproute2", "iputils-ping", "iptables", "nftables"),
    *("python3-minimal", "python3", "ca-certificates", "curl"),
)
_UBUNTU: tuple[str, ...] = (*_EVERYWHERE, "netplan.io", "ufw", "apparmor", "gnupg", "lsb-release", "cron", "rsyslog")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A release of a distribution.

    ``name`` is the suite in the archive at ``mirror``, ``security`` where its security pocket is; ``packages`` are what
    a provider's image has. ``netplan``: the network is configured by netplan and names are resolved by
    systemd-resolved, else by systemd-networkd's own files and ``resolv.conf``. ``deb822``: the file that holds the apt
    sources in that form, empty for ``sources.list``.
    """

    name: str
    title: str
    distribution: str
    mirror: str
    security: str
    components: tuple[str, ...]
    packages: tuple[str, ...]
    netplan: bool = False
    deb822: str = ""

    @property
    def keyring(self) -> str:
        """The file, on any computer that has it, with the keys the archive is signed by."""
        return f"/usr/share/keyrings/{self.distribution}-archive-keyring.gpg"


def _debian(name: str, title: str, deb822: str = "") -> Suite:
    return Suite(
        name=name,
        title=title,
        distribution="debian",
        mirror="http://deb.debian.org/debian",
        security="http://deb.debian.org/debian-security",
        components=("main",),
        packages=_EVERYWHERE,
        deb822=deb822,
    )


def _ubuntu(name: str, title: str, *more: str, deb822: str = "") -> Suite:
    return Suite(
        name=name,
        title=title,
        distribution="ubuntu",
        mirror="http://archive.ubuntu.com/ubuntu",
        security="http://security.ubuntu.com/ubuntu",
        components=("main", "universe"),
        packages=(*_UBUNTU, *more),
        netplan=True,
        deb822=deb822,
    )


DEFAULT = "bookworm"
# systemd-resolved is a package of its own since Ubuntu 22.10.
SUITES: Mapping[str, Suite] = {
    "bookworm": _debian("bookworm", "Debian 12"),
    "trixie": _debian("trixie", "Debian 13", deb822="debian.sources"),
    "jammy": _ubuntu("jammy", "Ubuntu 22.04"),
    "noble": _ubuntu("noble", "Ubuntu 24.04", "systemd-resolved", deb822="ubuntu.sources"),
}


def suite(name: str) -> Suite:
    """Return the suite of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SUITES:
        raise ConfigError(f"sandbox machines cannot run '{name}': choose one of {', '.join(SUITES)}")
    return SUITES[name]
