"""Role ``python``: kept because playbooks name it. Ansible needed Python on the host; our script needs only ``sh``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.steps import Step


@dataclass(frozen=True)
class Parameters:
    """It has none."""


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return no steps."""
    return ()
