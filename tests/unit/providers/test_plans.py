"""Sizes of plans in a provider entry."""

from __future__ import annotations

import json

import pytest

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.providers import entries
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.plans import PlanNuma, PlanSize, size_of


def read(plans: object) -> ProviderEntry:
    return entries.entry_from_document("a", json.dumps({"driver": "dummy", "plans": plans}), "document 1")


def test_sizes_are_read_and_survive_a_document() -> None:
    first = read({"small": {"cpu": 7.5, "memory": "30000"}})
    again = entries.entry_from_document("a", json.dumps(entries.body_of(first)), "document 1")
    assert entries.digest(again) == entries.digest(first)
    assert size_of(again, "small") == PlanSize(cpu=7.5, memory=30000)
    assert size_of(again, "large") is None
    plain = entries.entry_from_document("a", json.dumps({"driver": "dummy"}), "document 1")
    assert size_of(plain, "small") is None


def test_devices_and_nodes_are_read_and_survive_a_document() -> None:
    numa = {"nodes": 2, "cores": 16, "threads": 2, "hugepages": {2048: 1024}}
    listed = ["10de:20b0:0302", "10de:20b0:0302", "15b3:*:0200"]
    first = read({"a": {"cpu": 8, "memory": 1, "pci": listed, "numa": numa}})
    again = entries.entry_from_document("a", json.dumps(entries.body_of(first)), "document 1")
    found = size_of(again, "a")
    assert found is not None
    assert found.pci == tuple(listed)
    assert found.numa == PlanNuma(nodes=2, cores=16, threads=2, pages={2048: 1024})
    counted = size_of(read({"a": {"cpu": 8, "memory": 1, "pci": {"10de:20b0:0302": 2}}}), "a")
    assert counted is not None
    assert counted.pci == ("10de:20b0:0302",) * 2


@pytest.mark.parametrize(
    "plans",
    [
        3,
        ["small"],
        {"small": 8},
        {"small": {"cpu": 8}},
        {"small": {"cpu": 8, "memory": 1024, "disk": 5}},
        {"small": {"cpu": 0, "memory": 1024}},
        {"small": {"cpu": -1, "memory": 1024}},
        {"small": {"cpu": True, "memory": 1024}},
        {"small": {"cpu": "many", "memory": 1024}},
        {"small": {"cpu": 8, "memory": "inf"}},
        {"small": {"cpu": 8, "memory": 1, "pci": "10de:20b0:0302"}},
        {"small": {"cpu": 8, "memory": 1, "pci": ["10de:20b0"]}},
        {"small": {"cpu": 8, "memory": 1, "pci": ["gpu:20b0:0302"]}},
        {"small": {"cpu": 8, "memory": 1, "pci": {"10de:20b0:0302": 0}}},
        {"small": {"cpu": 8, "memory": 1, "pci": {"10de:20b0:0302": "many"}}},
        {"small": {"cpu": 8, "memory": 1, "numa": {"nodes": 2}}},
        {"small": {"cpu": 8, "memory": 1, "numa": {"nodes": 0, "cores": 1, "threads": 1}}},
        {"small": {"cpu": 8, "memory": 1, "numa": {"nodes": 1, "cores": 1, "threads": 1, "hugepages": 5}}},
        {"small": {"cpu": 8, "memory": 1, "numa": {"nodes": 1, "cores": 1, "threads": 1, "hugepages": {"2M": 5}}}},
    ],
)
def test_a_wrong_size_is_told(plans: object) -> None:
    with pytest.raises(ConfigError, match="key 'plans'"):
        read(plans)
