"""Playbooks of Ansible's for tests: written to a folder of the test, run without a machine (``hosts: localhost``)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import yaml

from hybrid_drivers.hostconfig import ansible
from hybrid_drivers.hostconfig.report import RunReport, StepReport
from hybrid_drivers.hostconfig.runner import Session, SshTarget

HOST = "192.0.2.7"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMc/uRVDpZ4r6RzJFCkwvyKjnqPrXzAWDyhVbBE7CGz"
LOCAL = {"hosts": "localhost", "gather_facts": False}
Write = Callable[..., Path]


@dataclass(frozen=True)
class _Session:
    """What Ansible is told of a connection."""

    target: SshTarget
    host: str
    host_key: str = KEY


def session(user: str = "root", port: int = 22, host: str = HOST) -> Session:
    """Make a connection to ``host`` in name only."""
    return cast(Session, _Session(SshTarget(host, port, user, Path("/nowhere/id_ed25519"), (KEY,)), host))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's private folders are made."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def site(tmp_path: Path, temporary: Path) -> Write:
    """Write a playbook and return its path."""

    def write(*plays: object, name: str = "site.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(list(plays)))
        return path

    return write


def tasks(*items: Mapping[str, object]) -> dict[str, object]:
    """Make a play of tasks on this machine."""
    return {"name": "mine", **LOCAL, "tasks": list(items)}


def shell(command: str, **more: object) -> dict[str, object]:
    """Make a task."""
    return {"name": "run it", "ansible.builtin.shell": command, **more}


def run(
    path: Path, *, check_only: bool = False, timeout: float = 60, program: Path | None = None
) -> tuple[RunReport, list[StepReport]]:
    """Run a playbook and return its report and all that was told meanwhile."""
    seen: list[StepReport] = []
    playbook = ansible.find(str(path), {"a": 1}, {})
    playbook = replace(playbook, program=program or playbook.program)
    return playbook.run(session(), seen.append, check_only=check_only, timeout=timeout), seen
