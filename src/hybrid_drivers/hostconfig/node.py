"""What every libvirt/QEMU node has, with or without KVM.

As OpenNebula's own package ``opennebula-node-kvm`` sets it up: QEMU runs as oneadmin and libvirt leaves the ownership
of disk images alone, oneadmin may use libvirt and /dev/kvm, and has sudo for what the drivers run as root (the lists
``NET``, ``LVM`` and ``MEM`` of OpenNebula's ``share/sudoers/sudoers.rb``).
"""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_drivers.hostconfig.accounts import HOME, ONEADMIN, oneadmin
from hybrid_drivers.hostconfig.primitives import checked_file, file, line, member, packages, service, setting
from hybrid_drivers.hostconfig.steps import Step

PACKAGES = (
    *("qemu-system-x86", "qemu-utils", "libvirt-daemon-system", "libvirt-clients", "dnsmasq-base"),
    *("ruby", "rsync", "sudo", "acl", "bridge-utils", "ebtables", "ipset", "iptables", "nftables", "iproute2"),
    *("augeas-tools", "genisoimage", "cron", "lsb-release", "gnupg"),
    *("ruby-sqlite3", "pciutils"),  # OpenNebula's probes need them: im_mad/remotes/lib/probe_db.rb, probes/host/pci.rb
)
_QEMU_CONF = "/etc/libvirt/qemu.conf"
# Where Debian and Ubuntu leave room in the profile of all guests; libvirt reads it at the start of each guest. The rule
# is OneProvision's (roles/opennebula-node-kvm/tasks/security.yml).
_APPARMOR = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
_LIBVIRTD = "libvirtd.service"
_AS_ROOT = (
    *("ebtables", "iptables", "ip6tables", "ipset", "nft", "brctl"),
    *("ip link *", "ip neighbour *", "ip route *", "ip rule *", "ip tuntap *", "bridge *"),
    *("lvcreate", "lvremove", "lvs", "vgdisplay", "lvchange", "lvscan", "lvextend"),
    "sysctl vm.drop_caches=3 vm.compact_memory=1",
)


def node(role: str, names: Sequence[str]) -> list[Step]:
    """Return the steps that make a libvirt/QEMU node of ``names`` (packages) for oneadmin."""
    return [
        packages(role, names),
        *oneadmin(role),
        *(member(role, ONEADMIN, group) for group in ("libvirt", "kvm", "disk")),
        checked_file(role, "/etc/sudoers.d/opennebula-hybrid", _sudoers(), accepted_by="visudo -cqf"),
        setting(role, _QEMU_CONF, "user", f'"{ONEADMIN}"', triggers=(_LIBVIRTD,)),
        setting(role, _QEMU_CONF, "group", f'"{ONEADMIN}"', triggers=(_LIBVIRTD,)),
        setting(role, _QEMU_CONF, "dynamic_ownership", "0", triggers=(_LIBVIRTD,)),
        line(role, _APPARMOR, f"{HOME}/datastores/** rwk,", name="let guests use the datastores despite AppArmor"),
        service(role, _LIBVIRTD, socket="libvirtd.socket"),
    ]


def kvm_module_options(role: str, *, nested: bool) -> Step:
    """Let guests be hypervisors themselves, or not; a loaded module takes it at the next boot."""
    value = "1" if nested else "0"
    text = f"options kvm_intel nested={value}\noptions kvm_amd nested={value}\n"
    return file(role, "/etc/modprobe.d/opennebula-hybrid-kvm.conf", text)


def _sudoers() -> str:
    """Name each command in both folders: sudo compares paths, and systems differ in where they keep it."""
    commands = ", \\\n    ".join(f"{folder}/{one}" for one in _AS_ROOT for folder in ("/usr/sbin", "/usr/bin"))
    return (
        f"Defaults:{ONEADMIN} !requiretty\nCmnd_Alias OPENNEBULA_HYBRID = {commands.replace('=', chr(92) + '=')}\n"
        f"{ONEADMIN} ALL=(ALL:ALL) NOPASSWD: OPENNEBULA_HYBRID\n"
    )
