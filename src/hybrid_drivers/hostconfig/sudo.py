"""What oneadmin may do as root on a node: the lists of OpenNebula's ``share/pkgs/sudoers`` (7.0).

Left out is what lies in ``/var/tmp/one`` (``vnm/tproxy``, ``vnm/ip_netns_exec``, ``vgpu``): oneadmin owns that folder,
so it would be everything. OpenNebula's own packages allow it; whoever needs these drivers uses its repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_drivers.hostconfig.accounts import ONEADMIN
from hybrid_drivers.hostconfig.primitives import checked_file
from hybrid_drivers.hostconfig.steps import Step

_NET = (
    *("ebtables", "iptables", "ip6tables", "ipset", "nft", "brctl"),
    *("ip link *", "ip neighbour *", "ip route *", "ip rule *", "ip tuntap *", "bridge *", "ethtool", "devlink"),
)
_STORAGE = (
    *("lvcreate", "lvremove", "lvs", "vgdisplay", "lvchange", "lvscan", "lvextend", "dmsetup"),
    *("rbd", "ovs-ofctl", "ovs-vsctl", "ovs-appctl"),
)
KVM: tuple[str, ...] = (*_NET, *_STORAGE, "sysctl vm.drop_caches=3 vm.compact_memory=1")
LXC: tuple[str, ...] = (
    *_NET,
    *_STORAGE,
    *("mount", "umount", "bindfs", "losetup", "qemu-nbd", "rbd-nbd", "e2fsck", "resize2fs", "xfs_growfs"),
    *("lxc-attach", "lxc-config", "lxc-create", "lxc-destroy", "lxc-info", "lxc-ls", "lxc-start", "lxc-stop"),
    *("lxc-console", "lxc-device", "lxc-freeze", "lxc-unfreeze"),
)


def allow(role: str, name: str, commands: Sequence[str]) -> Step:
    """Let oneadmin run ``commands`` as root; ``name`` tells several such lists on one host apart."""
    path = f"/etc/sudoers.d/opennebula-hybrid{name and f'-{name}'}"
    alias = f"OPENNEBULA_HYBRID{name and f'_{name.upper()}'}"
    # Each in both folders: sudo compares paths, and systems differ in where they keep a command.
    listed = ", \\\n    ".join(f"{folder}/{one}" for one in commands for folder in ("/usr/sbin", "/usr/bin"))
    text = (
        f"Defaults:{ONEADMIN} !requiretty\nCmnd_Alias {alias} = {listed.replace('=', chr(92) + '=')}\n"
        f"{ONEADMIN} ALL=(ALL:ALL) NOPASSWD: {alias}\n"
    )
    return checked_file(role, path, text, accepted_by="visudo -cf")
