"""Role ``ddc``: is the system one we know, has its first boot ended, is nothing in our way?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import command, require
from hybrid_drivers.hostconfig.steps import Step

_ROLE = "ddc"
_SUPPORTED = """\
case "$(os ID) $(os VERSION_ID) $(os ID_LIKE)" in
        'debian 12 '* | 'debian 13 '* | 'ubuntu 22.04 '* | 'ubuntu 24.04 '*) ;;
        *debian* | *ubuntu*) info "untested system: $(os PRETTY_NAME)" ;;
        *) stop "this system is not supported yet: $(os PRETTY_NAME); Debian 12 or later or Ubuntu 22.04 or later is" ;;
    esac"""
# cloud-init installs packages and writes sshd's settings while the machine already takes logins.
_FIRST_BOOT_OVER = """\
command -v cloud-init >/dev/null || return 0
    case $(cloud-init status 2>/dev/null) in *running*) return 1 ;; esac"""
_NO_UFW = """\
has_systemd || return 0
    ! systemctl --quiet is-enabled ufw.service 2>/dev/null"""


@dataclass(frozen=True)
class Parameters:
    """It has none."""


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps. As in OneProvision, ufw is put out of service: its rules would fight those of ``iptables``."""
    return (
        require(_ROLE, "supported system", _SUPPORTED),
        command(
            _ROLE,
            "wait for the first boot to end",
            check=_FIRST_BOOT_OVER,
            apply="timeout 600 cloud-init status --wait >/dev/null || info 'cloud-init reports problems'",
        ),
        command(_ROLE, "put ufw out of service", check=_NO_UFW, apply="systemctl disable --now ufw.service"),
    )
