"""The agent's log: masked, private, one line a record."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from hybrid_drivers.agent import logs

KEY = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQAB\nZZZZZZZZZZZZZZZZZZZZZZZZ\n-----END KEY-----\n"


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process's secrets, handlers and level as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    monkeypatch.setattr(logs, "_secrets", ())
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hybrid.log"
    logs.set_up(path, level="info", size=1 << 20, count=2)
    return path


def test_a_secret_shows_nowhere(path: Path) -> None:
    secret = 'p@ss/"word"&more'
    logs.mask(secret)
    log = logging.getLogger("x")
    log.info("plain %s url %s json %s", secret, quote(secret, safe=""), json.dumps({"token": secret}))
    logs.set_level("debug")
    try:
        raise ValueError(f"refused {secret}")
    except ValueError as exc:
        log.error("call failed: %s", exc, exc_info=exc)
    text = path.read_text()
    assert "***" in text
    assert "Traceback" in text
    assert "p@ss" not in text
    assert quote(secret, safe="") not in text


def test_each_line_of_a_key_is_masked(path: Path) -> None:
    logs.mask(KEY)
    logging.getLogger("x").info("got %s", KEY)
    logging.getLogger("x").info("line %s", KEY.splitlines()[1])
    assert "AAAAB3" not in path.read_text()
    assert "ZZZZ" not in path.read_text()


def test_the_longest_secret_goes_first() -> None:
    logs.mask("token")
    logs.mask("token-and-more")
    logs.mask("abc")
    assert logs.masked("token-and-more token abc") == "*** *** abc"


def test_tracebacks_are_for_debug_only_and_records_are_one_line(path: Path) -> None:
    try:
        raise ValueError("inner\ntext")
    except ValueError:
        logging.getLogger("x").exception("a bug\nin two lines")
    (line,) = path.read_text().splitlines()
    assert line.endswith("a bug / in two lines / ValueError: inner / text")


def test_the_file_is_rotated_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "hybrid.log"
    logs.set_up(path, level="info", size=2000, count=2)
    for number in range(200):
        logging.getLogger("x").info("record %d", number)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["hybrid.log", "hybrid.log.1", "hybrid.log.2"]
    assert {oct(file.stat().st_mode)[-3:] for file in files} == {"640"}
    assert all(file.stat().st_size <= 2000 for file in files)


def test_libraries_that_print_bodies_stay_quiet(path: Path) -> None:
    logs.set_level("debug")
    logging.getLogger("urllib3.connectionpool").debug("POST body")
    logging.getLogger("botocore.endpoint").debug("POST body")
    assert path.read_text() == ""


def test_the_log_goes_to_the_state_folder_when_its_own_cannot_be_written(tmp_path: Path) -> None:
    fallback = tmp_path / "state.log"
    assert logs.log_path(tmp_path / "hybrid.log", fallback) == tmp_path / "hybrid.log"
    assert logs.log_path(tmp_path / "missing/hybrid.log", fallback) == fallback
