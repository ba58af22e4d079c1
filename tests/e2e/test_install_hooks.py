"""install.sh --hooks: hooks that are registered with oned and deleted together with an installation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installer import install, mode, snapshot

from hybrid_drivers.config import Location
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.hooks import NAMES, Hooks
from hybrid_drivers.sandbox.frontend.frontend import Frontend

NOBODY = "http://127.0.0.1:9/RPC2"  # the port discard(9)


@pytest.fixture
def front_end(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None) as started:
        yield started


@pytest.fixture
def hooks(front_end: Frontend) -> Hooks:
    return Hooks(Oned.from_location(Location.from_environment(front_end.environment)))


def run(checkout: Path, front_end: Frontend, *arguments: str, code: int = 0, oned: str = "") -> str:
    """Run install.sh for this front-end; ``oned`` is where oned is looked for instead."""
    words = ("-d", str(front_end.location), "--python", sys.executable, *arguments)
    told = front_end.environment
    return install(
        checkout, *words, code=code, HOME=told["HOME"], ONE_AUTH=told["ONE_AUTH"], ONE_XMLRPC=oned or told["ONE_XMLRPC"]
    )


def names(hooks: Hooks) -> list[str]:
    return sorted(one.name for one in hooks.pool())


def test_hooks_come_and_go_with_the_drivers(checkout: Path, front_end: Frontend, hooks: Hooks) -> None:
    one = front_end.location
    before = snapshot(one)
    said = run(checkout, front_end, "-l", "--hooks")
    assert said.splitlines()[-1] == f"hooks: {', '.join(f'{name} (made)' for name in NAMES)}"
    assert names(hooks) == sorted(NAMES)
    program = one / "var/remotes/hooks/alias_ip"
    assert {found.template.text("COMMAND") for found in hooks.pool()} == {str(program)}
    assert mode(program.resolve()) == 0o755
    said = run(checkout, front_end, "-l", "--hooks")
    assert said.splitlines()[-1] == f"hooks: {', '.join(f'{name} (kept)' for name in NAMES)}"
    run(checkout, front_end, "-l")
    assert names(hooks) == sorted(NAMES)  # they stay until they are taken away
    hooks.allocate("mine", "api", Template([("COMMAND", "/bin/true"), ("CALL", "one.vm.action")]))
    said = run(checkout, front_end, "-r")
    assert "hooks deleted" in said
    assert names(hooks) == ["mine"]
    assert snapshot(one) == before


def test_hooks_that_the_command_registered_go_too(checkout: Path, front_end: Frontend, hooks: Hooks) -> None:
    run(checkout, front_end, "-l")
    command = [str(front_end.location / "lib/hybrid/venv/bin/onehybrid"), "hooks", "install"]
    subprocess.run(command, env=front_end.environment, check=True, capture_output=True)
    assert names(hooks) == sorted(NAMES)
    assert "hooks deleted" in run(checkout, front_end, "-r")
    assert names(hooks) == []


def test_without_the_option_oned_is_not_asked(checkout: Path, front_end: Frontend, hooks: Hooks) -> None:
    said = run(checkout, front_end, "-l", oned=NOBODY)
    assert "hook" not in said
    said = run(checkout, front_end, "-r", oned=NOBODY)
    assert "hook" not in said
    assert names(hooks) == []


def test_a_oned_that_does_not_answer_leaves_the_rest_installed(
    checkout: Path, front_end: Frontend, hooks: Hooks
) -> None:
    one = front_end.location
    said = run(checkout, front_end, "-l", "--hooks", code=1, oned=NOBODY)
    assert "The hybrid drivers are installed." in said
    last = said.splitlines()[-1]
    assert last.startswith("install.sh: everything is installed but the hooks: ")
    assert "is it running" in last
    assert (one / "lib/hybrid/hybrid-client").exists()
    assert names(hooks) == []
    said = run(checkout, front_end, "-l", "--hooks")  # once it runs
    assert names(hooks) == sorted(NAMES)
    said = run(checkout, front_end, "-r", oned=NOBODY)
    assert "note: the hooks are still in oned" in said
    assert "The hybrid drivers are removed." in said
    assert not (one / "lib/hybrid").exists()
    assert names(hooks) == sorted(NAMES)


def test_there_is_no_oned_below_destdir(checkout: Path, tmp_path: Path) -> None:
    said = install(checkout, "--hooks", code=1, DESTDIR=str(tmp_path / "root"))
    assert said.startswith("install.sh: --hooks speaks with a running oned")
    assert not (tmp_path / "root").exists()
