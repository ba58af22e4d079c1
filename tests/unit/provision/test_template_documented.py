"""docs/templates.md names every key, type and kind there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hybrid_drivers.provision import dialects
from hybrid_drivers.provision.template.grammar import OBJECTS, SINGLE, UPDATES
from hybrid_drivers.provision.template.inputspecs import KEYS, TYPES
from hybrid_drivers.provision.template.model import LISTS, SECTIONS
from hybrid_drivers.provision.template.objectspecs import CONNECTION, META
from hybrid_drivers.provision.template.reader import ANSIBLE, FOREIGN, OTHERS, TEXTS

WORDS = set(re.findall(r"[\w-]+", (Path(__file__).parents[3] / "docs" / "templates.md").read_text()))
UNSAID = {"playbooks", "timeout", "start_time", "state"}  # old names of others, and what OneProvision itself writes


@pytest.mark.parametrize(
    "names",
    [TEXTS, OTHERS, ANSIBLE, FOREIGN, LISTS, SECTIONS, CONNECTION, META, KEYS, TYPES, tuple(OBJECTS), SINGLE, UPDATES,
     tuple(dialects.DRIVERS)],
    ids=["texts", "others", "ansible", "foreign", "lists", "sections", "connection", "meta", "inputs", "types",
         "objects", "single", "updates", "providers"],
)  # fmt: skip
def test_documented(names: tuple[str, ...]) -> None:
    assert set(names) - WORDS <= UNSAID
