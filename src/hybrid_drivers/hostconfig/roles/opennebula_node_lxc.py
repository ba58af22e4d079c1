"""Role ``opennebula-node-lxc``: a node for LXC containers.

As OpenNebula's own package ``opennebula-node-lxc`` sets it up: unprivileged containers started by root with the ids
600100001-600165537 (documentation "LXC Driver"), mounted for them below ``/var/lib/lxc-one``, disks by way of loop and
nbd devices. VNC needs ``svncterm_server``, which only OpenNebula's package brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig import nodepackages, selinux, sudo
from hybrid_drivers.hostconfig.accounts import OWNER, oneadmin
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.node import install
from hybrid_drivers.hostconfig.primitives import directory, file, line, require
from hybrid_drivers.hostconfig.roles.opennebula_repository import uses_repository
from hybrid_drivers.hostconfig.steps import Step, all_of, words

_ROLE = "opennebula-node-lxc"
_IDS = "root:600100001:65537"
# OpenNebula's share/etc/modprobe.d and modules-load.d.
_OPTIONS = "options loop max_loop=256\noptions nbd nbds_max=256\n"
_MODULES = {"loop": "containers cannot use disk images", "nbd": "containers cannot use qcow2 images"}
# EPEL 10 has no bindfs, by which OpenNebula's driver maps the owners of files (lib/lxc/storage/storageutils.rb).
_HAS_ALL = """\
[ "$(choose 'debian=yes' 'redhat=yes' 'redhat-10=no')" = yes ] ||
        stop "there is no bindfs for $(os PRETTY_NAME): containers need opennebula_repository_enabled there\""""


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/opennebula-node-lxc/defaults/main.yml``.

    ``_packages`` is ours: it replaces what is installed, on every system.
    """

    opennebula_node_lxc_packages: tuple[str, ...] = ()
    opennebula_node_selinux_booleans: str = selinux.DEFAULT


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: ``opennebula_node_selinux_booleans`` is not such a list.
    """
    wanted = parameters.opennebula_node_lxc_packages
    from_distribution = not wanted and not uses_repository(facts)
    return [
        *([require(_ROLE, "system for containers", _HAS_ALL)] if from_distribution else []),
        *install(_ROLE, wanted, nodepackages.LXC, nodepackages.OPENNEBULA_LXC, facts),
        *oneadmin(_ROLE),
        sudo.allow(_ROLE, "lxc", sudo.LXC),
        line(_ROLE, "/etc/subuid", _IDS, name="set the user ids of containers"),
        line(_ROLE, "/etc/subgid", _IDS, name="set the group ids of containers"),
        directory(_ROLE, "/var/lib/lxc-one", mode="751", owner=OWNER),
        file(_ROLE, "/etc/modprobe.d/opennebula-hybrid-lxc.conf", _OPTIONS),
        *(_module(name, missing) for name, missing in _MODULES.items()),
        *selinux.booleans(_ROLE, parameters.opennebula_node_selinux_booleans),
    ]


def _module(name: str, missing: str) -> Step:
    """Have a kernel module loaded, now and after a reboot; ``missing`` is told where the kernel has none."""
    where = words(f"/etc/modules-load.d/opennebula-hybrid-{name}.conf", "644", "root:root")
    there = f"optional_module_is {words(name, missing)}"
    return Step(
        role=_ROLE,
        name=f"load kernel module {name}",
        check=all_of(f"file_is {where}", there),
        apply=f"put_file {where}\n    {there} || modprobe {words(name)}",
        stdin=f"{name}\n",
    )
