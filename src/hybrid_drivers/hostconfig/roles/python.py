"""Role ``python``: kept because playbooks name it. Ansible needed Python on the host; our script needs only ``sh``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybrid_drivers.hostconfig.steps import Step

if TYPE_CHECKING:
    from hybrid_drivers.hostconfig.roles import Facts


@dataclass(frozen=True)
class Parameters:
    """It has none."""


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return no steps."""
    return ()
