"""Samples and documents say what the code accepts: etc/ is read by it, docs/ name every key."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hybrid_drivers.agent.settings import AgentSettings, Settings, read_settings
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.driver import Driver
from hybrid_drivers.providers.entries import load_entries

ETC = Path(__file__).parents[2] / "etc"
SAMPLES = sorted(path.name for path in (ETC / "providers.d").glob("*.yaml.sample"))


def uncommented(text: str) -> str:
    """Turn ``# key: value`` lines (and what is indented below them) into YAML; sentences stay comments."""
    return re.sub(r"^( *)# (?= *(- )?[\w.@-]+:( |$))", r"\1", text, flags=re.M)


def test_every_built_in_driver_has_a_sample() -> None:
    assert [name.partition(".")[0] for name in SAMPLES] == sorted(one.name for one in registry.built_in())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("change", [str, uncommented], ids=["as shipped", "uncommented"])
def test_provider_samples_are_accepted(name: str, change: type[str], tmp_path: Path) -> None:
    entry = tmp_path / name.removesuffix(".sample")
    shutil.copy(ETC / "providers.d" / name, tmp_path)
    entry.write_text(change((ETC / "providers.d" / name).read_text()))
    entry.chmod(0o600)
    loaded = load_entries(tmp_path)
    assert loaded.errors == {}
    assert [one.driver for one in loaded.entries.values()] == [name.partition(".")[0]]


def test_the_general_sample_is_accepted(tmp_path: Path) -> None:
    shipped = (ETC / "hybrid.yaml").read_text()
    assert yaml.safe_load(shipped) is None  # nothing but comments: the defaults hold
    file = tmp_path / "hybrid.yaml"
    file.write_text(uncommented(shipped))
    settings = read_settings(file)
    assert {*yaml.safe_load(file.read_text())["agent"]} == {one.name for one in fields(AgentSettings)}
    assert (settings.agent, settings.zone_id, settings.playbook) == (AgentSettings(), 0, Settings().playbook)
    assert settings.connection["REMOTE_USER"] == "root"


@pytest.mark.parametrize("driver", registry.built_in(), ids=lambda driver: driver.name)
def test_every_attribute_of_a_driver_is_documented(driver: Driver) -> None:
    text = (ETC.parent / "docs/attributes.md").read_text()
    section = text.partition(f"### {driver.name}\n")[2].partition("\n##")[0]
    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", section))
    known = {one.name for one in driver.attributes} | {*driver.inline, *driver.aliases}
    assert named - known <= {"YES"}
    assert known - named == set()


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ETC.parent / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(name: str) -> None:
    page = ETC.parent / name
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
