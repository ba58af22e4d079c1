"""Role ``opennebula-node-kvm``: a libvirt and QEMU/KVM node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig import selinux
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.node import kvm_module_options, node
from hybrid_drivers.hostconfig.primitives import command
from hybrid_drivers.hostconfig.steps import Step

_ROLE = "opennebula-node-kvm"
# Without the processor's help guests still run, slowly (VM_MAD qemu): no failure.
_KVM_THERE = """\
[ ! -e /dev/kvm ] || return 0
    ! grep -Eqw 'vmx|svm' /proc/cpuinfo || in_container || return 1
    info 'no /dev/kvm: guests run without acceleration, as with role opennebula-node-qemu'"""
_LOAD_KVM = "if grep -qw vmx /proc/cpuinfo; then modprobe kvm_intel; else modprobe kvm_amd; fi"


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/opennebula-node-kvm/defaults/main.yml``.

    ``_use_ev`` and ``_rhev_repo`` chose a newer QEMU on CentOS and RHEL 7 and nowhere else, not even in OneProvision
    (``tasks/centos.yml``); they are accepted and mean nothing, as version 7 is not supported. ``_packages`` is ours: it
    replaces what is installed, on every system.
    """

    opennebula_node_kvm_use_ev: bool = False
    opennebula_node_kvm_param_nested: bool = False
    opennebula_node_kvm_manage_kvm: bool = True
    opennebula_node_kvm_rhev_repo: str = "rhel-7-server-rhv-4-mgmt-agent-rpms"
    opennebula_node_selinux_booleans: str = selinux.DEFAULT
    opennebula_node_kvm_packages: tuple[str, ...] = ()


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: ``opennebula_node_selinux_booleans`` is not such a list.
    """
    booleans = parameters.opennebula_node_selinux_booleans
    found = node(_ROLE, parameters.opennebula_node_kvm_packages, booleans, facts)
    if parameters.opennebula_node_kvm_manage_kvm:
        found.append(kvm_module_options(_ROLE, nested=parameters.opennebula_node_kvm_param_nested))
        found.append(command(_ROLE, "look for KVM", check=_KVM_THERE, apply=_LOAD_KVM))
    return found
