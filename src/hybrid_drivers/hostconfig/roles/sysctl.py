"""Role ``sysctl``: kernel settings an operator adds; ours alone, OneProvision has no such role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import sysctl
from hybrid_drivers.hostconfig.steps import Step

_SETTING = re.compile(r"([a-z0-9_.-]+)=([A-Za-z0-9_./ -]+)\Z")


@dataclass(frozen=True)
class Parameters:
    """``sysctl_settings``: a list such as ``vm.swappiness=10,net.core.somaxconn=4096``."""

    sysctl_settings: tuple[str, ...] = ()


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return a step a setting.

    Raises:
        ConfigError: an item is not ``key=value``.
    """
    found = []
    for item in parameters.sysctl_settings:
        match = _SETTING.match(item)
        if not match:
            raise ConfigError(f"configuration: sysctl_settings has '{item}', expected key=value")
        found.append(sysctl("sysctl", match[1], match[2]))
    return found
