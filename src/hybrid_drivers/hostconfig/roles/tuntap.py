"""Role ``tuntap``: a lasting tap interface, which people connect to the bridge of a host's own guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.parameters import Interface
from hybrid_drivers.hostconfig.primitives import command
from hybrid_drivers.hostconfig.steps import Step, words


@dataclass(frozen=True)
class Parameters:
    """Names and defaults: OpenNebula ``share/oneprovision/ansible/roles/tuntap/defaults/main.yml``."""

    tuntap_name: Interface = Interface("tap0")  # noqa: RUF009 - a NewType of str, as immutable as str
    tuntap_mode: str = "tap"


PARAMETERS = Parameters


def steps(parameters: Parameters, facts: Facts) -> Sequence[Step]:
    """Return the step.

    Raises:
        ConfigError: the mode is neither tap nor tun.
    """
    mode = parameters.tuntap_mode
    if mode not in ("tap", "tun"):
        raise ConfigError(f"configuration: tuntap_mode is '{mode}', expected tap or tun")
    if not parameters.tuntap_name:
        return ()
    what = words(parameters.tuntap_name, mode)
    return (command("tuntap", f"make {parameters.tuntap_name}", check=f"tap_is {what}", apply=f"put_tap {what}"),)
