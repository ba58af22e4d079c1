"""Role ``ddc``: is the system one we know, has its first boot ended, is nothing in our way?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.primitives import command, require
from hybrid_drivers.hostconfig.steps import Step

_ROLE = "ddc"
_SUPPORTED = """\
case "$(os ID)-$(os VERSION_ID)" in
        debian-12 | debian-13 | ubuntu-22.04 | ubuntu-24.04) ;;
        almalinux-[89] | almalinux-[89].* | almalinux-10 | almalinux-10.*) ;;
        rhel-[89] | rhel-[89].* | rhel-10 | rhel-10.*) ;;
        *)
            stop "this system is not supported: $(os PRETTY_NAME); Debian 12 and 13, Ubuntu 22.04 and 24.04," \\
                "AlmaLinux and RHEL 8, 9 and 10 are"
            ;;
    esac"""
# cloud-init installs packages and writes sshd's settings while the machine already takes logins. The two files are for
# those who wait for it (cloud-init's documentation, "Status"); asking it takes half a second, so that comes last.
_FIRST_BOOT_OVER = """\
[ ! -e /run/cloud-init/result.json ] || return 0
    command -v cloud-init >/dev/null || return 0
    case $(cloud-init status 2>/dev/null) in *running* | *'not run'*) return 1 ;; esac"""
_WAIT = "timeout 600 cloud-init status --wait >/dev/null || info 'cloud-init reports problems'"


@dataclass(frozen=True)
class Parameters:
    """It has none."""


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the steps.

    As in OneProvision (``roles/ddc``), network settings of interfaces that are not there are set aside. That role also
    put ufw out of service; here ``iptables`` does, once its own rules are in force.
    """
    return (
        require(_ROLE, "supported system", _SUPPORTED),
        command(_ROLE, "wait for the first boot to end", check=_FIRST_BOOT_OVER, apply=_WAIT),
        require(_ROLE, "wait for package updates", "wait_for_package_updates"),
        command(
            _ROLE,
            "set network settings of missing interfaces aside",
            check='[ -z "$(stale_ifcfg)" ]',
            apply="set_stale_ifcfg_aside",
        ),
    )
