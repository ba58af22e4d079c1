"""What commands log: levels, lines, and no secret and no escape sequence in any of them."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hybrid_drivers.agent import logs
from hybrid_drivers.cli.clilog import logging_options, set_up

log = logging.getLogger("hybrid_drivers.test_clilog")
SECRET = "s3cret-of-clilog"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@click.command()
@click.argument("names", nargs=-1)
@logging_options()
def work(names: tuple[str, ...]) -> None:
    """Log at every level."""
    log.debug("detail")
    log.info("making %s", " ".join(names))
    log.warning("odd")
    click.echo("done")


def lines(*words: str) -> list[str]:
    result = CliRunner().invoke(work, words, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, "done\n")
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "T", line) for line in result.stderr.splitlines()]


def test_levels_are_chosen_by_letters_and_words() -> None:
    assert lines("a") == ["T WARNING odd"]
    for word in ("-d", "--verbose"):
        assert lines("a", word) == ["T INFO    making a", "T WARNING odd"]
    for word in ("-D", "--debug", "-dD"):
        shown = [re.sub(r"^T\.\d{3}", "T", line) for line in lines("a", word)]
        assert shown[0] == "T DEBUG   hybrid_drivers.test_clilog: detail"
        assert len(shown) == 3


def test_one_set_up_replaces_the_other() -> None:
    for _ in range(3):
        assert len(lines("-d")) == 2


def test_lists_keep_d_for_the_delay() -> None:
    @click.command()
    @click.option("-d", "--delay", type=int)
    @logging_options(letter=False)
    def top(delay: int) -> None:
        click.echo(delay)

    assert CliRunner().invoke(top, ["-d", "3", "--verbose"]).stdout == "3\n"


@pytest.mark.parametrize("debug", [True, False])
def test_secrets_and_escape_sequences_do_not_come_through(debug: bool) -> None:
    logs.mask(SECRET)
    stream = io.StringIO()
    set_up(verbose=True, debug=debug, stream=stream)
    try:
        raise ValueError(f"{SECRET} \x1b[2J")
    except ValueError:
        log.info("with %s\n\x9b1m", SECRET, exc_info=True)
    text = stream.getvalue()
    assert SECRET not in text
    assert "***" in text
    assert not re.search("[\x1b\x9b]", text)
    assert ("Traceback" in text) is debug


def test_libraries_that_log_requests_stay_quiet() -> None:
    set_up(debug=True, stream=io.StringIO())
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
