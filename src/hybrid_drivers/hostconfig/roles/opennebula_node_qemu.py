"""Role ``opennebula-node-qemu``: the same node where the processor's help is not wanted, or not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.node import PACKAGES, node
from hybrid_drivers.hostconfig.steps import Step


@dataclass(frozen=True)
class Parameters:
    """``_packages`` replaces what is installed."""

    opennebula_node_qemu_packages: tuple[str, ...] = PACKAGES


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps."""
    return node("opennebula-node-qemu", parameters.opennebula_node_qemu_packages)
