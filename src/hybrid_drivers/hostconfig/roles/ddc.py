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

    As in OneProvision (``roles/ddc``), ufw is put out of service, whose rules would fight those of ``iptables``, and
    network settings of interfaces that are not there are set aside. So is firewalld, for the same reason.
    """
    return (
        require(_ROLE, "supported system", _SUPPORTED),
        command(_ROLE, "wait for the first boot to end", check=_FIRST_BOOT_OVER, apply=_WAIT),
        command(_ROLE, "wait for package updates", check="no_package_updates", apply="wait_for_package_updates"),
        *(_out_of_service(one) for one in ("ufw", "firewalld")),
        command(
            _ROLE,
            "set network settings of missing interfaces aside",
            check='[ -z "$(stale_ifcfg)" ]',
            apply="set_stale_ifcfg_aside",
        ),
    )


def _out_of_service(name: str) -> Step:
    """Stop a service for good. A masked one is not started by another package's installation either."""
    unit = f"{name}.service"
    return command(
        _ROLE,
        f"put {name} out of service",
        check=f"is_out_of_service {unit}",
        apply=f"systemctl mask --now {unit}",
    )
