"""The registry: lazy, and open to other packages for names that are not ours."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.providers import FakeClock, entry

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import Provider
from hybrid_drivers.providers.driver import Driver
from hybrid_drivers.providers.dummy import DummyProvider

OUTSIDE = Driver(name="outside", target="hybrid_drivers.providers.dummy:DummyProvider")


class Points:
    """Stands for the entry points of installed packages, and counts how often they are asked for."""

    def __init__(self, **values: str) -> None:
        self.asked = 0
        self._points = [importlib.metadata.EntryPoint(name, value, registry.GROUP) for name, value in values.items()]

    def __call__(self, *, group: str) -> list[importlib.metadata.EntryPoint]:
        assert group == "hybrid_drivers.providers"
        self.asked += 1
        return self._points


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Points:
    found = Points(outside=f"{__name__}:OUTSIDE", broken="no.such.module:X", wrong="os:sep", packet="no.such:Thing")
    monkeypatch.setattr(importlib.metadata, "entry_points", found)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    return found


@pytest.mark.parametrize("name", ["packet", "ec2", "dummy", "static"])
def test_our_own_drivers_ask_nobody(name: str, points: Points) -> None:
    assert registry.driver(name).name == name
    assert points.asked == 0


def test_every_target_exists_and_is_a_provider() -> None:
    for row in registry.built_in():
        module, _, name = row.target.partition(":")
        found = getattr(importlib.import_module(module), name)
        assert all(hasattr(found, verb) for verb in ("placements", "create", "get", "list", "delete"))
        assert isinstance(found.idempotent_create, bool)


def test_a_driver_of_another_package_is_found(points: Points, tmp_path: Path) -> None:
    assert registry.driver("outside") is OUTSIDE
    provider: Provider = registry.make_provider(entry("outside", {}), FakeClock(), state_dir=tmp_path)
    assert isinstance(provider, DummyProvider)


@pytest.mark.parametrize(("name", "told"), [("broken", "cannot be loaded"), ("wrong", "is not a .*Driver")])
def test_a_broken_driver_of_another_package_is_named(points: Points, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        registry.driver(name)


def test_an_unknown_driver_names_the_known(points: Points) -> None:
    with pytest.raises(ConfigError, match=r"unknown driver 'packte' \(known: broken, dummy, ec2, outside, packet"):
        registry.driver("packte")


def test_reading_entries_loads_no_heavy_library() -> None:
    code = (
        "import sys, hybrid_drivers.providers.entries as e;"
        "e.entry_from_attributes({'DRIVER':'packet','PACKET_TOKEN':'a','PACKET_PROJECT':'b'}, 'host 1');"
        "print([m for m in ('requests','boto3','botocore','urllib3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
