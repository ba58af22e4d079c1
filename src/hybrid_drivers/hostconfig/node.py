"""What every libvirt/QEMU node has, with or without KVM.

As OpenNebula's own package ``opennebula-node-kvm`` sets it up: QEMU runs as oneadmin and libvirt leaves the ownership
of disk images alone, oneadmin may use libvirt and /dev/kvm, has sudo for what the drivers run as root, and finds QEMU
as ``/usr/bin/qemu-kvm-one``. oneadmin uses libvirt as a member of group ``libvirt``: on Red Hat's systems by a rule of
polkit's that libvirt brings, on Debian's and Ubuntu's by that or by the socket's group.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig import nodepackages, selinux, sudo
from hybrid_drivers.hostconfig.accounts import HOME, ONEADMIN, oneadmin
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import command, file, member, packages, service, setting
from hybrid_drivers.hostconfig.roles import opennebula_repository
from hybrid_drivers.hostconfig.steps import Step, words
from hybrid_drivers.hostconfig.systems import PerSystem

_QEMU_CONF = "/etc/libvirt/qemu.conf"
_LIBVIRTD = "libvirtd.service"
# Where Debian and Ubuntu leave room in the profile of all guests; libvirt reads it at the start of each guest. The rule
# is OneProvision's (roles/opennebula-node-kvm/tasks/security.yml).
_APPARMOR = ("/etc/apparmor.d/local/abstractions/libvirt-qemu", f"{HOME}/datastores/** rwk,")
# Plain names, also with an architecture (libc6:amd64), as dpkg-query and "rpm -q --whatprovides" find them again: so
# neither versions nor dnf's @groups. One that begins with "-" would be an option; one that ends with it, apt removes.
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.+_:-]*[A-Za-z0-9.+_])?\Z")
# No time-out: without a socket nobody would start it again.
_LIBVIRTD_SETTINGS = "[Service]\nEnvironment=LIBVIRTD_ARGS=\n"


def node(role: str, wanted: Sequence[str], booleans: str, facts: Facts) -> list[Step]:
    """Return the steps that make a libvirt/QEMU node for oneadmin.

    ``wanted`` are its packages, by default the system's or those of OpenNebula's repository; ``booleans`` are those of
    SELinux, as YAML.
    """
    return [
        *install(role, wanted, nodepackages.KVM, nodepackages.OPENNEBULA_KVM, facts),
        *oneadmin(role),
        *(member(role, ONEADMIN, group) for group in ("libvirt", "kvm", "disk")),
        sudo.allow(role, "", sudo.KVM),
        setting(role, _QEMU_CONF, "user", f'"{ONEADMIN}"', triggers=(_LIBVIRTD,)),
        setting(role, _QEMU_CONF, "group", f'"{ONEADMIN}"', triggers=(_LIBVIRTD,)),
        setting(role, _QEMU_CONF, "dynamic_ownership", "0", triggers=(_LIBVIRTD,)),
        _apparmor(role),
        *selinux.booleans(role, booleans),
        command(role, "name QEMU qemu-kvm-one", check="qemu_is_named", apply="name_qemu"),
        _whole_libvirtd(role),
        service(role, _LIBVIRTD, socket="libvirtd.socket"),
    ]


def install(
    role: str, wanted: Sequence[str], distribution: PerSystem, opennebula: PerSystem, facts: Facts
) -> list[Step]:
    """Return the steps that install a node's packages: the ones asked for, OpenNebula's or the distribution's.

    Raises:
        ConfigError: something asked for is not the plain name of a package.
    """
    for name in wanted:
        if not _PACKAGE.match(name):
            variable = f"{role.replace('-', '_')}_packages"
            raise ConfigError(f"configuration: {variable} has '{name}', expected names of packages such as qemu-utils")
    if wanted:
        return [packages(role, wanted)]
    if opennebula_repository.uses_repository(facts):
        return [packages(role, opennebula)]
    return [opennebula_repository.extra_repositories(role), packages(role, distribution)]


def kvm_module_options(role: str, *, nested: bool) -> Step:
    """Let guests be hypervisors themselves, or not; while guests run, from the next boot on."""
    value = "1" if nested else "0"
    text = f"options kvm_intel nested={value}\noptions kvm_amd nested={value}\n"
    return file(role, "/etc/modprobe.d/opennebula-hybrid-kvm.conf", text, then="reload_kvm")


def _apparmor(role: str) -> Step:
    path, rule = _APPARMOR
    return Step(
        role=role,
        name="let guests use the datastores despite AppArmor",
        check=f"[ \"$(choose 'debian=yes' 'redhat=no')\" = no ] || has_line {words(path, rule)}",
        apply=f"add_line {words(path)}",
        stdin=f"{rule}\n",
    )


def _whole_libvirtd(role: str) -> Step:
    """Have libvirtd in one piece and without sockets of systemd's on Red Hat's systems, as OpenNebula/one-deploy does.

    Red Hat prefers libvirt in parts since version 9 ("Considerations in adopting RHEL 9"); OpenNebula's documentation,
    OneProvision and one-deploy (``roles/kvm/tasks/libvirt.yml``: "OpenNebula cannot deal with socket-activated
    Libvirt") use libvirtd, which is there up to version 10. What OpenNebula's package writes to ``libvirtd.conf``
    (no authentication, but sockets for oneadmin alone) is unsafe where systemd makes the sockets: with mode 0666.
    """
    return Step(
        role=role,
        name="run libvirtd in one piece",
        check="[ \"$(choose 'debian=sockets' 'redhat=whole')\" = sockets ] || libvirtd_is_whole",
        apply="make_libvirtd_whole",
        stdin=_LIBVIRTD_SETTINGS,
        triggers=(_LIBVIRTD,),
    )
