"""Quoting and the primitives, by running them in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from hybrid_drivers.hostconfig import primitives
from hybrid_drivers.hostconfig.script import preamble
from hybrid_drivers.hostconfig.steps import Step, quote, words

SHELLS = [shell for shell in (["dash"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a new file belongs to root")
# Any character but NUL, which no file name, argument or shell word can hold; lone surrogates are no text.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWKWARD = [
    "",
    "'",
    "''",
    "it's",
    "a\nb\n\n",
    "$(id)`id`$HOME",
    "\\",
    "\\n%s%d",
    "-n",
    "*?[a]",
    "\t \r\n",
    "é\x81\x88",
    "\x7f\x01",
]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_any_text_is_one_word_to_a_real_shell(shell: list[str]) -> None:
    @given(st.lists(TEXT, min_size=1, max_size=4))
    @settings(max_examples=examples(30))
    def check(values: list[str]) -> None:
        script = f"set -- {words(*values)}\nprintf '%s\\0' \"$@\"\n"
        done = subprocess.run([*shell, "-s"], input=script.encode(), capture_output=True, check=True)
        assert done.stdout.decode().split("\0")[:-1] == values

    check()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_is_one_word(shell: list[str], text: str) -> None:
    done = subprocess.run([*shell, "-s"], input=f"printf '%s' {quote(text)}".encode(), capture_output=True, check=True)
    assert done.stdout == text.encode()


def test_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")


@pytest.mark.parametrize("name", ["it's", "a\nb", "", "$(id)", 'say "x"'])
def test_step_names_are_plain(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a step"):
        Step(role="r", name=name, check=":", apply=":")


@pytest.mark.parametrize(("apply", "must"), [("", False), (":", True)])
def test_a_step_has_an_apply_or_is_a_must(apply: str, must: bool) -> None:
    with pytest.raises(ValueError, match="not both"):
        Step(role="r", name="n", check=":", apply=apply, must=must)


def snippet(shell: list[str], step: Step, what: str) -> subprocess.CompletedProcess[bytes]:
    """Run a step's check or apply as the engine does, without the engine."""
    body = step.check if what == "check" else step.apply
    program = f"{preamble()}\nsnippet_() {{\n{body}\n}}\nprintf '%s' {quote(step.stdin)} | (set -e; snippet_)\n"
    return subprocess.run([*shell, "-s"], input=program.encode(), capture_output=True)


def me() -> str:
    return subprocess.run(
        ["stat", "-c", "%U:%G", "/proc/self"], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_any_content_gets_into_a_file_unchanged(shell: list[str], tmp_path: Path) -> None:
    path = tmp_path / "file"
    owner = me()

    @given(TEXT)
    @settings(max_examples=examples(12))
    def check(content: str) -> None:
        step = primitives.file("r", str(path), content, mode="640", owner=owner, name="n")
        if (content and snippet(shell, step, "check").returncode != 0) or not content:
            assert snippet(shell, step, "apply").returncode == 0
        assert path.read_bytes() == content.encode()
        assert snippet(shell, step, "check").returncode == 0

    check()


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "$(touch x)", "*", "a\nb", "-rf"])
def test_any_path_can_be_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    step = primitives.file("r", str(path), "text\n", owner=me(), name="n")
    assert snippet(["sh"], step, "check").returncode != 0
    assert snippet(["sh"], step, "apply").returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert snippet(["sh"], step, "check").returncode == 0


def test_a_file_differs_by_mode_content_or_being_a_link(tmp_path: Path) -> None:
    path = tmp_path / "file"
    step = primitives.file("r", str(path), "text\n", owner=me(), name="n")
    snippet(["sh"], step, "apply")
    path.chmod(0o666)
    assert snippet(["sh"], step, "check").returncode != 0
    snippet(["sh"], step, "apply")
    path.write_text("text\nmore\n")
    assert snippet(["sh"], step, "check").returncode != 0
    (tmp_path / "other").write_text("text\n")
    path.unlink()
    path.symlink_to(tmp_path / "other")
    assert snippet(["sh"], step, "check").returncode != 0


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    step = primitives.file("r", str(tmp_path / "file"), "text\n", owner=me(), name="n")
    full = Step(
        role="r",
        name="n",
        check=":",
        apply=step.apply.replace("put_file", "cat() { command cat >/dev/full; }; put_file"),
        stdin="secret",
    )
    done = snippet(["sh"], full, "apply")
    assert done.returncode != 0
    assert b"No space left on device" in done.stdout + done.stderr
    assert b"secret" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_root
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "\nuser = 1\n"),
        ("", "\nuser = 1\n"),
        ("# user = 0\nother = 2\n", "# user = 0\nother = 2\nuser = 1\n"),
        ("user = 0\nusers = 3\nuser=5\n", "users = 3\nuser = 1\n"),
        ("a\n  user = 1", "a\nuser = 1\n"),
    ],
)
def test_setting(shell: list[str], before: str | None, after: str, tmp_path: Path) -> None:
    path = tmp_path / "conf"
    if before is not None:
        path.write_text(before)
    step = primitives.setting("r", str(path), "user", "1")
    assert snippet(shell, step, "check").returncode != 0
    assert snippet(shell, step, "apply").returncode == 0
    assert path.read_text() == after
    assert snippet(shell, step, "check").returncode == 0


@needs_root
@pytest.mark.parametrize(
    ("before", "after"), [(None, "it's\n"), ("a", "a\nit's\n"), ("it's not\n", "it's not\nit's\n")]
)
def test_line(before: str | None, after: str, tmp_path: Path) -> None:
    path = tmp_path / "some" / "conf"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
        path.chmod(0o600)
    step = primitives.line("r", str(path), "it's", name="n")
    assert snippet(["sh"], step, "check").returncode != 0
    assert snippet(["sh"], step, "apply").returncode == 0
    assert path.read_text() == after
    assert (path.stat().st_mode & 0o777) == (0o644 if before is None else 0o600)
    assert snippet(["sh"], step, "check").returncode == 0


def test_a_checked_file_is_not_put_when_refused(tmp_path: Path) -> None:
    path = tmp_path / "sudoers"
    refused = primitives.checked_file("r", str(path), "x\n", accepted_by="grep -q good", owner=me())
    assert snippet(["sh"], refused, "apply").returncode != 0
    assert not path.exists()
    accepted = primitives.checked_file("r", str(path), "good\n", accepted_by="grep -q good", owner=me())
    assert snippet(["sh"], accepted, "apply").returncode == 0
    assert path.read_text() == "good\n"
    assert snippet(["sh"], accepted, "check").returncode == 0
