"""Role ``tuned``: a profile of the daemon tuned, only when one is asked for; ours alone.

Neither OneProvision nor one-deploy has such a role, so by default nothing is changed. ``virtual-host`` is tuned's own
profile for hosts of KVM guests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import command, packages, service
from hybrid_drivers.hostconfig.steps import Step, quote

_PROFILE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True)
class Parameters:
    """``tuned_profile``: such as ``virtual-host``; empty leaves the host alone."""

    tuned_profile: str = ""


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    Raises:
        ConfigError: no name of a profile.
    """
    profile = parameters.tuned_profile
    if not profile:
        return ()
    if not _PROFILE.match(profile):
        raise ConfigError(f"configuration: tuned_profile is '{profile}', expected a profile like virtual-host")
    # tuned keeps the name there; asking tuned-adm takes half a second.
    check = f'[ "$(cat /etc/tuned/active_profile 2>/dev/null)" = {quote(profile)} ]'
    return (
        packages("tuned", ("tuned",)),
        service("tuned", "tuned.service"),
        command("tuned", f"use profile {profile}", check=check, apply=f"tuned-adm profile {quote(profile)}"),
    )
