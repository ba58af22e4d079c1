"""The packages of nodes on every system, and where their names come from.

Debian and Ubuntu: the package indexes of their archives, recorded in ``tests/data/packages`` and compared again with
the archives by ``make long``.

Red Hat's systems have fewer of the names. Sources: for all three versions the package manifests of RHEL
(docs.redhat.com, "Package manifest"); ``libvirt.spec`` of CentOS Stream, where ``libvirt-daemon-kvm`` brings QEMU's,
the network and the storage driver with dnsmasq, and only recommends ``libvirt-daemon``, the one with libvirtd;
``qemu-kvm.spec``, where ``qemu-img`` has ``qemu-nbd``; comps of CentOS Stream (merge request 33) for ``iptables-nft``,
which RHEL 8 calls ``iptables`` and ``iptables-ebtables``; the 10.0 release notes ("Deprecated packages") for
``ipset``. From EPEL (packages.fedoraproject.org): ``rubygem-sqlite3`` (8, 9), ``lxc`` and ``lxc-templates`` (8, 9,
10), ``bindfs`` (8, 9).

``opennebula-node-kvm`` and ``-lxc`` are OpenNebula's own; OneProvision installs just them, and ``qemu-kvm`` on Red
Hat's (``roles/opennebula-node-kvm/tasks/centos.yml``). What they depend on is their affair; ``sudo`` is named because
our sudo rules are checked before they are put into place.
"""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.hostconfig.systems import PerSystem

# OpenNebula's probes need the last two: im_mad/remotes/lib/probe_db.rb, probes/host/pci.rb.
_PROBES = ("ruby-sqlite3", "pciutils")
_DEBIAN_HOST = (
    *("ruby", "rsync", "sudo", "acl", "bridge-utils", "ebtables", "ipset", "iptables", "nftables", "iproute2"),
    *("augeas-tools", "genisoimage", "cron", "lsb-release", "gnupg"),
    *_PROBES,
)
DEBIAN_KVM: tuple[str, ...] = (
    *("qemu-system-x86", "qemu-utils", "libvirt-daemon-system", "libvirt-clients", "dnsmasq-base"),
    *_DEBIAN_HOST,
)
DEBIAN_LXC: tuple[str, ...] = (
    *("lxc", "lxcfs", "lxc-templates", "uidmap", "bindfs", "apparmor", "qemu-utils", "e2fsprogs", "xfsprogs"),
    *_DEBIAN_HOST,
)
_REDHAT_HOST = (*("ruby", "rsync", "sudo", "acl", "ipset", "nftables", "iproute", "cronie", "gnupg2", "pciutils"),)
_REDHAT_KVM = ("qemu-kvm", "qemu-img", "libvirt-daemon", "libvirt-daemon-kvm", "libvirt-client", *_REDHAT_HOST)
_REDHAT_LXC = ("lxc", "lxc-templates", "bindfs", "qemu-img", "e2fsprogs", "xfsprogs", *_REDHAT_HOST)
_REDHAT_BY_VERSION: Mapping[str, tuple[str, ...]] = {
    "redhat-8": ("iptables", "iptables-ebtables", "rubygem-sqlite3"),
    "redhat-9": ("iptables-nft", "rubygem-sqlite3"),
    "redhat-10": ("iptables-nft",),  # no rubygem-sqlite3: only OpenNebula's own packages bring one
}


def _per_system(debian: tuple[str, ...], redhat: tuple[str, ...]) -> PerSystem:
    return {"debian": debian} | {system: (*redhat, *more) for system, more in _REDHAT_BY_VERSION.items()}


KVM: PerSystem = _per_system(DEBIAN_KVM, _REDHAT_KVM)
LXC: PerSystem = _per_system(DEBIAN_LXC, _REDHAT_LXC)
OPENNEBULA_KVM: PerSystem = {
    "debian": ("opennebula-node-kvm", "sudo"),
    "redhat": ("qemu-kvm", "opennebula-node-kvm", "sudo"),
}
OPENNEBULA_LXC: PerSystem = {
    "debian": ("opennebula-node-lxc", "sudo"),
    "redhat": ("opennebula-node-lxc", "sudo"),
}
