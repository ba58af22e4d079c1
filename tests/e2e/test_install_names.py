"""Which names install.sh gives, and that none of them is ever in the way of OpenNebula's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.support.installer import install, linked, snapshot, write

NAMES = {"oneprovision": "onehybrid provision", "oneprovider": "onehybrid provider"}
FOREIGN = "#!/usr/bin/env ruby\n# OpenNebula's\n"
COMPLETION = "share/bash-completion/completions/onehybrid"


def told(said: str) -> list[str]:
    """Return what was said of names."""
    return [line for line in said.splitlines() if line.startswith("commands:") or line.startswith(tuple(NAMES))]


def pages(one: Path, name: str) -> list[Path]:
    """Return what comes with a command: manual page, completion scripts."""
    return [path for path in (one / "share").rglob(f"*{name}*") if "provisions" not in path.parts]


def run(one: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the front-end as an operator does."""
    environment = {"PATH": os.environ["PATH"], "ONE_LOCATION": str(one), "LC_ALL": "C.UTF-8"}
    return subprocess.run([str(one / "bin" / name), *words], env=environment, capture_output=True, text=True)


def test_all_names_where_there_are_none(checkout: Path, one: Path) -> None:
    before = snapshot(one)
    assert told(linked(checkout, one)) == ["commands: onehybrid, oneprovision, oneprovider"]
    for name in NAMES:
        assert os.readlink(one / "bin" / name) == f"{one}/lib/hybrid/venv/bin/{name}"
    install(checkout, "-d", str(one), "-r")
    assert snapshot(one) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_taken_is_left_alone(checkout: Path, one: Path, name: str) -> None:
    write(one / "bin" / name, FOREIGN)
    before = snapshot(one)
    other = next(one for one in NAMES if one != name)
    for _ in range(2):
        assert told(linked(checkout, one)) == [
            f"commands: onehybrid, {other}",
            f"{name} is another program here ({one}/bin/{name}): use '{NAMES[name]}'",
        ]
        assert (one / "bin" / name).read_text() == FOREIGN
        assert pages(one, name) == []
    install(checkout, "-d", str(one), "-r")
    assert snapshot(one) == before


def test_someone_elses_link_is_taken_too(checkout: Path, one: Path) -> None:
    (one / "bin").mkdir()
    (one / "bin/oneprovision").symlink_to("/nowhere/oneprovision")
    assert "oneprovision is another program here" in linked(checkout, one)
    install(checkout, "-d", str(one), "-r")
    assert os.readlink(one / "bin/oneprovision") == "/nowhere/oneprovision"


@pytest.mark.parametrize("again", [True, False])
def test_a_front_end_that_brings_its_own_later_keeps_it(checkout: Path, one: Path, again: bool) -> None:
    linked(checkout, one)
    (one / "bin/oneprovision").unlink()  # as a package manager replaces it
    write(one / "bin/oneprovision", FOREIGN)
    if again:
        assert "oneprovision is another program here" in linked(checkout, one)
        assert f"{one}/bin/oneprovision" not in json.loads((one / "lib/hybrid/manifest.json").read_text())["files"]
        assert pages(one, "oneprovision") == []
    said = install(checkout, "-d", str(one), "-r")
    assert (f"kept {one}/bin/oneprovision: it is not ours any more" in said) is not again
    assert (one / "bin/oneprovision").read_text() == FOREIGN
    assert not os.path.lexists(one / "bin/oneprovider")


def test_a_name_that_becomes_free_is_given(checkout: Path, one: Path) -> None:
    write(one / "bin/oneprovider", FOREIGN)
    linked(checkout, one)
    (one / "bin/oneprovider").unlink()
    assert told(linked(checkout, one)) == ["commands: onehybrid, oneprovision, oneprovider"]


def test_no_names_where_there_is_no_opennebula_to_look_at(checkout: Path, one: Path) -> None:
    """So that a package made under DESTDIR is in no other package's way."""
    (one / "etc/oned.conf").unlink()
    assert told(linked(checkout, one))[0] == "commands: onehybrid"
    assert not os.path.lexists(one / "bin/oneprovision")


def test_completion_scripts_and_pages_come_with_the_commands(checkout: Path, one: Path) -> None:
    linked(checkout, one)
    assert "complete " in (one / COMPLETION).read_text()
    assert (one / "share/zsh/site-functions/_onehybrid").read_text().startswith("#compdef onehybrid\n")
    assert "complete " in (one / "share/fish/vendor_completions.d/onehybrid.fish").read_text()
    assert (one / "share/man/man1/onehybrid.1").read_text().startswith('.TH "ONEHYBRID" "1"')


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_given_is_the_program_with_its_page_and_completion(checkout: Path, one: Path, name: str) -> None:
    linked(checkout, one)
    assert run(one, name, "--help").stdout.startswith(f"Usage: {name} [OPTIONS] COMMAND")
    assert run(one, name, "list", "--describe").stdout.startswith("ID ")
    assert run(one, name, "nonsense").returncode == 255
    assert f"_{name}" in (one / f"share/bash-completion/completions/{name}").read_text()
    assert (one / f"share/zsh/site-functions/_{name}").read_text().startswith(f"#compdef {name}\n")
    assert f"complete -c {name}" in (one / f"share/fish/vendor_completions.d/{name}.fish").read_text()
    assert f"{name} list" in (one / f"share/man/man1/{name}.1").read_text().replace("\\-", "-")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_to_use_instead_of_a_taken_name_works(checkout: Path, one: Path, name: str) -> None:
    write(one / "bin" / name, FOREIGN)
    linked(checkout, one)
    words = NAMES[name].split()
    assert run(one, *words, "--help").stdout.startswith(f"Usage: {NAMES[name]} [OPTIONS] COMMAND")
    assert run(one, *words, "nonsense").returncode == 255


def test_what_others_put_in_their_place_stays(checkout: Path, one: Path) -> None:
    write(one / COMPLETION, "# theirs\n")
    linked(checkout, one)
    page = one / "share/man/man1/onehybrid.1"
    page.write_text("edited\n")
    linked(checkout, one)
    install(checkout, "-d", str(one), "-r")
    assert (one / COMPLETION).read_text() == "# theirs\n"
    assert page.read_text() == "edited\n"
    assert not (one / "share/zsh").exists()
