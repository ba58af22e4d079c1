"""Role ``opennebula-node-qemu``: the same node where the processor's help is not wanted, or not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig import selinux
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.node import node
from hybrid_drivers.hostconfig.steps import Step


@dataclass(frozen=True)
class Parameters:
    """``_packages`` replaces what is installed, on every system."""

    opennebula_node_qemu_packages: tuple[str, ...] = ()
    opennebula_node_selinux_booleans: str = selinux.DEFAULT


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: ``opennebula_node_selinux_booleans`` is not such a list.
    """
    booleans = parameters.opennebula_node_selinux_booleans
    return node("opennebula-node-qemu", parameters.opennebula_node_qemu_packages, booleans, facts)
