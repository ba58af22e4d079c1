"""docs/providers.md names every key an entry may have, and every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hybrid_drivers.cli.provider.group import COMMANDS
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.driver import COMMON_SETTINGS, Driver
from hybrid_drivers.provision.dialects import DRIVERS
from hybrid_drivers.provision.provider_dialects import WITHOUT_MEANING

TEXT = (Path(__file__).parents[3] / "docs/providers.md").read_text()


def row(first: str) -> set[str]:
    [line] = [line for line in TEXT.splitlines() if line.startswith(f"| {first} |")]
    return set(re.findall(r"`([^`]+)`", line.partition("|")[2].partition("|")[2]))


@pytest.mark.parametrize("driver", registry.built_in(), ids=lambda driver: driver.name)
def test_every_key_of_a_driver_is_there(driver: Driver) -> None:
    assert row(driver.name) == {one.name for one in driver.settings}


def test_every_common_key_is_there() -> None:
    assert row("all") == {"driver", "defaults", "limits", *(one.name for one in COMMON_SETTINGS)}


def test_every_command_and_dialect_is_there() -> None:
    named = set(re.findall(r"`([a-z]+)", TEXT))
    assert set(COMMANDS) <= named
    assert set(DRIVERS) - {"ec2"} <= named
    assert all(f"`{key}`" in TEXT for key in WITHOUT_MEANING)
