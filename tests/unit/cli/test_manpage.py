"""Manual pages: everything declared is on them, and readers of manual pages find nothing wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from hybrid_drivers.cli.extras import programs
from hybrid_drivers.cli.manpage import manpage

PAGES = {name: manpage(command, name, failure=failure) for name, command, failure in programs()}


@click.group()
def top() -> None:
    r"""Do things -- with 'quotes', \back\slashes and é…

    .leading dots are no requests.

    \b
    kept
      as it is
    """


@top.group()
def inner() -> None:
    """Never called alone."""


@inner.command()
@click.argument("what")
@click.option("-n", "--name", metavar='THE "NAME"', default="x-y", show_default=True, help="Its .name; not 'that'.")
@click.option("--old", hidden=True)
@click.option("--on/--off", help="Switch it.")
def run(what: str, name: str, old: str, on: bool) -> None:
    """'Run' it.

    Twice.
    """


@top.command(hidden=True)
def secret() -> None:
    """Nobody reads this."""


PAGES["top"] = manpage(top, "top", failure=7)


def plain(name: str, tmp_path: Path) -> str:
    """Return the page as ``man`` shows it, and see that it finds nothing wrong."""
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("man or groff is not installed")
    page = tmp_path / f"{name}.1"
    page.write_text(PAGES[name])
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "1000"}
    shown = subprocess.run(["man", "--warnings=w", "-l", str(page)], env=env, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    return " ".join(shown.stdout.split())  # as man fills lines, blanks are of no meaning


@pytest.mark.parametrize("name", PAGES)
def test_man_shows_it_without_a_warning(name: str, tmp_path: Path) -> None:
    assert plain(name, tmp_path).startswith(f"{name.upper()}(1)")


@pytest.mark.parametrize("name", PAGES)
def test_mandoc_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    page = tmp_path / f"{name}.1"
    page.write_text(PAGES[name])
    run = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
    assert [line for line in run.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize("name", PAGES)
def test_only_known_requests_begin_a_line(name: str) -> None:
    requests = {line.split()[0] for line in PAGES[name].splitlines() if line[:1] in (".", "'")}
    assert requests <= {".TH", ".SH", ".SS", ".PP", ".TP", ".nf", ".fi"}
    assert PAGES[name].isascii()
    assert not re.search(r"\\(?![efRBI&\-(\[])", PAGES[name].replace("\\fB", "").replace("\\fI", ""))


def test_texts_come_out_as_they_were_written(tmp_path: Path) -> None:
    shown = plain("top", tmp_path)
    for line in (
        "top - Do things -- with 'quotes', \\back\\slashes and é…",
        ".leading dots are no requests.",
        "as it is",
        "top inner run [OPTIONS] WHAT",
        "'Run' it.",
        '-n, --name THE "NAME"',
        "Its .name; not 'that'. [default: x-y]",
        "--on / --off",
        "7 Something failed.",
    ):
        assert line in shown
    for left_out in ("--old", "secret", "Nobody", "Never called alone"):
        assert left_out not in shown


def test_every_command_and_option_of_ours_is_there(tmp_path: Path) -> None:
    shown = plain("onehybrid", tmp_path)
    for words in ("onehybrid agent log-level", "onehybrid configure [OPTIONS] [HOST]...", "--cluster NAME", "NO_COLOR"):
        assert words in shown


@pytest.mark.parametrize("name", ["oneprovision", "oneprovider"])
def test_the_pages_of_the_groups_have_their_own_names_and_codes(name: str, tmp_path: Path) -> None:
    shown = plain(name, tmp_path)
    for words in (f"{name} list [OPTIONS]", f"{name} show [OPTIONS] ID|NAME", "255 Something failed."):
        assert words in shown
    assert "onehybrid" not in shown.partition("COMMANDS")[2].partition("ENVIRONMENT")[0].replace("'onehybrid", "")


def test_the_page_of_oneprovision_goes_down_to_the_last_command(tmp_path: Path) -> None:
    shown = plain("oneprovision", tmp_path)
    for words in (
        "oneprovision create [OPTIONS] FILE",
        "oneprovision host add [OPTIONS] PROVISION",
        "oneprovision vnet delete [OPTIONS] WHICH...",
        "--fail-modes MODE,...",
        "-d, --delay SECONDS",
    ):
        assert words in shown
