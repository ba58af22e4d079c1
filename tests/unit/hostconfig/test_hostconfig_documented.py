"""The page for operators names every playbook, role and parameter there is, and none there is not."""

from __future__ import annotations

import re
from pathlib import Path

from hybrid_drivers.hostconfig.playbooks import PLAYBOOKS
from hybrid_drivers.hostconfig.roles import known_parameters

PAGE = (Path(__file__).parents[3] / "docs/configuration.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-z0-9_-]+)`", PAGE))
PREFIXES = ("opennebula_", "bridged_networking_", "tuntap_", "iptables_", "frr_", "tuned_", "sysctl_")


def test_every_playbook_and_role_is_named() -> None:
    roles = {role for those in PLAYBOOKS.values() for role in those}
    assert (set(PLAYBOOKS) | roles) - NAMED == set()


def test_every_parameter_is_named_and_no_other() -> None:
    parameters = known_parameters()
    assert parameters - NAMED == set()
    assert {name for name in NAMED if name.startswith(PREFIXES)} - parameters == set()
