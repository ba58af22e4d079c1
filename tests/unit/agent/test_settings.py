"""``hybrid.yaml``: what it means, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_drivers.agent.settings import AgentSettings, Settings, read_settings
from hybrid_drivers.errors import ConfigError


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "hybrid.yaml"
    path.write_text(text)
    return read_settings(path)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "hybrid.yaml") == Settings()


@pytest.mark.parametrize("text", ["", "# all of it a comment\n", "agent:\n", "defaults:\nagent: {}\n"])
def test_what_is_not_said_is_the_default(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == Settings()


def test_everything_can_be_said(tmp_path: Path) -> None:
    text = """
defaults:
  provision: {provider: packet-ams, METRO: am}
  connection:
    remote_port: 2222
  configuration:
    bridged_networking_iface: eno1
  playbook: dummy
zone_id: 3
agent:
  sweep: 12.5
  drift: 0
  workers: 4
  log_level: debug
"""
    assert read(tmp_path, text) == Settings(
        provision={"PROVIDER": "packet-ams", "METRO": "am"},
        connection={"REMOTE_PORT": "2222"},
        configuration={"bridged_networking_iface": "eno1"},
        playbook="dummy",
        zone_id=3,
        agent=AgentSettings(sweep=12.5, drift=0, workers=4, log_level="debug"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agents:\n  sweep: 1\n", r"hybrid\.yaml:1: unknown key 'agents'"),
        ("agent:\n  sweeep: 1\n", r"hybrid\.yaml:2: unknown key 'agent\.sweeep'"),
        ("agent:\n  sweep: often\n", r"hybrid\.yaml:2: 'sweep' must be a number"),
        ("agent:\n  sweep: -1\n", r"hybrid\.yaml:2: 'sweep' must be a number"),
        ("agent:\n  sweep: .inf\n", r"hybrid\.yaml:2: 'sweep' must be a number"),
        ("agent:\n  workers: 0\n", r"hybrid\.yaml:2: 'workers' must be a number, 1 or more"),
        ("agent:\n  log_level: loud\n", r"hybrid\.yaml:2: 'log_level' must be one of"),
        ("agent:\n  drift: 59\n", r"hybrid\.yaml:2: 'drift' must be 0 \(never\) or a number, 60 or more"),
        ("agent: 7\n", r"hybrid\.yaml:1: 'agent' must be a section"),
        ("zone_id: first\n", r"hybrid\.yaml:1: 'zone_id' must be"),
        ("defaults:\n  provision:\n    PLAN: [a, b]\n", r"hybrid\.yaml:3: 'PLAN' must be a single value"),
        ("defaults:\n  provisions: {}\n", r"unknown key 'defaults\.provisions'"),
        ("agent: {\n", r"hybrid\.yaml:2: not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path, text)
